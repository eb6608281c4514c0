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

// Of two that start one instance at once, one becomes the supervisor, and both
// come back when all is ready.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	l := newLane(t)
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if out, err := l.silo("up", "-d").CombinedOutput(); err != nil {
				l.Errorf("silo up -d: %v\n%s", err, out)
			}
		})
	}
	both.Wait()
	supervisors := 0
	for _, info := range proc.FindMarked(playMarker + "=" + l.folder + l.run) {
		args, err := exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(info.PID)).Output()
		if err == nil && strings.Contains(string(args), "--supervise") {
			supervisors++
		}
	}
	if supervisors != 1 {
		t.Errorf("%d supervisors", supervisors)
	}
	if leaders := len(l.leaders()); leaders != 3 {
		t.Errorf("%d leaders of 3 silos", leaders)
	}
	l.down()
}

// leaders are the PIDs of silos that live, by the snapshot.
func (l *lane) leaders() (pids []int) {
	snapshot, err := l.dir.Last()
	if err != nil {
		l.Fatal(err)
	}
	for _, s := range snapshot.Silos {
		if s.PID != nil && proc.Alive(*s.PID, "") {
			pids = append(pids, *s.PID)
		}
	}
	return pids
}

func (l *lane) down() {
	l.Helper()
	if out, err := l.silo("down").CombinedOutput(); err != nil {
		l.Fatalf("silo down: %v\n%s", err, out)
	}
	l.gone(l.run, time.Now(), "down")
}

// What silo has written down may be broken by a full disk, an editor or a hand:
// it is made anew where nothing is lost by that, else the error names the file.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		harm func(t *testing.T, d *state.Dir)
		says string // what `up` refuses with; empty: it works
	}{
		{"snapshot", spoil("snapshot.json", `{"schema_version": 1, "silos": [{"pid": "x`), ""},
		{"snapshot of another kind", spoil("snapshot.json", `[]`), ""},
		{"snapshot of tomorrow", spoil("snapshot.json", `{"schema_version": 99}`), ""},
		{"empty snapshot", spoil("snapshot.json", ""), ""},
		{"ports", spoil("ports.json", `{"control": "many"}`), ""},
		{"no ports", spoil("ports.json", "null"), ""},
		{"ports that are none", spoil("ports.json", `{"control": -1, "us": 70000, "edge:us": 99999}`), ""},
		{"empty secrets", spoil("secrets.json", "{}"), ""},
		{"secrets", spoil("secrets.json", `{"rpc": `), "secrets.json"},
		{"a dead socket", deadSocket, ""},
		{"a file in place of the socket", func(t *testing.T, d *state.Dir) { write(t, socketOf(t, d), "?") }, ""},
		{"a directory in place of the socket", func(t *testing.T, d *state.Dir) {
			if err := os.MkdirAll(filepath.Join(socketOf(t, d), "full"), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "control socket"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t)
			l.topology(damageTopology)
			if err := os.MkdirAll(l.dir.Path, 0o700); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.RemoveAll(l.dir.Socket) })
			test.harm(t, l.dir)
			l.silent("status", 4)
			out, err := l.silo("up", "-d").CombinedOutput()
			if test.says == "" {
				if err != nil {
					t.Fatalf("silo up -d: %v\n%s", err, out)
				}
				l.down()
				return
			}
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("silo: ")) || !bytes.Contains(out, []byte(test.says)) || bytes.Contains(out, []byte("goroutine")) {
				t.Errorf("silo up -d: %v, and does not speak of %s:\n%s", err, test.says, out)
			}
			if left := l.left(l.run); len(left) > 0 {
				t.Errorf("refused, but left %v", left)
			}
		})
	}
}

// A socket that is removed under a running supervisor takes the means to speak to
// it away, not the means to end it.
func TestASocketThatIsRemoved(t *testing.T) {
	t.Parallel()
	l := newLane(t)
	l.topology(damageTopology)
	if out, err := l.silo("up", "-d").CombinedOutput(); err != nil {
		t.Fatalf("silo up -d: %v\n%s", err, out)
	}
	if err := os.Remove(l.dir.Socket); err != nil {
		t.Fatal(err)
	}
	out, err := l.silo("status").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !bytes.Contains(out, []byte("hint: silo down")) {
		t.Errorf("silo status: %v\n%s", err, out)
	}
	l.down()
	l.silent("status", 4)
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

func (l *lane) topology(text string) { write(l.T, filepath.Join(l.folder, "silo.toml"), text) }

// silent wants `silo VERB --json` to exit with a code and to print one object.
func (l *lane) silent(verb string, code int) {
	l.Helper()
	out, err := l.silo(verb, "--json").Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code || !json.Valid(out) {
		l.Errorf("silo %s --json: %v\n%s", verb, err, out)
	}
}

func spoil(name, text string) func(*testing.T, *state.Dir) {
	return func(t *testing.T, d *state.Dir) { t.Helper(); write(t, filepath.Join(d.Path, name), text) }
}

func socketOf(t *testing.T, d *state.Dir) string {
	t.Helper()
	if err := d.MakeSocketDir(); err != nil {
		t.Fatal(err)
	}
	return d.Socket
}

// deadSocket leaves a socket on which nobody listens.
func deadSocket(t *testing.T, d *state.Dir) {
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
