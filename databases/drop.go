package databases

import (
	"context"
	"fmt"
	"strings"

	"silo/sentry"
	"silo/state"
)

// RunningError reports that databases were not dropped because their silos are running.
type RunningError struct{ Silos []string }

func (e *RunningError) Error() string {
	return "cannot drop the database of a running silo: " + strings.Join(e.Silos, ", ")
}

// Drop drops either all the databases or none. A database that silo did not create for
// exactly this silo gets an Error, and none is dropped. If a silo runs, Drop fails with
// a *RunningError.
//
// running returns the snapshot of the running instance, or nil if it does not run.
// confirm is called once with the names of the databases to drop, which may be none,
// and may block. If it returns an error, nothing is dropped. Other errors are those
// of Inspect. The caller must hold the lock.
func (s *Set) Drop(ctx context.Context, running func(context.Context) (*state.Snapshot, error), confirm func(names []string) error) ([]sentry.Database, error) {
	if err := s.checkStopped(ctx, running); err != nil {
		return nil, err
	}
	all, err := s.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	failed := false
	for i := range all {
		d := &all[i]
		switch {
		case d.Error != "" || !d.Exists:
		case d.Owned:
			names = append(names, d.Name)
		case OwnedByOther(*d):
			d.Error = fmt.Sprintf("the database %s belongs to another instance (%s)", d.Name, d.Comment)
		default:
			d.Error = "silo did not create the database " + d.Name
		}
		failed = failed || d.Error != ""
	}
	if failed {
		return all, nil
	}
	if err := confirm(names); err != nil {
		return nil, err
	}
	// A silo may have started while the user was asked.
	if err := s.checkStopped(ctx, running); err != nil {
		return nil, err
	}
	return s.ask(ctx, sentry.DatabaseDrop)
}

// checkStopped fails with a *RunningError if one of the silos runs.
func (s *Set) checkStopped(ctx context.Context, running func(context.Context) (*state.Snapshot, error)) error {
	snapshot, err := running(ctx)
	if err != nil || snapshot == nil || snapshot.Mode == "monolith" {
		return err // a monolith uses the shared database
	}
	var names []string
	for _, silo := range snapshot.Silos {
		stopped := silo.State == state.Stopped || silo.State == state.Failed || silo.State == state.Planned
		if s.index(silo.Name) >= 0 && !stopped {
			names = append(names, silo.Name)
		}
	}
	if len(names) > 0 {
		return &RunningError{names}
	}
	return nil
}
