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

// A reader that stops reading blocks nothing: the silos keep running, their logs are kept,
// memory stays bounded, and an interrupt stops everything.
func TestStuckReaders(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"stdout", "stdout and stderr"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := newTestInstance(t)
			in.topology(loudTopology)
			in.env = append(in.env, "LOUD=1")
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			up := in.silo("up")
			output := &transcript{}
			up.Stdout, up.Stderr = writer, output
			if name != "stdout" {
				up.Stderr = writer
			}
			if err := up.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- up.Wait() }()
			_ = writer.Close()
			if !in.ready() {
				t.Fatalf("not ready: %s", output)
			}
			in.stuckFollower()
			in.stuckWatcher()
			in.awaitLines(20000)
			in.checkMemory(up.Process.Pid)
			if out, err := in.silo("restart", "us").CombinedOutput(); err != nil {
				t.Errorf("silo restart: %v\n%s", err, out)
			}
			in.awaitLines(1000)
			_ = up.Process.Signal(syscall.SIGINT)
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("up: %v\n%s", err, output)
				}
			case <-time.After(30 * time.Second):
				_ = up.Process.Kill()
				t.Fatalf("up is still running 30 s after an interrupt: %s", output)
			}
			in.gone(in.run, time.Now(), "after the interrupt")
		})
	}
}

// stuckFollower starts a `silo logs -f` and does not read its output.
func (in *testInstance) stuckFollower() {
	follower := in.silo("logs", "-f")
	follower.Env = slices.DeleteFunc(slices.Clone(follower.Env), func(entry string) bool { return strings.HasPrefix(entry, envRun+"=") })
	out, err := follower.StdoutPipe()
	if err == nil {
		err = follower.Start()
	}
	if err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() {
		_ = follower.Process.Kill()
		_ = out.Close()
		_ = follower.Wait()
	})
	if _, err := io.ReadFull(out, make([]byte, 100)); err != nil {
		in.Fatal(err)
	}
}

// stuckWatcher requests a watch from the API socket and does not read it.
func (in *testInstance) stuckWatcher() {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: in.dir.Socket, Net: "unix"})
	if err == nil {
		_, err = io.WriteString(conn, "GET /v1/watch HTTP/1.1\r\nHost: silo\r\n\r\n")
	}
	if err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() { _ = conn.Close() })
}

// checkMemory checks that the supervisor uses no more memory than a few buffers need.
func (in *testInstance) checkMemory(pid int) {
	in.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		in.Fatal(err)
	}
	kilobytes, err := strconv.Atoi(strings.TrimSpace(string(out)))
	bound := 64 << 10
	if raceEnabled() {
		bound *= 5
	}
	if err != nil || kilobytes > bound {
		in.Errorf("the supervisor uses %d kB, %v", kilobytes, err)
	}
}
