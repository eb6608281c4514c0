package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"silo/proc"
	"silo/state"
)

// Two simultaneous starts of an instance yield one supervisor, and both return once all
// silos are ready.
func TestSimultaneousStarts(t *testing.T) {
	t.Parallel()
	in := newTestInstance(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if out, err := in.silo("up", "-d").CombinedOutput(); err != nil {
				in.Errorf("silo up -d: %v\n%s", err, out)
			}
		})
	}
	both.Wait()
	supervisors := 0
	for _, info := range proc.FindMarked(envRun + "=" + in.folder + in.run) {
		args, err := exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(info.PID)).Output()
		if err == nil && strings.Contains(string(args), "--supervise") {
			supervisors++
		}
	}
	if supervisors != 1 {
		t.Errorf("%d supervisors", supervisors)
	}
	if leaders := len(in.leaders()); leaders != 3 {
		t.Errorf("%d leaders of 3 silos", leaders)
	}
	in.down()
}

// leaders returns the PIDs of the living silos in the snapshot.
func (in *testInstance) leaders() (pids []int) {
	snapshot, err := in.dir.Last()
	if err != nil {
		in.Fatal(err)
	}
	for _, s := range snapshot.Silos {
		if s.PID != nil && proc.Alive(*s.PID, "") {
			pids = append(pids, *s.PID)
		}
	}
	return pids
}

func (in *testInstance) down() {
	in.Helper()
	if out, err := in.silo("down").CombinedOutput(); err != nil {
		in.Fatalf("silo down: %v\n%s", err, out)
	}
	in.gone(in.run, time.Now(), "down")
}

// A damaged state file is replaced if nothing of value is lost. Otherwise the error names
// it.
func TestDamagedState(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		damage    func(t *testing.T, d *state.Dir)
		wantError string // part of the error of `up`; empty: it succeeds
	}{
		{"snapshot", overwrite("snapshot.json", `{"schema_version": 1, "silos": [{"pid": "x`), ""},
		{"snapshot is a list", overwrite("snapshot.json", `[]`), ""},
		{"snapshot of a later version", overwrite("snapshot.json", `{"schema_version": 99}`), ""},
		{"empty snapshot", overwrite("snapshot.json", ""), ""},
		{"ports of the wrong type", overwrite("ports.json", `{"control": "many"}`), ""},
		{"ports are null", overwrite("ports.json", "null"), ""},
		{"ports out of range", overwrite("ports.json", `{"control": -1, "us": 70000, "edge:us": 99999}`), ""},
		{"empty secrets", overwrite("secrets.json", "{}"), ""},
		{"truncated secrets", overwrite("secrets.json", `{"rpc": `), "secrets.json"},
		{"stale socket", staleSocket, ""},
		{"a file instead of the socket", func(t *testing.T, d *state.Dir) { write(t, socketOf(t, d), "?") }, ""},
		{"a directory instead of the socket", func(t *testing.T, d *state.Dir) {
			if err := os.MkdirAll(filepath.Join(socketOf(t, d), "full"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "control socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			in := newTestInstance(t)
			in.topology(damageTopology)
			if err := os.MkdirAll(in.dir.Path, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(in.dir.Socket) })
			test.damage(t, in.dir)
			in.statusExits("status", 4)
			out, err := in.silo("up", "-d").CombinedOutput()
			if test.wantError == "" {
				if err != nil {
					t.Fatalf("silo up -d: %v\n%s", err, out)
				}
				in.down()
				return
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("silo: ")) || !bytes.Contains(out, []byte(test.wantError)) || bytes.Contains(out, []byte("goroutine")) {
				t.Errorf("silo up -d: %v, want an error that contains %q:\n%s", err, test.wantError, out)
			}
			if left := in.left(in.run); len(left) > 0 {
				t.Errorf("failed, but left %v", left)
			}
		})
	}
}

// A running supervisor whose socket was removed cannot be queried, but can be stopped.
func TestRemovedSocket(t *testing.T) {
	t.Parallel()
	in := newTestInstance(t)
	in.topology(damageTopology)
	if out, err := in.silo("up", "-d").CombinedOutput(); err != nil {
		t.Fatalf("silo up -d: %v\n%s", err, out)
	}
	if err := os.Remove(in.dir.Socket); err != nil {
		t.Fatal(err)
	}
	out, err := in.silo("status").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("hint: silo down")) {
		t.Errorf("silo status: %v\n%s", err, out)
	}
	in.down()
	in.statusExits("status", 4)
}

const damageTopology = `version = 1
[sentry]
command = ["silo", "devserver"]
config = "sentry.conf.py"
dialect = "tuple-id"
[control]
port = 0
[region.us]
id = 1
port = 0
`

func (in *testInstance) topology(text string) {
	write(in.T, filepath.Join(in.folder, "silo.toml"), text)
}

// statusExits checks that `silo VERB --json` prints one object and exits with code.
func (in *testInstance) statusExits(verb string, code int) {
	in.Helper()
	out, err := in.silo(verb, "--json").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code || !json.Valid(out) {
		in.Errorf("silo %s --json: %v\n%s", verb, err, out)
	}
}

func overwrite(name, text string) func(*testing.T, *state.Dir) {
	return func(t *testing.T, d *state.Dir) { t.Helper(); write(t, filepath.Join(d.Path, name), text) }
}

func socketOf(t *testing.T, d *state.Dir) string {
	t.Helper()
	if err := d.MakeSocketDir(); err != nil {
		t.Fatal(err)
	}
	return d.Socket
}

// staleSocket creates a socket without a listener.
func staleSocket(t *testing.T, d *state.Dir) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socketOf(t, d), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}
