package proc

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

// roleKey makes the test binary play a program of a tree instead of the tests.
const roleKey = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleKey)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	_ = os.Unsetenv(roleKey)
	os.Exit(play(role, os.Args[1:]))
}

// play is what the test binary does in a role.
func play(role string, args []string) int {
	ctx := context.Background()
	switch role {
	case "setsid": // become a session's leader, then the program
		_, _ = unix.Setsid()
		fmt.Fprintln(os.Stderr, syscall.Exec("/bin/sh", append([]string{"sh"}, args...), os.Environ()))
	case "foreground":
		code, err := Foreground(ctx, args, "", nil, os.Stdin, os.Stdout, os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return code
	case "parent": // start a child that is to die with this process, and tell when it is up
		p, err := Start(Spec{Argv: args, Output: os.Stdout, DeathSignal: "TERM"})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		<-p.Done()
	case "mourn":
		return mourn(args[0])
	case "bequeath":
		return bequeath(args)
	case "killmarked": // from inside the marked tree
		killed, err := KillMarked(ctx, args[0])
		fmt.Println(len(killed), err)
		return 0
	}
	return 1
}

// as is an environment in which the test binary plays role.
func as(role string, more ...string) []string {
	return append(append(os.Environ(), roleKey+"="+role, "GORACE=atexit_sleep_ms=0"), more...)
}

// transcript is an Output whose growth can be awaited.
type transcript struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
	more chan struct{}
}

func newTranscript() *transcript { return &transcript{more: make(chan struct{}, 1)} }

func (s *transcript) Write(block []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(block)
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(block), nil
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await blocks until text has been written count times.
func (s *transcript) await(t testing.TB, text string, count int) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for strings.Count(s.String(), text) < count {
		select {
		case <-s.more:
		case <-limit:
			t.Fatalf("%d times %q did not come; output: %q", count, text, s.String())
		}
	}
}

// eventually looks until condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(10 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("did not happen: ", what)
		}
	}
}

// tree is a running tree of shells. Every process of it inherits descriptor 9, a
// named pipe: its end of file proves, without any of this package's own means,
// that none is left.
type tree struct {
	*Process
	output *transcript
	alive  *os.File
}

// plant runs script as the leader of a tree, and sweeps it when the test is over.
func plant(t testing.TB, script string, env ...string) tree {
	t.Helper()
	return plantOn(t, false, script, env...)
}

// plantOn is plant, on a terminal or a pipe.
func plantOn(t testing.TB, tty bool, script string, env ...string) tree {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "alive")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	alive, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	marker := fmt.Sprintf("PROC_TEST_TREE=%s", fifo)
	output := newTranscript()
	p, err := Start(Spec{
		Argv:   []string{"/bin/sh", "-c", `exec 9>"$FIFO"; ` + script},
		Env:    append(append(os.Environ(), "FIFO="+fifo, "SELF="+os.Args[0], "GORACE=atexit_sleep_ms=0", marker), env...),
		Marker: marker,
		Output: output,
		TTY:    tty,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Sweep(context.Background())
		_, _ = KillMarked(context.Background(), marker)
		_ = alive.Close()
	})
	return tree{Process: p, output: output, alive: alive}
}

// gone fails the test unless every process of the tree has ended.
func (tr tree) gone(t testing.TB) {
	t.Helper()
	if n, err := unix.Read(int(tr.alive.Fd()), make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("something of the tree lives: read %d bytes, %v; seen: %v", n, err, tr.Tree())
	}
}

// newSession is a command word that makes a new session and becomes sh.
func newSession() string {
	if path, err := exec.LookPath("setsid"); err == nil {
		return path + " sh"
	}
	return roleKey + `=setsid "$SELF"`
}

var _ io.Writer = (*transcript)(nil)
