//go:build linux

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience bounds every wait for a contender.
const patience = 2 * time.Minute

// trial is one contender at work: its process, and all that it has started,
// which is known by a random mark in the environment.
type trial struct {
	contender
	count, lines int
	port         int // the first of count
	dir, mark    string
	tools        tools
	journal      *journal
	supervisor   *exec.Cmd
	begun        int64         // when it was launched, CLOCK_MONOTONIC ns, as all times here
	said         int64         // when the first byte came to its standard output; valid once spoke is closed
	spoke        chan struct{} // closed at the first byte, or at the end
	readers      sync.WaitGroup
	sink         *os.File // its standard output where that is a file
}

func now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // the clock is always there
	return t.Nano()
}

// launch starts a contender with count stubs. With lines they are producers, and
// its output goes to a file; else they serve, and its output is read from a pipe.
func (b *bench) launch(ctx context.Context, c contender, count, lines int) (*trial, error) {
	t := &trial{contender: c, count: count, lines: lines, mark: "BENCH_RUN=" + rand.Text(), tools: b.tools, spoke: make(chan struct{})}
	var err error
	if t.dir, err = os.MkdirTemp(b.tmp, c.name+"-"); err != nil {
		return nil, err
	}
	if t.port, err = freePorts(ctx, b, count); err != nil {
		return nil, err
	}
	if t.journal, err = newJournal(filepath.Join(t.dir, "events")); err != nil {
		return nil, err
	}
	err = errors.Join(os.Mkdir(filepath.Join(t.dir, "raw"), 0o700), unix.Mkfifo(filepath.Join(t.dir, "go"), 0o600))
	if err != nil {
		return nil, err
	}
	argv, err := c.argv(t, b.tools)
	if err != nil {
		return nil, err
	}
	if err := t.start(ctx, argv); err != nil {
		return nil, errors.Join(err, t.clear())
	}
	return t, nil
}

func (t *trial) stub(at tools) []string {
	if t.lines > 0 {
		return []string{at.stub, "produce", strconv.Itoa(t.lines)}
	}
	return []string{at.stub, "serve"}
}

// environ is the caller's, less what would lead silo elsewhere.
func (t *trial) environ() []string {
	env := []string{
		t.mark, "SILO_STATE_DIR=" + filepath.Join(t.dir, "state"), "XDG_RUNTIME_DIR=" + t.dir,
		"BENCH_EVENTS=" + t.journal.path, "BENCH_GO=" + filepath.Join(t.dir, "go"), "BENCH_RAW=" + filepath.Join(t.dir, "raw"),
	}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SILO_") && !strings.HasPrefix(entry, "SENTRY_") && !strings.HasPrefix(entry, "XDG_") && !strings.HasPrefix(entry, "BENCH_") {
			env = append(env, entry)
		}
	}
	return env
}

func (t *trial) start(ctx context.Context, argv []string) error {
	cmd := command(context.WithoutCancel(ctx), argv...) // clear ends it, and the rest with it
	cmd.Dir, cmd.Env = t.dir, t.environ()
	talk, err := os.Create(filepath.Join(t.dir, "stderr"))
	if err != nil {
		return err
	}
	defer func() { _ = talk.Close() }() // the child has its own
	cmd.Stderr = talk
	var pipe io.Reader
	if t.lines > 0 {
		t.sink, err = os.Create(filepath.Join(t.dir, "stdout"))
		cmd.Stdout = t.sink
	} else {
		pipe, err = cmd.StdoutPipe()
	}
	if err != nil {
		return err
	}
	t.begun = now()
	if err := cmd.Start(); err != nil {
		return err
	}
	t.supervisor = cmd
	if pipe != nil {
		t.readers.Go(func() { t.listen(pipe) })
	}
	return nil
}

// listen notes when the supervisor speaks: silent stubs leave that to its own words.
func (t *trial) listen(pipe io.Reader) {
	block := make([]byte, 64<<10)
	for first := true; ; first = false {
		n, err := pipe.Read(block)
		if first {
			if t.said = now(); n == 0 {
				t.said = 0
			}
			close(t.spoke)
		}
		if err != nil {
			return
		}
	}
}

// stop tells the supervisor alone to end, and returns how long it took until the
// last stub had gone, and until the supervisor had.
func (t *trial) stop(ctx context.Context) (stubs, supervisor time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pid, over := t.supervisor.Process.Pid, make(chan int64, 1)
	asked := now()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return 0, 0, err
	}
	go func() { // ends with the supervisor, which clear sees to
		t.readers.Wait()
		_ = t.supervisor.Wait() // how it exited is told by what is left
		over <- now()
	}()
	var ended int64
	select {
	case ended = <-over:
	case <-ctx.Done():
		return 0, 0, t.trouble("it did not stop")
	}
	last, err := t.journal.await(ctx, "ends", t.count)
	if err != nil {
		return 0, 0, t.trouble(err.Error())
	}
	if left := marked(t.mark); len(left) > 0 {
		return 0, 0, t.trouble(fmt.Sprintf("%d processes are left", len(left)))
	}
	return time.Duration(last.mono - asked), time.Duration(ended - asked), nil
}

// trouble is an error with the supervisor's last words.
func (t *trial) trouble(what string) error {
	text, _ := os.ReadFile(filepath.Join(t.dir, "stderr")) // without them the error is told all the same
	return fmt.Errorf("%s; it said: %s", what, text[max(0, len(text)-2000):])
}

// clear kills whatever is left of a trial, by its mark, and removes its files.
func (t *trial) clear() error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		left := marked(t.mark)
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may be gone by now
		}
		<-time.After(5 * time.Millisecond)
	}
	if t.sink != nil {
		_ = t.sink.Close() // removed below
	}
	return errors.Join(t.journal.close(), os.RemoveAll(t.dir))
}

// freePorts finds count free ports in a row, below those that the kernel gives
// out and those that silo's own tunnels prefer.
func freePorts(ctx context.Context, b *bench, count int) (int, error) {
	for range 100 {
		first := 10000 + b.dice.IntN(9000)
		if free(ctx, first, count) {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d free ports in a row", count)
}

func free(ctx context.Context, first, count int) bool {
	for port := first; port < first+count; port++ {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close() // nothing was accepted
	}
	return true
}
