package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Who stops reading what silos write keeps nobody from anything: the silos go on,
// their logs are kept, memory stays bounded, and an interrupt ends all.
func TestStuckReaders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"stdout", "stdout and stderr"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLane(t)
			l.topology(loudTopology)
			l.env = append(l.env, "LOUD=1")
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			up := l.silo("up")
			said := &transcript{}
			up.Stdout, up.Stderr = writer, said
			if name != "stdout" {
				up.Stderr = writer
			}
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- up.Wait() }()
			_ = writer.Close()
			if !l.ready() {
				t.Fatalf("not ready: %s", said)
			}
			l.stuckFollower()
			l.stuckWatcher()
			l.goOn(20000)
			l.lean(up.Process.Pid)
			if out, err := l.silo("restart", "us").CombinedOutput(); err != nil {
				t.Errorf("silo restart: %v\n%s", err, out)
			}
			l.goOn(1000)
			_ = up.Process.Signal(syscall.SIGINT)
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("up: %v\n%s", err, said)
				}
			case <-time.After(20 * time.Second):
				_ = up.Process.Kill()
				t.Fatalf("up lives on 20 s after an interrupt: %s", said)
			}
			l.gone(l.run, time.Now(), "after the interrupt")
		})
	}
}

// stuckFollower is a `silo logs -f` whose output nobody reads.
func (l *lane) stuckFollower() {
	follower := l.silo("logs", "-f")
	follower.Env = slices.DeleteFunc(slices.Clone(follower.Env), func(entry string) bool { return strings.HasPrefix(entry, playMarker+"=") })
	out, err := follower.StdoutPipe()
	if err == nil {
		err = follower.Start()
	}
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		_ = follower.Process.Kill()
		_ = out.Close()
		_ = follower.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
		l.Fatal(err)
	}
}

// stuckWatcher asks the control socket for a watch and does not read it.
func (l *lane) stuckWatcher() {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: l.dir.Socket, Net: "unix"})
	if err == nil {
		_, err = io.WriteString(conn, "GET /v1/watch HTTP/1.1\r\nHost: silo\r\n\r\n")
	}
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = conn.Close() })
}

// lean wants a supervisor to take no more memory than one with a few buffers does.
func (l *lane) lean(pid int) {
	l.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		l.Fatal(err)
	}
	kilobytes, err := strconv.Atoi(strings.TrimSpace(string(out)))
	bound := 64 << 10
	if raced() {
		bound *= 5
	}
	if err != nil || kilobytes > bound {
		l.Errorf("the supervisor takes %d kB, %v", kilobytes, err)
	}
}
