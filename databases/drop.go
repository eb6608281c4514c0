package databases

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"silo/sentry"
	"silo/state"
)

// RunningError names silos that run, whose databases are therefore not dropped.
type RunningError struct{ Silos []string }

func (e *RunningError) Error() string {
	return "the database of a silo that runs is not dropped: " + strings.Join(e.Silos, ", ")
}

// Drop drops the databases, all of them or none: a database that silo did not make
// for this very silo keeps all, and has its Error. A silo that runs is a
// *RunningError. running tells what runs, and nil where nothing does. agree is asked
// once, with the names of the databases that would go, perhaps none, and may take
// its time; with its error nothing is dropped. The other errors are as Look's. The
// caller has the lock.
func (s *Set) Drop(ctx context.Context, running func(context.Context) (*state.Snapshot, error), agree func(names []string) error) ([]sentry.Database, error) {
	if err := s.resting(ctx, running); err != nil {
		return nil, err
	}
	all, err := s.Look(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for i, b := range all {
		switch {
		case b.Error != "" || !b.Exists:
		case b.Owned:
			names = append(names, b.Name)
		default:
			all[i].Error = refusal(b)
		}
	}
	if failed(all) {
		return all, nil
	}
	if err := agree(names); err != nil {
		return nil, err
	}
	// A silo may have been started while the question stood.
	if err := s.resting(ctx, running); err != nil {
		return nil, err
	}
	return s.ask(ctx, sentry.DatabaseDrop)
}

// refusal is why a database is not dropped.
func refusal(b sentry.Database) string {
	if OfAnother(b) {
		return fmt.Sprintf("the database %s belongs to another instance (%s)", b.Name, b.Comment)
	}
	return fmt.Sprintf("silo did not create the database %s", b.Name)
}

// resting refuses silos that run.
func (s *Set) resting(ctx context.Context, running func(context.Context) (*state.Snapshot, error)) error {
	snapshot, err := running(ctx)
	if err != nil || snapshot == nil || snapshot.Mode == "monolith" {
		return err // a monolith has the shared database
	}
	var names []string
	for _, silo := range snapshot.Silos {
		rests := silo.State == state.Stopped || silo.State == state.Failed || silo.State == state.Planned
		if slices.Contains(s.names, silo.Name) && !rests {
			names = append(names, silo.Name)
		}
	}
	if len(names) > 0 {
		return &RunningError{names}
	}
	return nil
}
