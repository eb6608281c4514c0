package proc

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// closeTimeout is how long a guardian may take to exit when it is no longer needed.
	closeTimeout = time.Second
	// restartInterval bounds how often a guardian that exits at once is replaced.
	restartInterval = time.Second
)

// guardianScript waits for EOF on a pipe. A shell uses a tenth of the memory that this
// program would use, and never wakes up. The program may have been replaced or removed in
// the meantime, as `go run` does when its own process ends: Linux then runs it from
// descriptor 4.
const guardianScript = `trap '' HUP INT QUIT TERM
read -r word
[ "$word" = done ] && exit
[ -x "$0" ] && exec "$0" "$@"
exec /proc/self/fd/4 "$@"
`

// Guard runs a second process, the guardian, which survives this one and then ends the
// trees started by Start. It reads a pipe whose other end only this process has open, so
// it detects even a SIGKILL at once. If the guardian is killed, it is replaced, at most
// once a second.
type Guard struct {
	argv, env []string
	lost      func(error)
	journal   *os.File // unlinked: it exists only while a process has it open

	closing sync.Once
	quit    chan struct{} // closed when a guardian is no longer needed
	idle    chan struct{} // closed once there is no guardian

	mu      sync.Mutex  // guards the fields below
	pipe    *os.File    // nil while there is no guardian
	process *os.Process // the guardian that reads pipe
}

// StartGuard arranges for argv to run when this process ends without Close. Its
// descriptor JournalDescriptor is the journal, for ReadJournal, of all trees that Start
// starts from now on. argv[0] is a path. The guardian has its own session and the
// environment env, runs in the root directory and has no output. The journal is an
// unlinked file in dir. lost is called from another goroutine for each guardian that
// ended early. A process has at most one Guard.
func StartGuard(argv, env []string, dir string, lost func(error)) (*Guard, error) {
	journal, err := os.CreateTemp(dir, "trees-*")
	if err != nil {
		return nil, fmt.Errorf("create the journal of processes: %w", err)
	}
	g := &Guard{
		argv: argv, env: env, lost: lost, journal: journal,
		quit: make(chan struct{}), idle: make(chan struct{}),
	}
	err = os.Remove(journal.Name()) //nolint:gosec // G703: CreateTemp has just created it
	var cmd *exec.Cmd
	if err == nil {
		cmd, err = g.start()
	}
	if err != nil {
		_ = journal.Close()
		return nil, err
	}
	children.setGuard(g)
	go g.supervise(cmd)
	return g, nil
}

// JournalDescriptor is the descriptor of the journal in a guardian.
const JournalDescriptor = 3

// Close makes the guardian exit without running anything. It kills one that takes
// longer than a second. It may be called again.
func (g *Guard) Close() {
	g.closing.Do(func() {
		children.setGuard(nil)
		close(g.quit)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.dismiss()
	})
	if waitClosed(g.idle, closeTimeout) {
		return
	}
	g.mu.Lock()
	if g.process != nil {
		_ = g.process.Kill() // it may have ended
	}
	g.mu.Unlock()
	<-g.idle
}

func (g *Guard) start() (*exec.Cmd, error) {
	cmd, err := command(append([]string{"/bin/sh", "-c", guardianScript}, g.argv...), "/", g.env)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	defer func() { _ = reader.Close() }() // the guardian has its own
	cmd.Stdin = reader
	cmd.ExtraFiles = []*os.File{g.journal}
	if program, err := os.Open(g.argv[0]); err == nil { // otherwise only the path remains
		defer func() { _ = program.Close() }()
		cmd.ExtraFiles = append(cmd.ExtraFiles, program)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeOnExec()
	if err := children.start(cmd); err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("start the guardian: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pipe, g.process = writer, cmd.Process
	if isClosed(g.quit) {
		g.dismiss() // Close has already dismissed the previous one
	}
	return cmd, nil
}

// supervise replaces guardians that end early.
func (g *Guard) supervise(cmd *exec.Cmd) {
	defer close(g.idle)
	defer func() { _ = g.journal.Close() }()
	for {
		began := time.Now()
		if cmd != nil {
			awaitExit(cmd.Process.Pid)
			exit := children.wait(cmd)
			g.mu.Lock()
			_ = g.pipe.Close() // not earlier: the old guardian would take this for the death of the process
			g.pipe, g.process = nil, nil
			g.mu.Unlock()
			if isClosed(g.quit) {
				return
			}
			g.lost(fmt.Errorf("the guardian, which cleans up if this process is killed, has ended (%v)", exit))
		}
		if waitClosed(g.quit, restartInterval-time.Since(began)) {
			return
		}
		cmd, _ = g.start() // tried again after the interval
	}
}

// dismiss makes the guardian exit. The caller must hold mu.
func (g *Guard) dismiss() {
	if g.pipe != nil {
		_, _ = g.pipe.WriteString("done\n") // it may have ended
	}
}

// started records the leader of a new tree.
func (g *Guard) started(p *Process) {
	e := entry{Leader: p.pid, Start: p.start, Marker: p.marker, Pipe: p.pipe}
	if p.terminal != nil {
		e.Pipe = "" // the kernel may reuse its name for another terminal
	}
	g.write(e)
}

// write appends a line to the journal with a single write, so that lines of two goroutines
// are not interleaved. If it fails, trees can still be found by their markers.
func (g *Guard) write(e entry) {
	if line, err := json.Marshal(e); err == nil {
		_, _ = g.journal.Write(append(line, '\n'))
	}
}
