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

// inNamespace is set when the test binary re-executes a test in a namespace in which it
// can mount.
const inNamespace = "SILO_TEST_IN_NAMESPACE"

// mountable reports whether this process can mount. If not, it re-executes the test in a
// new user and mount namespace.
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

// tmpfs mounts a tmpfs of the given size.
func tmpfs(t *testing.T, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("silo-test", dir, "tmpfs", 0, "mode=700,size="+size); err != nil {
		t.Skipf("needs permission to mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// If the disk fills up while an instance runs, only the output written in the meantime is
// lost.
func TestFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
	}
	if !mountable(t) {
		return
	}
	in := newTestInstance(t)
	in.topology(loudTopology)
	state := filepath.Join(in.folder, "state")
	tmpfs(t, state, "1m")
	ballast := filepath.Join(state, "ballast")
	write(t, ballast, strings.Repeat("x", 512<<10))
	up := in.silo("up")
	output := &transcript{}
	up.Stderr = output
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	if !in.ready() {
		t.Fatalf("not ready: %s", output)
	}
	leaders := in.leaders()

	in.get("/loud")
	full := func(silo string) string { return "log of " + silo + ": output is not being kept: " }
	in.until("the full disk is reported", func() bool {
		return strings.Contains(output.String(), full("control")) && strings.Contains(output.String(), full("us"))
	})
	in.awaitLines(5000)
	if out, err := in.silo("status").CombinedOutput(); err != nil {
		t.Errorf("silo status: %v\n%s", err, out)
	} else if !strings.Contains(string(out), "its output is not being kept: ") {
		t.Errorf("silo status does not report the full disk:\n%s", out)
	}
	if out, err := in.silo("stop", "us").CombinedOutput(); err != nil {
		t.Errorf("silo stop: %v\n%s", err, out)
	}
	if out, err := in.silo("start", "us").CombinedOutput(); err != nil {
		t.Errorf("silo start: %v\n%s", err, out)
	}
	in.get("/quiet")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	in.until("the loss is reported", func() bool {
		in.get("/print?line=there+is+space+again")
		return strings.Contains(output.String(), "log of control: ") && strings.Count(output.String(), "bytes were lost") == 2
	})
	in.get("/print?line=the+last+line")
	in.until("the last line is kept", func() bool {
		out, err := in.silo("logs", "-n", "1").CombinedOutput()
		return err == nil && strings.Count(string(out), "the last line") == 2
	})
	in.until("the disk is no longer reported", func() bool {
		out, err := in.silo("status").CombinedOutput()
		return err == nil && !strings.Contains(string(out), "not being kept")
	})
	in.until("the snapshot is current again", func() bool { return len(in.leaders()) == 2 })
	if now := in.leaders(); now[0] != leaders[0] {
		t.Errorf("control was process %d, now %d", leaders[0], now[0])
	}
	if out, err := in.silo("down").CombinedOutput(); err != nil {
		t.Errorf("silo down: %v\n%s", err, out)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("up: %v", err)
	}
	in.gone(in.run, time.Now(), "down")
	for _, once := range []string{full("control"), full("us"), "not saved"} {
		if n := strings.Count(output.String(), once); n != 1 {
			t.Errorf("%q is reported %d times", once, n)
		}
	}
}

// On a full disk an instance can be stopped and started again, but a first start fails.
func TestUpAndDownOnAFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
	}
	if !mountable(t) {
		return
	}
	in := newTestInstance(t)
	in.topology(loudTopology)
	state := filepath.Join(in.folder, "state")
	tmpfs(t, state, "256k")
	ballast := filepath.Join(state, "ballast")
	fill := func() { _ = os.WriteFile(ballast, make([]byte, 1<<20), 0o600) } // until the disk is full
	does := func(want int, args ...string) string {
		t.Helper()
		out, err := in.silo(args...).CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() != want || err == nil && want != 0 {
			t.Errorf("silo %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	fill()
	for _, up := range [][]string{{"up"}, {"up", "-d"}} {
		if out := does(1, up...); !strings.Contains(out, "no space left on device") {
			t.Errorf("output of a first start on a full disk:\n%s", out)
		}
		in.gone(in.run, time.Now(), "failed start")
	}
	if text, err := os.ReadFile(filepath.Join(in.folder, "sentry.conf.py")); err != nil || string(text) != chaosConfig {
		t.Errorf("sentry.conf.py changed: %v\n%s", err, text)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	does(0, "up", "-d")
	for range 2 { // the disk is full for the second start
		fill()
		does(0, "down")
		in.gone(in.run, time.Now(), "down")
		if out := does(4, "status"); strings.Contains(out, "killed") {
			t.Errorf("silo status:\n%s", out)
		}
		fill()
		does(0, "up", "-d")
		does(0, "status")
		does(0, "up") // while it runs
	}
	does(0, "down")
	in.gone(in.run, time.Now(), "down")
}

// init --force keeps the old topology if it cannot write the new one.
func TestInitOnAFullDisk(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Parallel()
	}
	if !mountable(t) {
		return
	}
	in := newTestInstance(t)
	small := filepath.Join(in.folder, "small")
	tmpfs(t, small, "64k")
	file := filepath.Join(small, "silo.toml")
	write(t, file, "version = 1\n[region.mine]\nid = 7\n")
	if err := os.WriteFile(filepath.Join(small, "ballast"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	out, err := in.silo("-C", small, "init", "--force").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no space left on device") {
		t.Errorf("silo init: %v\n%s", err, out)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "mine") {
		t.Errorf("the topology holds %q, %v", text, err)
	}
	if left, err := filepath.Glob(filepath.Join(small, "*silo.toml*")); err != nil || len(left) != 1 {
		t.Errorf("files left: %v, %v", left, err)
	}
}
