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

// waitLimit bounds every wait for a contender.
const waitLimit = 2 * time.Minute

// trial is one run of a contender. A random mark in the environment identifies its
// processes.
type trial struct {
	contender
	count, lines int
	port         int // the first of count ports
	dir, mark    string
	tools        tools
	eventLog     *eventLog
	supervisor   *exec.Cmd
	startedAt    int64         // CLOCK_MONOTONIC ns, like all times here
	readyAt      int64         // first byte on standard output; valid once readyPrinted is closed
	readyPrinted chan struct{} // closed at the first byte, or at EOF
	readers      sync.WaitGroup
	sink         *os.File // its standard output, if that is a file
}

func now() int64 {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) // never fails
	return t.Nano()
}

// launch starts a contender with count stubs. With lines, the stubs are producers and the
// output goes to a file. Otherwise they are servers and the output goes to a pipe.
func (b *bench) launch(ctx context.Context, c contender, count, lines int) (*trial, error) {
	t := &trial{contender: c, count: count, lines: lines, mark: "BENCH_RUN=" + rand.Text(), tools: b.tools, readyPrinted: make(chan struct{})}
	var err error
	if t.dir, err = os.MkdirTemp(b.tmp, c.name+"-"); err != nil {
		return nil, err
	}
	if t.port, err = freePorts(ctx, b, count); err != nil {
		return nil, err
	}
	if t.eventLog, err = newEventLog(filepath.Join(t.dir, "events")); err != nil {
		return nil, err
	}
	err = errors.Join(os.Mkdir(filepath.Join(t.dir, "raw"), 0o700), unix.Mkfifo(filepath.Join(t.dir, "go"), 0o600))
	if err != nil {
		return nil, err
	}
	argv, err := c.argv(t)
	if err != nil {
		return nil, err
	}
	if err := t.start(ctx, argv); err != nil {
		return nil, errors.Join(err, t.clear())
	}
	return t, nil
}

func (t *trial) stub() []string {
	if t.lines > 0 {
		return []string{t.tools.stub, "produce", strconv.Itoa(t.lines)}
	}
	return []string{t.tools.stub, "serve"}
}

// environ returns the caller's environment without variables that affect silo.
func (t *trial) environ() []string {
	env := []string{
		t.mark, "SILO_STATE_DIR=" + filepath.Join(t.dir, "state"), "XDG_RUNTIME_DIR=" + t.dir,
		"BENCH_EVENTS=" + t.eventLog.path, "BENCH_GO=" + filepath.Join(t.dir, "go"), "BENCH_RAW=" + filepath.Join(t.dir, "raw"),
	}
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "SILO_") && !strings.HasPrefix(entry, "SENTRY_") && !strings.HasPrefix(entry, "XDG_") && !strings.HasPrefix(entry, "BENCH_") {
			env = append(env, entry)
		}
	}
	return env
}

func (t *trial) start(ctx context.Context, argv []string) error {
	cmd := command(context.WithoutCancel(ctx), argv...) // clear kills it
	cmd.Dir, cmd.Env = t.dir, t.environ()
	progress, err := os.Create(filepath.Join(t.dir, "stderr"))
	if err != nil {
		return err
	}
	defer func() { _ = progress.Close() }() // the child has its own descriptor
	cmd.Stderr = progress
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
	t.startedAt = now()
	if err := cmd.Start(); err != nil {
		return err
	}
	t.supervisor = cmd
	if pipe != nil {
		t.readers.Go(func() { t.listen(pipe) })
	}
	return nil
}

// listen records the first output. The stubs are silent, so it is the supervisor's.
func (t *trial) listen(pipe io.Reader) {
	block := make([]byte, 64<<10)
	for first := true; ; first = false {
		n, err := pipe.Read(block)
		if first {
			if t.readyAt = now(); n == 0 {
				t.readyAt = 0
			}
			close(t.readyPrinted)
		}
		if err != nil {
			return
		}
	}
}

// stop sends SIGTERM to the supervisor only. It returns the times until the last stub and
// until the supervisor have exited.
func (t *trial) stop(ctx context.Context) (stubs, supervisor time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	pid, over := t.supervisor.Process.Pid, make(chan int64, 1)
	asked := now()
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return 0, 0, err
	}
	go func() { // ends when clear has killed the supervisor
		t.readers.Wait()
		_ = t.supervisor.Wait() // the leftovers matter, not the status
		over <- now()
	}()
	var ended int64
	select {
	case ended = <-over:
	case <-ctx.Done():
		return 0, 0, t.fail("did not stop")
	}
	last, err := t.eventLog.await(ctx, "ends", t.count)
	if err != nil {
		return 0, 0, t.fail(err.Error())
	}
	if left := processesOf(t.mark); len(left) > 0 {
		return 0, 0, t.fail(fmt.Sprintf("%d processes remain", len(left)))
	}
	return time.Duration(last.mono - asked), time.Duration(ended - asked), nil
}

// fail returns an error with the end of the supervisor's standard error.
func (t *trial) fail(what string) error {
	text, _ := os.ReadFile(filepath.Join(t.dir, "stderr")) // missing: left out
	return fmt.Errorf("%s; stderr: %s", what, text[max(0, len(text)-2000):])
}

// clear kills the remaining processes of a trial and removes its files.
func (t *trial) clear() error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		left := processesOf(t.mark)
		if len(left) == 0 {
			break
		}
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have exited
		}
		<-time.After(5 * time.Millisecond)
	}
	if t.sink != nil {
		_ = t.sink.Close() // the file is removed below
	}
	return errors.Join(t.eventLog.close(), os.RemoveAll(t.dir))
}

// freePorts returns the first of count consecutive free ports, below the ephemeral range
// and below silo's own tunnels.
func freePorts(ctx context.Context, b *bench, count int) (int, error) {
	for range 100 {
		first := 10000 + b.rng.IntN(9000)
		if free(ctx, first, count) {
			return first, nil
		}
	}
	return 0, fmt.Errorf("no %d consecutive free ports", count)
}

func free(ctx context.Context, first, count int) bool {
	for port := first; port < first+count; port++ {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return false
		}
		_ = l.Close() // it accepted nothing
	}
	return true
}
