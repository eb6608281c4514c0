package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"silo/state"
)

// FailedError names the silos that have failed, with the end of their output.
type FailedError struct {
	Silos     []Failure
	TimedOut  bool // all of them were not ready in time
	Unmanaged bool // managed = false: silo did not start them
}

// Failure is one silo that failed or is not ready.
type Failure struct {
	Name, Reason string
	Tail         []string // its last lines
}

func (e *FailedError) Error() string {
	parts := make([]string, len(e.Silos))
	for i, f := range e.Silos {
		parts[i] = f.Name + " " + f.Reason
	}
	return strings.Join(parts, "; ")
}

// NotReadyError names the silos that were not ready in time.
type NotReadyError struct {
	Silos     []Failure
	Unmanaged bool // managed = false: silo does not start them
}

func (e *NotReadyError) Error() string {
	parts := make([]string, len(e.Silos))
	for i, f := range e.Silos {
		parts[i] = fmt.Sprintf("%s (%s)", f.Name, f.Reason)
	}
	return "not ready in time: " + strings.Join(parts, ", ")
}

// Outcome returns the silos of a snapshot that have failed, and reports whether all are
// ready. It considers the named silos, or all that are not stopped if there are no
// names.
func Outcome(s *state.Snapshot, names []string) (ready bool, failed []state.Silo) {
	ready = true
	for _, silo := range s.Silos {
		if len(names) > 0 && !slices.Contains(names, silo.Name) {
			continue
		}
		switch silo.State {
		case state.Failed:
			failed = append(failed, silo)
		case state.Ready:
		case state.Stopped:
			ready = ready && len(names) == 0
		case state.Planned, state.Starting, state.Unready, state.Backoff, state.Stopping:
			ready = false
		}
	}
	return ready, failed
}

// Await blocks until the named silos, or all, are ready. It fails with a *FailedError
// once one has failed, with a *NotReadyError when ctx ends first, and with ErrEnded when
// the instance ends.
func (s *Supervisor) Await(ctx context.Context, names ...string) error {
	for {
		snapshot, replaced := s.Next()
		ready, failed := Outcome(snapshot, names)
		if len(failed) > 0 {
			return s.failedError(failed)
		}
		if ready {
			return nil
		}
		select {
		case <-replaced:
		case <-s.ended:
			return ErrEnded
		case <-ctx.Done():
			return s.notReadyError(names)
		}
	}
}

func (s *Supervisor) failedError(silos []state.Silo) error {
	e := &FailedError{TimedOut: true, Unmanaged: !s.placement().Managed()}
	for _, silo := range silos {
		e.TimedOut = e.TimedOut && silo.TimedOut
		e.Silos = append(e.Silos, s.failure(silo, ""))
	}
	return e
}

func (s *Supervisor) notReadyError(names []string) error {
	e := &NotReadyError{Unmanaged: !s.placement().Managed()}
	for _, silo := range s.Snapshot().Silos {
		if silo.State == state.Ready || silo.State == state.Stopped || len(names) > 0 && !slices.Contains(names, silo.Name) {
			continue
		}
		e.Silos = append(e.Silos, s.failure(silo, string(silo.State)))
	}
	return e
}

// failure describes a silo, with a reason if its snapshot has none.
func (s *Supervisor) failure(silo state.Silo, reason string) Failure {
	if silo.Reason != nil {
		reason = *silo.Reason
	}
	return Failure{Name: silo.Name, Reason: reason, Tail: s.Tail(silo.Name, failureLines)}
}
