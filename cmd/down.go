package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/proc"
	"silo/state"
	"silo/wait"
)

func (a *app) down(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	client, err := api.Dial(c.Context, dir)
	switch {
	case errors.Is(err, api.ErrNotRunning):
		return a.cleanUp(c.Context, dir)
	case errors.Is(err, api.ErrUnresponsive):
		return a.downUnresponsive(c.Context, dir, err)
	case err != nil:
		return err
	}
	defer client.Close()
	before, err := client.Snapshot(c.Context, false)
	if err == nil {
		err = client.Down(c.Context, false)
	}
	if err != nil && !errors.Is(err, api.ErrNotRunning) {
		return err
	}
	return a.awaitDown(c.Context, client, dir, before)
}

// Times after which a supervisor that ignores SIGTERM is killed: one that has no snapshot
// has started no silo, another one stops its silos first.
const (
	emptyPatience = 5 * time.Second
	stopPatience  = time.Minute
)

// downUnresponsive ends a supervisor that does not answer on its socket. It sends SIGTERM,
// and SIGKILL after a while or after a second Ctrl-C; the guardian then ends the silos.
func (a *app) downUnresponsive(ctx context.Context, dir *state.Dir, unresponsive error) error {
	holder, patience, err := unresponsiveHolder(dir)
	if err != nil {
		return errors.Join(unresponsive, err) // there is no process to signal
	}
	a.warn(fmt.Sprintf("%v: sending it SIGTERM (pid %d)", unresponsive, holder.PID))
	for _, signal := range []string{"TERM", "CONT"} { // a stopped process handles TERM only after CONT
		if err := proc.SendSignal(holder.PID, holder.ProcessTime, signal); err != nil {
			return err
		}
	}
	ctx = context.WithoutCancel(ctx)
	second, late, killed := a.SecondSignal, time.After(patience), false
	for dir.Running() || proc.Alive(holder.PID, holder.ProcessTime) {
		select {
		case <-second:
			second, killed = nil, true
		case <-late:
			late, killed = nil, true
		default:
			wait.Sleep(ctx, frameInterval/10)
			continue
		}
		if err := proc.SendSignal(holder.PID, holder.ProcessTime, "KILL"); err != nil {
			return err
		}
	}
	if killed {
		a.warn(fmt.Sprintf("the supervisor did not end and was killed (pid %d)", holder.PID))
		return a.cleanUp(ctx, dir)
	}
	last, _ := dir.Last() // missing if the supervisor could not save it, for example on a full disk
	return a.printDown(last)
}

// unresponsiveHolder returns the process that holds the instance's lock, and how long it
// may take to end.
func unresponsiveHolder(dir *state.Dir) (state.Holder, time.Duration, error) {
	holder, err := dir.Holder()
	patience := emptyPatience
	last, lastErr := dir.Last()
	if lastErr == nil && last.PID != nil && (err != nil || *last.PID == holder.PID) {
		holder, patience, err = state.Holder{PID: *last.PID, ProcessTime: last.ProcessTime}, stopPatience, nil
	}
	if err == nil && (holder.ProcessTime == "" || !proc.Alive(holder.PID, holder.ProcessTime)) {
		err = fmt.Errorf("process %d, which held the lock, has ended", holder.PID)
	}
	return holder, patience, err
}

// awaitDown shows an instance while it ends. The first Ctrl-C is ignored, since the
// instance is ending; the second one kills the silos.
func (a *app) awaitDown(ctx context.Context, client *api.Client, dir *state.Dir, before *state.Snapshot) error {
	ctx = context.WithoutCancel(ctx)
	alive := supervisorAlive(before)
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-a.SecondSignal:
			_ = client.Down(ctx, true) // it may already have ended
		case <-done:
		}
	}()
	view := a.progress()
	defer view.Done()
	update := func(s *state.Snapshot, lastLines map[string]string) {
		if s != nil {
			view.Update(*s, lastLines)
		}
	}
	update(before, nil) // the first silo may end before the watch begins
	last := before
	err := client.Watch(ctx, func(u api.Update) bool {
		last = u.Snapshot
		update(last, u.LastLines)
		return true
	})
	if err != nil && !errors.Is(err, api.ErrNotRunning) {
		return err
	}
	for dir.Running() || alive() { // a supervisor releases its lock before it exits
		wait.Sleep(ctx, frameInterval/10)
	}
	if saved, err := dir.Last(); err == nil {
		last = saved
		update(last, nil) // the watch may end before the last silo
	}
	view.Done()
	return a.printDown(last)
}

// supervisorAlive returns a function that reports whether the supervisor of a snapshot
// is alive.
func supervisorAlive(s *state.Snapshot) func() bool {
	if s != nil && s.PID != nil {
		if started, err := proc.StartTime(*s.PID); err == nil {
			return func() bool { return proc.Alive(*s.PID, started) }
		}
	}
	return func() bool { return false }
}

func (a *app) printDown(last *state.Snapshot) error {
	if last == nil {
		return nil
	}
	for _, s := range last.Silos {
		if s.Exit != nil && s.Exit.Signal != nil && *s.Exit.Signal == "KILL" {
			a.warn(s.Name + " did not stop within its grace period and was killed")
		}
	}
	a.note(last.Name + " is down")
	return nil
}

// cleanUp ends the processes that a killed supervisor left running.
func (a *app) cleanUp(ctx context.Context, dir *state.Dir) error {
	last, err := dir.Last()
	if errors.Is(err, fs.ErrNotExist) {
		a.note("nothing is running")
		return nil
	}
	if err := dir.Acquire(ctx); err != nil {
		return err
	}
	ended, err := orchestrator.Clean(ctx, dir)
	for _, process := range ended {
		a.warn("ended " + process + ", which a killed supervisor had left running")
	}
	killed := last != nil && last.AsFound().Reason != nil
	switch {
	case len(ended) > 0 || err != nil:
	case killed:
		a.note("nothing is running: the supervisor was killed and left no process")
	default:
		a.note("nothing is running")
	}
	if killed && err == nil {
		err = dir.SaveLast(last.AsCleanedUp())
	}
	return errors.Join(err, dir.Release())
}
