package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// inNamespace tells the test binary that it runs a test once more, where it may mount.
const inNamespace = "SILO_TEST_IN_NAMESPACE"

// mountable runs a test again in a user and mount namespace of its own, for whom is
// not root. True: here is where to mount.
func mountable(t *testing.T) bool {
	t.Helper()
	if os.Geteuid() == 0 || os.Getenv(inNamespace) != "" {
		return true
	}
	again := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.count=1", "-test.run=^"+t.Name()+"$")
	again.Env = append(os.Environ(), inNamespace+"=1")
	again.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), ContainerID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), ContainerID: os.Getgid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
	out, err := again.CombinedOutput()
	switch {
	case len(out) == 0 && err != nil:
		t.Skipf("needs a user namespace: %v", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("%s", out)
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// tmpfs mounts a small file system.
func tmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("silo-test", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Skipf("needs the right to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// A disk that is full while an instance runs costs what is written meanwhile, and
// nothing else.
func TestFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
	}
	if !mountable(t) {
		return
	}
	l := newLane(t)
	l.topology(loudTopology)
	state := filepath.Join(l.folder, "state")
	tmpfs(t, state, "1m")
	ballast := filepath.Join(state, "ballast")
	write(t, ballast, strings.Repeat("x", 512<<10))
	up := l.silo("up")
	said := &transcript{}
	up.Stderr = said
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	if !l.ready() {
		t.Fatalf("not ready: %s", said)
	}
	leaders := l.leaders()

	l.tell("/loud")
	full := func(silo string) string { return "log of " + silo + ": output is not being kept: " }
	l.until("it is said that the disk is full", func() bool {
		return strings.Contains(said.String(), full("control")) && strings.Contains(said.String(), full("us"))
	})
	l.goOn(5000)
	if out, err := l.silo("status").CombinedOutput(); err != nil {
		t.Errorf("silo status: %v\n%s", err, out)
	} else if !strings.Contains(string(out), "its output is not being kept: ") {
		t.Errorf("silo status says nothing of the disk:\n%s", out)
	}
	if out, err := l.silo("stop", "us").CombinedOutput(); err != nil {
		t.Errorf("silo stop: %v\n%s", err, out)
	}
	if out, err := l.silo("start", "us").CombinedOutput(); err != nil {
		t.Errorf("silo start: %v\n%s", err, out)
	}
	l.tell("/quiet")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	l.until("it is said what was lost", func() bool {
		l.tell("/say?what=there+is+space+again")
		return strings.Contains(said.String(), "log of control: ") && strings.Count(said.String(), "bytes were lost") == 2
	})
	l.tell("/say?what=the+last+line")
	l.until("the last line is kept", func() bool {
		out, err := l.silo("logs", "-n", "1").CombinedOutput()
		return err == nil && strings.Count(string(out), "the last line") == 2
	})
	l.until("nothing is said of the disk any more", func() bool {
		out, err := l.silo("status").CombinedOutput()
		return err == nil && !strings.Contains(string(out), "not being kept")
	})
	l.until("the record is in step again", func() bool { return len(l.leaders()) == 2 })
	if now := l.leaders(); now[0] != leaders[0] {
		t.Errorf("control was process %d, and is %d", leaders[0], now[0])
	}
	if out, err := l.silo("down").CombinedOutput(); err != nil {
		t.Errorf("silo down: %v\n%s", err, out)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("up: %v", err)
	}
	l.gone(l.run, time.Now(), "down")
	for _, once := range []string{full("control"), full("us"), "not recorded"} {
		if n := strings.Count(said.String(), once); n != 1 {
			t.Errorf("%q is said %d times", once, n)
		}
	}
}

// Nor does it keep an instance from being ended, or started again; what could not
// be made for the first time is said.
func TestUpAndDownOnAFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
	}
	if !mountable(t) {
		return
	}
	l := newLane(t)
	l.topology(loudTopology)
	state := filepath.Join(l.folder, "state")
	tmpfs(t, state, "256k")
	ballast := filepath.Join(state, "ballast")
	fill := func() { _ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) } // as far as there is room
	does := func(want int, args ...string) string {
		t.Helper()
		out, err := l.silo(args...).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() != want || err == nil && want != 0 {
			t.Errorf("silo %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	fill()
	for _, up := range [][]string{{"up"}, {"up", "-d"}} {
		if out := does(1, up...); !strings.Contains(out, "no space left on device") {
			t.Errorf("a first start on a full disk says:\n%s", out)
		}
		l.gone(l.run, time.Now(), "a start that was refused")
	}
	if text, err := os.ReadFile(filepath.Join(l.folder, "sentry.conf.py")); err != nil || string(text) != chaosConfig {
		t.Errorf("it has changed sentry.conf.py: %v\n%s", err, text)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	does(0, "up", "-d")
	for range 2 { // the second start is on the full disk
		fill()
		does(0, "down")
		l.gone(l.run, time.Now(), "down")
		if out := does(4, "status"); strings.Contains(out, "killed") {
			t.Errorf("silo status:\n%s", out)
		}
		fill()
		does(0, "up", "-d")
		does(0, "status")
		does(0, "up") // beside it
	}
	does(0, "down")
	l.gone(l.run, time.Now(), "down")
}

// A topology that is to be written over is there, whole, until the new one is.
func TestInitOnAFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
	}
	if !mountable(t) {
		return
	}
	l := newLane(t)
	small := filepath.Join(l.folder, "small")
	tmpfs(t, small, "64k")
	file := filepath.Join(small, "silo.toml")
	write(t, file, "version = 1\n[region.mine]\nid = 7\n")
	if err := os.WriteFile(filepath.Join(small, "ballast"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	out, err := l.silo("-C", small, "init", "--force").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no space left on device") {
		t.Errorf("silo init: %v\n%s", err, out)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "mine") {
		t.Errorf("the topology holds %q, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(small, "*silo.toml*")); err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
}
