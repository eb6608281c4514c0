package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"silo/proc"
	"silo/state"
)

const (
	// cleanUpGrace is the time between SIGTERM and SIGKILL for processes of a dead supervisor.
	cleanUpGrace = 200 * time.Millisecond
	// lockTimeout bounds how long the guardian waits for the lock of a dying supervisor: the
	// kernel closes its descriptors one by one.
	lockTimeout = 100 * time.Millisecond
)

// startGuardian starts the process that cleans up if this one is killed. Without it,
// the next `silo up` or `silo down` cleans up.
func (in *Instance) startGuardian(host Host) {
	if len(host.Guard) == 0 {
		return
	}
	guard, err := proc.StartGuard(host.Guard, host.Environ, host.Dir.Path, func(err error) {
		host.Trace(err.Error() + "; starting another guardian")
	})
	if err != nil {
		host.Warn("no guardian: if this process is killed, silo down ends its silos: " + err.Error())
		return
	}
	in.undo.push(func() error { guard.Close(); return nil })
}

// CleanUp is run by the guardian once its supervisor is dead. It ends the processes in
// the inherited journal, TERM first, and then does what Clean does. If a new supervisor
// already has the lock, CleanUp leaves the rest to it. It returns descriptions of
// the processes that it ended.
func CleanUp(ctx context.Context, dir *state.Dir, left *proc.Journal) ([]string, error) {
	lockCtx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	grace := cleanUpGrace
	lockErr := dir.Acquire(lockCtx)
	if lockErr != nil {
		grace = 0 // a new supervisor waits for the ports
	}
	found, err := left.End(ctx, grace)
	ended := describeProcesses(found)
	switch {
	case errors.Is(lockErr, state.ErrRunning):
		return ended, err
	case lockErr != nil:
		return ended, errors.Join(err, lockErr)
	}
	more, cleanErr := Clean(ctx, dir)
	return append(ended, more...), errors.Join(err, cleanErr, dir.Release())
}

// Clean ends the processes that a killed supervisor left behind, and removes its socket.
// It finds them by the instance's marker, and by recorded PID and start time. The caller
// holds the instance's lock. It returns descriptions of the processes that it ended.
func Clean(ctx context.Context, dir *state.Dir) ([]string, error) {
	last, err := dir.Last()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && last.State == state.InstanceStopped:
		return nil, removeSocket(dir) // it never ran, or its last run cleaned up
	case err != nil:
		last = &state.Snapshot{} // unreadable: rely on the marker
	}
	var ended []string
	for _, silo := range last.Silos {
		if silo.PID == nil || silo.ProcessTime == nil || !proc.Alive(*silo.PID, *silo.ProcessTime) {
			continue
		}
		if _, err := proc.KillTree(ctx, *silo.PID, *silo.ProcessTime); err != nil {
			return ended, fmt.Errorf("end %s, left by a killed supervisor: %w", silo.Name, err)
		}
		ended = append(ended, fmt.Sprintf("%s (pid %d)", silo.Name, *silo.PID))
	}
	killed, err := proc.KillMarked(ctx, instanceMarker(dir))
	ended = append(ended, describeProcesses(killed)...)
	if err != nil {
		return ended, fmt.Errorf("end processes left by a killed supervisor: %w", err)
	}
	if len(last.Silos) > 0 {
		err = dir.SaveLast(last.AsFound())
	}
	return ended, errors.Join(err, removeSocket(dir))
}

func describeProcesses(list []proc.Info) (described []string) {
	for _, p := range list {
		described = append(described, fmt.Sprintf("%s (pid %d)", p.Name, p.PID))
	}
	return described
}

func removeSocket(dir *state.Dir) error {
	if err := os.Remove(dir.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the control socket: %w", err)
	}
	return nil
}
