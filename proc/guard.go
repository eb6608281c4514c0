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
	// dismissLimit is what a guardian has to go when it is no longer needed.
	dismissLimit = time.Second
	// rebirthPause keeps a guardian that cannot live from being started without end.
	rebirthPause = time.Second
)

// vigil is what a guardian does until it is needed. A shell that waits for a pipe
// to end takes a tenth of the memory that this program would take for the same,
// and never wakes up. The program may have been replaced or removed meanwhile, as
// `go run` does when its own process ends: Linux runs it from its descriptor then.
const vigil = `trap '' HUP INT QUIT TERM
read -r word
[ "$word" = done ] && exit
[ -x "$0" ] && exec "$0" "$@"
exec /proc/self/fd/4 "$@"
`

// Guard is another process, the guardian, that survives this one and then ends
// what Start has started. It reads a pipe whose other end this process alone holds,
// so that the kernel tells it of any death at once. A guardian that is killed is
// replaced by another; one that dies young, after a second.
type Guard struct {
	argv, env []string
	lost      func(error)
	born      string   // this process's start time
	record    *os.File // has no name: it is there for as long as somebody holds it

	closing sync.Once
	quit    chan struct{} // closed when no guardian is wanted any more
	idle    chan struct{} // closed once none is left

	mu      sync.Mutex  // guards what follows
	pipe    *os.File    // nil while there is no guardian
	process *os.Process // the guardian that reads pipe
}

// note is one line of the record.
type note struct {
	Leader int    `json:"leader,omitempty"`
	Start  string `json:"start,omitempty"`
	Marker string `json:"marker,omitempty"`
	Pipe   string `json:"pipe,omitempty"`
	Gone   int    `json:"gone,omitempty"` // the leader of a tree that has been swept

	// Birth says that a tree is about to be planted, or that none was after all: a
	// process that dies between a fork and its note would leave a tree that nothing
	// but its marker tells of.
	Birth birth `json:"birth,omitempty"`
}

type birth string

const (
	expected    birth = "expected"
	miscarriage birth = "miscarriage"
)

// StartGuard sees to it that argv is run once this process has ended without
// Close, and finds there, as descriptor JournalDescriptor, the record of all trees
// that Start has planted from now on, for Inherit. argv[0] is a path. The guardian
// has a session of its own, works in the root directory, and its output is
// discarded; env is the whole environment. The record is a file without a name in
// dir. lost is told, from another goroutine, of each guardian that ended before
// its time. A process has one guard.
func StartGuard(argv, env []string, dir string, lost func(error)) (*Guard, error) {
	record, err := os.CreateTemp(dir, "trees-*")
	if err != nil {
		return nil, fmt.Errorf("make a record of processes: %w", err)
	}
	g := &Guard{
		argv: argv, env: env, lost: lost, record: record,
		quit: make(chan struct{}), idle: make(chan struct{}),
	}
	g.born, _ = StartTime(os.Getpid()) // without it a tree that was expected is looked for among all processes
	err = os.Remove(record.Name())     //nolint:gosec // G703: CreateTemp has just made it
	var cmd *exec.Cmd
	if err == nil {
		cmd, err = g.start()
	}
	if err != nil {
		_ = record.Close()
		return nil, err
	}
	ours.entrust(g)
	go g.keep(cmd)
	return g, nil
}

// JournalDescriptor is where a guardian finds what Inherit reads.
const JournalDescriptor = 3

// Close sends the guardian away without having it run anything, and returns when
// it has gone: within a second, or it is killed. It may be called again.
func (g *Guard) Close() {
	g.closing.Do(func() {
		ours.entrust(nil)
		close(g.quit)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.dismiss()
	})
	select {
	case <-g.idle:
		return
	case <-time.After(dismissLimit):
	}
	g.mu.Lock()
	if g.process != nil {
		_ = g.process.Kill() // it may be over by now
	}
	g.mu.Unlock()
	<-g.idle
}

// start starts a guardian.
func (g *Guard) start() (*exec.Cmd, error) {
	cmd, err := command(append([]string{"/bin/sh", "-c", vigil}, g.argv...), "/", g.env)
	if err != nil {
		return nil, err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start a guardian: %w", err)
	}
	defer func() { _ = reader.Close() }() // the guardian has its own
	cmd.Stdin = reader
	cmd.ExtraFiles = []*os.File{g.record}
	if program, err := os.Open(g.argv[0]); err == nil { // else the path must do
		defer func() { _ = program.Close() }()
		cmd.ExtraFiles = append(cmd.ExtraFiles, program)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	closeOnExec()
	if err := ours.spawn(cmd); err != nil {
		_ = writer.Close()
		return nil, fmt.Errorf("start a guardian: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pipe, g.process = writer, cmd.Process
	if g.unwanted() {
		g.dismiss() // Close has spoken to the one before
	}
	return cmd, nil
}

// keep waits for guardians to end, and replaces those that should not have.
func (g *Guard) keep(cmd *exec.Cmd) {
	defer close(g.idle)
	defer func() { _ = g.record.Close() }() // nobody reads it any more
	for {
		born := time.Now()
		if cmd != nil {
			awaitExit(cmd.Process.Pid)
			exit := ours.wait(cmd)
			g.bereft()
			if g.unwanted() {
				return
			}
			g.lost(fmt.Errorf("the guardian, which would clear up after this process, has ended (%v)", exit))
		}
		select {
		case <-g.quit:
			return
		case <-time.After(max(0, rebirthPause-time.Since(born))):
		}
		cmd, _ = g.start() // tried again after the pause
	}
}

func (g *Guard) unwanted() bool {
	select {
	case <-g.quit:
		return true
	default:
		return false
	}
}

// bereft notes that there is no guardian. Its pipe may only be closed now: a
// living one would take that for this process's death.
func (g *Guard) bereft() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.pipe.Close()
	g.pipe, g.process = nil, nil
}

// dismiss says the word. The caller holds mu.
func (g *Guard) dismiss() {
	if g.pipe != nil {
		_, _ = g.pipe.WriteString("done\n") // it may be over by now
	}
}

// expect records that a tree will be planted whose output goes to pipe.
func (g *Guard) expect(pipe, marker string) {
	g.write(note{Birth: expected, Start: g.born, Marker: marker, Pipe: pipe})
}

// miscarried records that it was not.
func (g *Guard) miscarried(pipe, marker string) {
	g.write(note{Birth: miscarriage, Marker: marker, Pipe: pipe})
}

// planted records a new tree, which is expected no more.
func (g *Guard) planted(p *Process) {
	n := note{Leader: p.pid, Start: p.start, Marker: p.marker, Pipe: p.pipe}
	if p.far != nil {
		n.Pipe = "" // by then the terminal's name may be another's
	}
	g.write(n)
}

// swept records that nothing is left of a tree, so that its numbers may be others'.
func (g *Guard) swept(p *Process) { g.write(note{Gone: p.pid}) }

// write adds a line to the record, by one call to the kernel, so that lines of
// two goroutines do not mix. It never fails the caller: without a record the
// markers must do.
func (g *Guard) write(n note) {
	if line, err := json.Marshal(n); err == nil {
		_, _ = g.record.Write(append(line, '\n'))
	}
}
