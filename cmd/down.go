package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/proc"
	"silo/state"
	"silo/topology"
	"silo/wait"
)

func (a *app) downCommand() *cli.Command {
	return &cli.Command{
		Name:     "down",
		Category: categoryStart,
		Usage:    "Stop all silos and remove what they left behind",
		Description: `down stops the regions, then control, then the tunnels, and removes the socket and the lock. It also
cleans up after a supervisor that was killed. The region config stays in Sentry's configuration file,
and the logs stay readable. It is not an error if nothing is running.

Ctrl-C does not cancel the shutdown; a second Ctrl-C kills the silos at once.`,
		UsageText: `silo down
silo -f acme/silo.toml down`,
		Action: a.down,
	}
}

func (a *app) down(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	dir, err := a.instanceDir(c)
	if errors.Is(err, topology.ErrNotFound) {
		return err
	}
	if err != nil {
		return err
	}
	client, err := api.Dial(c.Context, dir)
	if errors.Is(err, api.ErrNotRunning) {
		return a.cleanUp(c.Context, dir)
	}
	if errors.Is(err, api.ErrUnresponsive) {
		return a.downUnresponsive(c.Context, dir, err)
	}
	if err != nil {
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

// downUnresponsive ends a supervisor that cannot be spoken to by the signal that an
// interrupt would be, and once more without grace where the user asks again.
func (a *app) downUnresponsive(ctx context.Context, dir *state.Dir, deaf error) error {
	last, err := dir.Last()
	if err != nil || last.PID == nil || last.ProcessTime == "" || !proc.Alive(*last.PID, last.ProcessTime) {
		return errors.Join(deaf, err) // nobody knows whom to tell
	}
	a.messages.Warn(fmt.Sprintf("%v: it is sent TERM (pid %d)", deaf, *last.PID))
	for _, signal := range []string{"TERM", "CONT"} { // one that is stopped takes no other
		if err := proc.SendSignal(*last.PID, last.ProcessTime, signal); err != nil {
			return err
		}
	}
	again := a.SecondSignal
	patient := context.WithoutCancel(ctx)
	for dir.Running() || proc.Alive(*last.PID, last.ProcessTime) {
		select {
		case <-again:
			again = nil
			_ = proc.SendSignal(*last.PID, last.ProcessTime, "TERM") // it may have ended meanwhile
		default:
		}
		wait.Sleep(patient, frameInterval/10)
	}
	last, _ = dir.Last() // it may not have been able to leave a record, as on a full disk
	return a.printDown(last)
}

// awaitDown watches an instance end. The user's first wish to end leaves it to
// end by itself, the second one ends it without grace.
func (a *app) awaitDown(ctx context.Context, client *api.Client, dir *state.Dir, before *state.Snapshot) error {
	patient := context.WithoutCancel(ctx)
	alive := supervisorAlive(before)
	gone := make(chan struct{})
	defer close(gone)
	go func() {
		select {
		case <-a.SecondSignal:
			_ = client.Down(patient, true) // it may have ended meanwhile
		case <-gone:
		}
	}()
	view := a.messages.Progress()
	if before != nil && !a.quiet {
		view.Update(*before, nil) // the watch may begin behind the first end
	}
	var last *state.Snapshot
	err := client.Watch(patient, func(u api.Update) bool {
		last = u.Snapshot
		if !a.quiet {
			showDeadlines(view, u.Snapshot)
			view.Update(*u.Snapshot, u.LastLines)
		}
		return true
	})
	if err != nil && !errors.Is(err, api.ErrNotRunning) {
		view.Done()
		return err
	}
	for dir.Running() || alive() { // a supervisor lets its lock go, and then ends
		if !wait.Sleep(patient, frameInterval/10) {
			break
		}
	}
	if saved, err := dir.Last(); err == nil {
		last = saved
		if !a.quiet {
			view.Update(*last, nil) // the watch may have ended before the last silo
		}
	}
	view.Done()
	return a.printDown(last)
}

// supervisorAlive tells whether the process of a snapshot is still there.
func supervisorAlive(s *state.Snapshot) func() bool {
	gone := func() bool { return false }
	if s == nil || s.PID == nil {
		return gone
	}
	started, err := proc.StartTime(*s.PID)
	if err != nil {
		return gone
	}
	return func() bool { return proc.Alive(*s.PID, started) }
}

func (a *app) printDown(last *state.Snapshot) error {
	if last == nil {
		return nil
	}
	for _, s := range last.Silos {
		if s.Exit != nil && s.Exit.Signal != nil && *s.Exit.Signal == "KILL" {
			a.messages.Warn(fmt.Sprintf("%s did not end by itself and was killed", s.Name))
		}
	}
	a.note(last.Name + " is down")
	return nil
}

// clean ends what a killed supervisor left, where there is anything.
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
	for _, what := range ended {
		a.messages.Warn("ended " + what + ", which a killed supervisor had left running")
	}
	told := last != nil && last.AsFound().Reason != nil
	switch {
	case len(ended) > 0 || err != nil:
	case told:
		a.note("nothing is running: the supervisor was killed, and nothing of it is left")
	default:
		a.note("nothing is running")
	}
	if told && err == nil {
		err = dir.SaveLast(last.AsCleanedUp())
	}
	return errors.Join(err, dir.Release())
}
