// Package proc runs a child and everything that it starts until all of it has
// ended, and passes on its output.
//
// It must not know what a child is for, nor about silos, Sentry or ports. On Linux a
// tree is found by parents, sessions, adoption (see BecomeSubreaper), a marker in the
// environment and the pipe of its output; on macOS only by parents, sessions and
// marker.
package proc

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// drainTimeout bounds the wait, after a process has ended, until its output has been read
// and passed on. A pipe holds only 64 KiB, so the limit matters only if Output blocks or a
// descendant writes continuously.
const drainTimeout = 2 * time.Second

// Spec describes a child.
type Spec struct {
	Argv []string // Argv[0] is looked up in the PATH of Env, relative to Dir
	Dir  string   // working directory; empty: this process's
	Env  []string // the whole environment; the last of equal keys counts; nil: this process's

	// Marker is a KEY=VALUE of Env. It identifies descendants that have left both the
	// session and the line of parents. Empty: none.
	Marker string

	// Output receives the raw bytes of stdout and stderr in the order in which they
	// were written, in blocks of at most 64 KiB, from one goroutine. It must not keep a
	// block, and may block for a while but not forever. Its errors are ignored: the
	// child continues, and so does reading. Nil: discarded.
	Output io.Writer

	// TTY gives the child a terminal as stdout and stderr instead of a pipe, for
	// programs that use color or flush only there. The terminal is 120 columns wide, in
	// raw mode, so that Output gets the bytes as written, and does not control the
	// session: the child cannot read a password from it, and gets no SIGHUP when it is
	// closed. It does not identify descendants to a guardian, which outlives it.
	TTY bool

	// Input gives the child a standard input, for Process.Input, instead of /dev/null.
	Input bool

	// Console, with Input, makes one terminal of this size the child's standard input,
	// output and error. Unlike that of TTY it is cooked and controls the session: it
	// echoes, and turns typed keys into signals. Nil: pipes.
	Console *Size

	// DeathSignal is the signal ("TERM") that the kernel sends the leader if this
	// process dies first. Linux only; empty: none.
	DeathSignal string
}

// Process is a started child, the leader, and everything that it starts. Its methods
// may be called from any goroutine at any time.
type Process struct {
	pid    int
	start  string // start time
	marker string
	pipe   string // the kernel's name for its output pipe or terminal
	handle *os.Process
	pump   *pump
	// terminal is the child's end of its terminal; nil for a pipe. It stays open as long
	// as members are searched for: once it is closed, the kernel may give its name to
	// another terminal, perhaps the user's.
	terminal *os.File
	input    *Input // nil without Spec.Input

	exited chan struct{} // closed once the leader is reaped
	done   chan struct{} // closed once it is reaped and its output passed on
	exit   Exit          // written before exited is closed

	mu    sync.Mutex     // guards known
	known map[int]string // start times of the members seen so far, by PID; replaced, never changed

	stopping      atomic.Bool
	skipGrace     chan struct{} // closed to cut short the current Stop's grace period
	skipGraceOnce sync.Once
	stopped       chan struct{} // closed once result is written
	result        Result
}

// Start runs spec in its own session and process group, with /dev/null as standard
// input and no descriptors except the first three. It returns once the program is
// executing. An error names Argv[0] and wraps ErrNotFound, ErrNotExecutable or the
// system's error. The caller must call Stop or Sweep, even if the leader has exited.
func Start(spec Spec) (*Process, error) {
	cmd, err := command(spec.Argv, spec.Dir, spec.Env)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := setDeathSignal(cmd.SysProcAttr, spec.DeathSignal); err != nil {
		return nil, fmt.Errorf("start %q: %w", spec.Argv[0], err)
	}
	reader, writer, err := outputPipe(spec)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", spec.Argv[0], err)
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	input, stdin, err := openInput(spec, reader, writer)
	if err != nil {
		_, _ = reader.Close(), writer.Close()
		return nil, fmt.Errorf("start %q: %w", spec.Argv[0], err)
	}
	if stdin != nil {
		cmd.Stdin = stdin
		cmd.SysProcAttr.Setctty = spec.Console != nil // of descriptor 0
	}
	p := &Process{
		marker:    spec.Marker,
		pipe:      outputOf(writer),
		pump:      newPump(reader, spec.Output),
		exited:    make(chan struct{}),
		done:      make(chan struct{}),
		skipGrace: make(chan struct{}),
		stopped:   make(chan struct{}),
		input:     input,
	}
	if spec.TTY || spec.Console != nil {
		p.terminal = writer
	}
	closeOnExec()
	err = p.launch(cmd)
	if stdin != nil && stdin != writer {
		_ = stdin.Close() // only the child keeps the pipe open
	}
	if err != nil {
		_, _ = reader.Close(), writer.Close()
		_ = input.Close()
		return nil, startError(cmd, spec.Argv[0], err)
	}
	if p.terminal == nil {
		_ = writer.Close()
	}
	go p.pump.run()
	go p.wait()
	return p, nil
}

// launch starts the leader and records it in the journal.
func (p *Process) launch(cmd *exec.Cmd) error {
	guard := children.currentGuard()
	if guard != nil && p.terminal == nil {
		guard.write(entry{Fork: starting, Pipe: p.pipe, Marker: p.marker})
	}
	if err := children.start(cmd); err != nil {
		if guard != nil && p.terminal == nil {
			guard.write(entry{Fork: aborted, Pipe: p.pipe, Marker: p.marker})
		}
		return err
	}
	p.pid, p.handle = cmd.Process.Pid, cmd.Process
	// Not reaped yet, so the PID is the child's, even if it has ended.
	p.start, _ = StartTime(p.pid)
	if guard != nil {
		guard.started(p)
	}
	return nil
}

// wait reaps the leader, and then waits until its output has been passed on.
func (p *Process) wait() {
	defer close(p.done)
	awaitExit(p.pid)
	state, _ := p.handle.Wait() // see exitOf
	children.remove(p.pid)
	p.exit = exitOf(state)
	close(p.exited)
	p.pump.drain(drainTimeout)
}

// PID returns the leader's PID, which is also its session and process group.
func (p *Process) PID() int { return p.pid }

// Input returns the child's standard input; nil without Spec.Input.
func (p *Process) Input() *Input { return p.input }

// StartTime returns when the leader started. Together with PID it identifies a process
// for as long as the machine is up. Compare it only with what the function StartTime
// returns for the same PID.
func (p *Process) StartTime() string { return p.start }

// Done is closed once the leader has ended and been reaped, and its output has been
// passed to Output. A descendant that has the pipe open does not delay it; its output
// is passed on until Stop or Sweep has ended it.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit returns how the leader ended. It blocks until Done is closed.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// command prepares a command, looking up its program in its own environment and
// directory.
func command(argv []string, dir string, env []string) (*exec.Cmd, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, fmt.Errorf("start: %w: no command", ErrNotFound)
	}
	if env == nil {
		env = os.Environ()
	}
	program, err := find(argv[0], dir, env)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", argv[0], err)
	}
	return &exec.Cmd{Path: program, Args: argv, Dir: dir, Env: env}, nil
}
