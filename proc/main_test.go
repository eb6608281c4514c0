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

	"silo/wait/waittest"
)

// roleKey makes the test binary act as a program of a tree instead of running tests.
const roleKey = "PROC_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleKey)
	if role == "" {
		goleak.VerifyTestMain(m)
		return
	}
	_ = os.Unsetenv(roleKey)
	os.Exit(runRole(role, os.Args[1:]))
}

// runRole runs the test binary in a role.
func runRole(role string, args []string) int {
	ctx := context.Background()
	switch role {
	case "setsid": // exec sh as the leader of a session
		_, _ = unix.Setsid()
		fmt.Fprintln(os.Stderr, syscall.Exec("/bin/sh", append([]string{"sh"}, args...), os.Environ()))
	case "foreground":
		code, err := Foreground(ctx, args, "", nil, os.Stdin, os.Stdout, os.Stderr)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return code
	case "parent": // start a child that ends with this process
		p, err := Start(Spec{Argv: args, Output: os.Stdout, DeathSignal: "TERM"})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		<-p.Done()
	case "guardian":
		return runGuardian(args[0])
	case "supervisor":
		return runSupervisor(args)
	case "killmarked": // as a process inside the marked tree
		killed, err := KillMarked(ctx, args[0])
		fmt.Println(len(killed), err)
		return 0
	}
	return 1
}

// withRole returns an environment in which the test binary runs in a role.
func withRole(role string, more ...string) []string {
	return append(append(os.Environ(), roleKey+"="+role, "GORACE=atexit_sleep_ms=0"), more...)
}

// recorder is an Output that a test can wait for.
type recorder struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
	more chan struct{}
}

func newRecorder() *recorder { return &recorder{more: make(chan struct{}, 1)} }

func (s *recorder) Write(block []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(block)
	select {
	case s.more <- struct{}{}:
	default:
	}
	return len(block), nil
}

func (s *recorder) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await blocks until text has been written count times.
func (s *recorder) await(t testing.TB, text string, count int) {
	t.Helper()
	limit := time.After(waittest.Limit)
	for strings.Count(s.String(), text) < count {
		select {
		case <-s.more:
		case <-limit:
			t.Fatalf("the output does not contain %q %d times: %q", text, count, s.String())
		}
	}
}

// tree is a running tree of shells. All of its processes inherit descriptor 9, a named
// pipe. EOF on it proves, independently of this package, that none of them is left.
type tree struct {
	*Process
	output *recorder
	alive  *os.File
}

// startTree runs script as the leader of a tree, and sweeps it when the test ends.
func startTree(t testing.TB, script string, env ...string) tree {
	t.Helper()
	return startTreeOn(t, false, script, env...)
}

// startTreeOn is startTree on a terminal or a pipe.
func startTreeOn(t testing.TB, tty bool, script string, env ...string) tree {
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
	output := newRecorder()
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
		t.Errorf("the tree has not ended: read %d bytes, %v; found: %v", n, err, tr.Tree())
	}
}

// newSession returns a command that starts sh in a new session.
func newSession() string {
	if path, err := exec.LookPath("setsid"); err == nil {
		return path + " sh"
	}
	return roleKey + `=setsid "$SELF"`
}

var _ io.Writer = (*recorder)(nil)
