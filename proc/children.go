package proc

import (
	"os/exec"
	"sync"
)

// children are the processes that this process has started and not yet reaped. All others
// in the kernel's list of its children are adopted orphans. The list belongs to the whole
// process, so this is a global variable.
var children = childSet{pids: map[int]bool{}}

type childSet struct {
	forks     sync.RWMutex // read-held from a fork until the child is in pids
	mu        sync.Mutex   // guards the fields below
	pids      map[int]bool
	subreaper bool // BecomeSubreaper has succeeded
	guard     *Guard
}

func (c *childSet) setGuard(g *Guard) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.guard = g
}

func (c *childSet) currentGuard() *Guard {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.guard
}

func (c *childSet) start(cmd *exec.Cmd) error {
	c.forks.RLock()
	defer c.forks.RUnlock()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pids[cmd.Process.Pid] = true
	return nil
}

// WithForkLock calls f while no child of this package is between fork and exec: until
// then it has a copy of every open descriptor, and a port that this process closes
// stays taken. It blocks for as long as such forks take, milliseconds. f must not
// start a process.
func WithForkLock(f func()) {
	children.forks.Lock()
	defer children.forks.Unlock()
	f()
}

func (c *childSet) remove(pid int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pids, pid)
}

// wait waits for a child that has no Process, and returns how it ended.
func (c *childSet) wait(cmd *exec.Cmd) Exit {
	_ = cmd.Wait() // see exitOf
	c.remove(cmd.Process.Pid)
	return exitOf(cmd.ProcessState)
}
