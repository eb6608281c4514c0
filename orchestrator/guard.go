package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"time"

	"silo/proc"
	"silo/state"
)

const (
	// guardGrace is what the processes of a dead supervisor have between TERM and KILL.
	guardGrace = 200 * time.Millisecond
	// lockPatience is how long the guardian waits for the lock of a supervisor that
	// is just dying: the kernel frees its descriptors one by one.
	lockPatience = 100 * time.Millisecond
)

// guard starts the guardian that clears up should this process be killed. Where
// there can be none the instance lives without, and the next `up` or `down` clears up.
func (in *Instance) guard(site Site) {
	if len(site.Guard) == 0 {
		return
	}
	guard, err := proc.StartGuard(site.Guard, site.Environ, site.Dir.Path, func(err error) {
		site.Trace(err.Error() + "; another one takes its place")
	})
	if err != nil {
		site.Warn("nobody will clear up should this process be killed, but silo down: " + err.Error())
		return
	}
	in.undo.push(func() error { guard.Close(); return nil })
}

// Bury is what the guardian does once the supervisor of an instance is dead: it
// ends the processes that were left, TERM first, then does what Clean does. Where
// a new supervisor was faster to take the lock, Clean is left to that one, and
// nothing of the new run is touched. It returns what had to be ended.
func Bury(ctx context.Context, dir *state.Dir, left *proc.Journal) ([]string, error) {
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	grace := guardGrace
	locked := dir.Acquire(patience)
	if locked != nil {
		grace = 0 // somebody wants the place
	}
	var ended []string
	found, err := left.End(ctx, grace)
	for _, p := range found {
		ended = append(ended, fmt.Sprintf("%s (pid %d)", p.Name, p.PID))
	}
	if locked != nil {
		if errors.Is(locked, state.ErrRunning) {
			locked = nil
		}
		return ended, errors.Join(err, locked)
	}
	more, cleanErr := Clean(ctx, dir)
	return append(ended, more...), errors.Join(err, cleanErr, dir.Release())
}
