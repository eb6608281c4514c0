package cmd

import (
	"context"
	"errors"
	"time"

	"silo/api"
	"silo/orchestrator"
	"silo/state"
	"silo/ui"
)

// frame bounds how often a live view is drawn.
const frameInterval = 100 * time.Millisecond

// showProgress shows silos on their way up and returns once all are ready, one
// has failed, or ctx ends.
func (a *app) showProgress(ctx context.Context, in *orchestrator.Instance, names []string) error {
	outcome := make(chan error, 1)
	go func() { outcome <- in.Await(ctx) }()
	if a.quiet {
		return <-outcome
	}
	view := a.messages.Progress(names...)
	defer view.Done()
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	for {
		snapshot := in.Snapshot()
		view.Update(*snapshot, a.lastLines(snapshot, in.LastLine))
		select {
		case err := <-outcome:
			view.Update(*in.Snapshot(), nil)
			return err
		case <-tick.C:
		}
	}
}

// lastLines are shown on a terminal alone.
func (a *app) lastLines(snapshot *state.Snapshot, last func(string) string) map[string]string {
	if !a.messages.Terminal() {
		return nil
	}
	lines := map[string]string{}
	for _, s := range snapshot.Silos {
		if s.State == state.Starting || s.State == state.Stopping {
			lines[s.Name] = last(s.Name)
		}
	}
	return lines
}

// showStopping shows silos on their way down and returns when the last has gone.
func (a *app) showStopping(in *orchestrator.Instance) {
	if a.quiet {
		<-in.Ended()
		return
	}
	view := a.messages.Progress()
	defer view.Done()
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	for {
		select {
		case <-in.Ended():
			view.Update(*in.Snapshot(), nil)
			return
		case <-tick.C:
			snapshot := in.Snapshot()
			showDeadlines(view, snapshot)
			view.Update(*snapshot, a.lastLines(snapshot, in.LastLine))
		}
	}
}

// showDeadlines tells a view when silos that are stopping will be killed.
func showDeadlines(view *ui.Progress, s *state.Snapshot) {
	for _, silo := range s.Silos {
		if silo.KillAt != nil {
			view.Deadline(silo.Name, *silo.KillAt)
		}
	}
}

// follow shows a running instance's silos until they are ready, and fails as
// `up` does in the foreground.
func (a *app) awaitReady(ctx context.Context, client *api.Client, names []string) (*state.Snapshot, error) {
	var last *state.Snapshot
	var failed []state.Silo
	view := a.messages.Progress(names...)
	done := false
	err := client.Watch(ctx, func(u api.Update) bool {
		last = u.Snapshot
		if !a.quiet {
			view.Update(*u.Snapshot, u.LastLines)
		}
		done, failed = orchestrator.Outcome(u.Snapshot, names)
		return !done && len(failed) == 0
	})
	view.Done()
	switch {
	case len(failed) > 0:
		return last, a.failedError(ctx, client, failed, !last.IsManaged())
	case done:
		return last, nil
	case last != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return last, &orchestrator.NotReadyError{Silos: unreadySilos(last, names), Unmanaged: !last.IsManaged()}
	}
	return last, err
}

func (a *app) failedError(ctx context.Context, client *api.Client, silos []state.Silo, unmanaged bool) error {
	e := &orchestrator.FailedError{TimedOut: true, Unmanaged: unmanaged}
	for _, s := range silos {
		f := orchestrator.Failure{Name: s.Name}
		if s.Reason != nil {
			f.Reason = *s.Reason
		}
		f.Tail, _ = client.Tail(context.WithoutCancel(ctx), s.Name, 20) // without its words the reason is told all the same
		e.TimedOut = e.TimedOut && s.TimedOut
		e.Silos = append(e.Silos, f)
	}
	return e
}

func unreadySilos(s *state.Snapshot, names []string) []orchestrator.Failure {
	var list []orchestrator.Failure
	for _, silo := range s.Silos {
		if done, _ := orchestrator.Outcome(&state.Snapshot{Silos: []state.Silo{silo}}, names); !done {
			f := orchestrator.Failure{Name: silo.Name, Reason: string(silo.State)}
			if silo.Reason != nil {
				f.Reason = *silo.Reason
			}
			list = append(list, f)
		}
	}
	return list
}
