// Package proc runs one child and everything it spawns to its certain end, and
// hands out its output.
//
// It knows processes, signals and pipes. It must not know what a child is for:
// no silo, no Sentry, no port. On Linux a tree is found by parents, sessions,
// adoption (see Subreap), a marker in the environment and the pipe that they write
// to; on macOS by parents, sessions and marker alone.
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

// drainLimit bounds how long the end of a process waits for its output to be
// read and written on. A pipe holds 64 KiB, so only an Output that blocks, or a
// descendant that writes without pause, ever needs it.
const drainLimit = 2 * time.Second

// Spec says what to run.
type Spec struct {
	Argv []string // Argv[0] is looked up in the PATH of Env, relative to Dir
	Dir  string   // working directory; empty: this process's
	Env  []string // the whole environment, the last of equal keys counts; nil: this process's

	// Marker is a KEY=VALUE of Env by which descendants are known that have left
	// both the session and the line of parents. Empty: none.
	Marker string

	// Output gets the raw bytes of stdout and stderr in the order in which they
	// were written, in blocks of at most 64 KiB, from one goroutine, which does
	// not keep the block. It may block for a while but not for ever. Its errors are
	// not looked at: neither the child nor the draining stops. Nil: discarded.
	Output io.Writer

	// TTY gives the child a terminal of its own as stdout and stderr, in place of a
	// pipe, for programs that colour or flush only there. It is 120 columns wide, in
	// raw mode, so that Output gets the bytes that were written, and does not control
	// the session: there is no reading a password from it, and its end hangs nobody up.
	// A guardian, which outlives the terminal, does not know descendants by it.
	TTY bool

	// DeathSignal is the signal ("TERM") which the kernel sends the leader should this
	// process die first. Linux only; empty: none.
	DeathSignal string
}

// Process is a started child, the leader, with all that it spawns. Its methods
// may be called from any goroutine at any time.
type Process struct {
	pid    int
	start  string
	marker string
	pipe   string
	handle *os.Process
	pump   *pump
	// far is the child's end of its terminal; nil for a pipe. It is held as long as the
	// tree is looked for: a terminal's name goes to another, the user's own perhaps,
	// once nobody holds it.
	far *os.File

	dead chan struct{} // closed once the leader is reaped
	done chan struct{} // closed once dead and drained
	exit Exit          // written before dead is closed

	mu    sync.Mutex     // guards known
	known map[int]string // start times of the members seen so far, by PID

	stopping atomic.Bool
	hurry    chan struct{} // closed to end the grace of a Stop under way
	hurried  sync.Once
	stopped  chan struct{} // closed once result is written
	result   Result
}

// Start runs spec in a session and process group of its own, with /dev/null as
// standard input and no descriptor beyond the first three. It returns once the
// program is executing. An error names Argv[0] and wraps ErrNotFound,
// ErrNotExecutable or the system's error. The caller ends a Process with Stop or
// Sweep, also after the leader has ended by itself.
func Start(spec Spec) (*Process, error) {
	cmd, err := command(spec.Argv, spec.Dir, spec.Env)
	if err != nil {
		return nil, err
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := setDeathSignal(cmd.SysProcAttr, spec.DeathSignal); err != nil {
		return nil, fmt.Errorf("start %q: %w", spec.Argv[0], err)
	}
	reader, writer, err := channel(spec.TTY)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", spec.Argv[0], err)
	}
	cmd.Stdout, cmd.Stderr = writer, writer
	pipe := nameOf(writer)
	closeOnExec()
	guard := ours.guarded()
	if guard != nil && !spec.TTY {
		guard.expect(pipe, spec.Marker)
	}
	err = ours.spawn(cmd)
	if err != nil || !spec.TTY {
		_ = writer.Close() // the child's copy alone shall keep the pipe open
		writer = nil
	}
	if err != nil {
		_ = reader.Close()
		if guard != nil && !spec.TTY {
			guard.miscarried(pipe, spec.Marker)
		}
		return nil, startError(cmd, spec.Argv[0], err)
	}
	p := &Process{
		pid:     cmd.Process.Pid,
		marker:  spec.Marker,
		pipe:    pipe,
		far:     writer,
		handle:  cmd.Process,
		dead:    make(chan struct{}),
		done:    make(chan struct{}),
		known:   map[int]string{},
		hurry:   make(chan struct{}),
		stopped: make(chan struct{}),
	}
	// Not reaped yet, so the number is the child's, though it may have ended.
	p.start, _ = StartTime(p.pid)
	if guard != nil {
		guard.planted(p)
	}
	p.pump = newPump(reader, spec.Output)
	go p.pump.run()
	go p.wait()
	return p, nil
}

// wait reaps the leader, then sees to it that what it wrote is handed on.
func (p *Process) wait() {
	defer close(p.done)
	awaitExit(p.pid)
	status, _ := p.handle.Wait() // exitOf tells why the error is of no use
	ours.forget(p.pid)
	p.exit = exitOf(status)
	close(p.dead)
	p.pump.settle(drainLimit)
}

// PID is the leader's process, session and process group number.
func (p *Process) PID() int { return p.pid }

// StartTime is when the leader started, as the kernel tells it: together with
// PID it names one process for as long as the machine is up. Compare it only
// with what StartTime gives for the same PID.
func (p *Process) StartTime() string { return p.start }

// Done is closed once the leader has ended and been reaped, and what it had
// written has been passed to Output. A descendant that holds the pipe does not
// delay it; its output is passed on until Stop or Sweep has ended it.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the leader ended. It blocks until Done is closed.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// ended tells whether the leader is reaped, its number perhaps already another's.
func (p *Process) ended() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// command is argv ready to start, with its program found as its own environment
// and directory say.
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

// ours are the children that this process has started and not yet reaped. What
// else the kernel lists as its child has come to it by adoption. The kernel keeps
// one such list a process, and so does this variable.
var ours = family{pids: map[int]bool{}}

type family struct {
	births sync.RWMutex // read-held over a fork: a look, which holds it, falls between no birth and its entry
	mu     sync.Mutex   // guards what follows
	pids   map[int]bool
	adopts bool // Subreap has succeeded
	guard  *Guard
}

func (f *family) entrust(g *Guard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.guard = g
}

func (f *family) guarded() *Guard {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.guard
}

func (f *family) spawn(cmd *exec.Cmd) error {
	f.births.RLock()
	defer f.births.RUnlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pids[cmd.Process.Pid] = true
	return nil
}

// WithForkLock calls f while no child of this package's is between its fork and
// the execution of its program: until then it has a copy of every open descriptor,
// and a port that this process lets go of stays taken. It blocks for as long as the
// births under way take, milliseconds; f must not start anything.
func WithForkLock(f func()) {
	ours.births.Lock()
	defer ours.births.Unlock()
	f()
}

func (f *family) forget(pid int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.pids, pid)
}

// wait waits for a child that has no Process and returns how it ended.
func (f *family) wait(cmd *exec.Cmd) Exit {
	_ = cmd.Wait() // exitOf tells why the error is of no use
	f.forget(cmd.Process.Pid)
	return exitOf(cmd.ProcessState)
}
