package cmd

import (
	"context"
	"errors"
	"io"
	"time"

	"silo/api"
	"silo/orchestrator"
	"silo/state"
	"silo/ui"
)

// frameInterval is the time between two frames of a live view.
const frameInterval = 100 * time.Millisecond

// progress returns a view of the silos, which shows nothing with --quiet.
func (a *app) progress(names ...string) *ui.Progress {
	if a.quiet {
		return ui.New(io.Discard, ui.Options{}).Progress(names...)
	}
	return a.messages.Progress(names...)
}

// showProgress shows starting silos. It returns once all are ready, one has failed, or
// ctx is done.
func (a *app) showProgress(ctx context.Context, in *orchestrator.Instance, names []string) error {
	var err error
	ended := make(chan struct{})
	go func() { defer close(ended); err = in.Await(ctx) }()
	a.showUntil(ended, in, names...)
	return err
}

// showUntil shows the silos of an instance of this process until done is closed.
func (a *app) showUntil(done <-chan struct{}, in *orchestrator.Instance, names ...string) {
	view := a.progress(names...)
	defer view.Done()
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	for {
		select {
		case <-done:
			view.Update(*in.Snapshot(), nil)
			return
		case <-tick.C:
			a.updateView(view, in)
		}
	}
}

// updateView draws the current state of an instance of this process.
func (a *app) updateView(view *ui.Progress, in *orchestrator.Instance) {
	snapshot := in.Snapshot()
	lastLines := map[string]string{}
	for _, s := range snapshot.Silos {
		if a.messages.Terminal() && (s.State == state.Starting || s.State == state.Stopping) {
			lastLines[s.Name] = in.LastLine(s.Name)
		}
	}
	view.Update(*snapshot, lastLines)
}

// awaitReady shows the silos of a running instance until they are ready. Its errors are
// those of a foreground up.
func (a *app) awaitReady(ctx context.Context, client *api.Client, names []string) (*state.Snapshot, error) {
	var last *state.Snapshot
	var failed []state.Silo
	view := a.progress(names...)
	done := false
	err := client.Watch(ctx, func(u api.Update) bool {
		last = u.Snapshot
		view.Update(*u.Snapshot, u.LastLines)
		done, failed = orchestrator.Outcome(u.Snapshot, names)
		return !done && len(failed) == 0
	})
	view.Done()
	tail := func(name string, n int) []string {
		lines, _ := client.Tail(context.WithoutCancel(ctx), name, n) // if this fails, only the last lines are missing
		return lines
	}
	switch {
	case len(failed) > 0:
		return last, orchestrator.NewFailedError(last, failed, tail)
	case done:
		return last, nil
	case last != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return last, orchestrator.NewNotReadyError(last, names, tail)
	}
	return last, err
}
