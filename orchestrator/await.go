package orchestrator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"silo/state"
)

// FailedError says which silos have failed, and shows their last words.
type FailedError struct {
	Silos     []Failure
	TimedOut  bool // all of them failed by not being ready in time
	Unmanaged bool // silo has started none of them
}

// Failure is one silo's.
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

// NotReadyError says who was not ready when the time was up.
type NotReadyError struct {
	Silos     []Failure
	Unmanaged bool // they are not silo's to start
}

func (e *NotReadyError) Error() string {
	parts := make([]string, len(e.Silos))
	for i, f := range e.Silos {
		parts[i] = fmt.Sprintf("%s (%s)", f.Name, f.Reason)
	}
	return "not ready in time: " + strings.Join(parts, ", ")
}

// Outcome judges a snapshot for somebody who waits for silos to be ready: done
// once all are, an error once one never will be. No name means all that are not
// at rest.
func Outcome(s *state.Snapshot, names []string) (done bool, failed []state.Silo) {
	done = true
	for _, silo := range s.Silos {
		if len(names) > 0 && !slices.Contains(names, silo.Name) {
			continue
		}
		switch silo.State {
		case state.Failed:
			failed = append(failed, silo)
		case state.Ready:
		case state.Stopped:
			done = done && len(names) == 0
		case state.Planned, state.Starting, state.Unready, state.Backoff, state.Stopping:
			done = false
		}
	}
	return done, failed
}

// Await blocks until the named silos are ready. It fails with a *FailedError
// once one has failed for good, with a *NotReadyError when ctx ends first, and
// with ErrEnded when the instance ends.
func (s *Supervisor) Await(ctx context.Context, names ...string) error {
	for {
		snapshot, replaced := s.Next()
		done, failed := Outcome(snapshot, names)
		if len(failed) > 0 {
			return s.failure(failed)
		}
		if done {
			return nil
		}
		select {
		case <-replaced:
		case <-s.ended:
			return ErrEnded
		case <-ctx.Done():
			return s.notReady(names)
		}
	}
}

func (s *Supervisor) failure(silos []state.Silo) error {
	e := &FailedError{TimedOut: true, Unmanaged: !s.now().Topology.Sentry.Managed}
	for _, silo := range silos {
		f := Failure{Name: silo.Name, Tail: s.Tail(silo.Name, lastLines)}
		if silo.Reason != nil {
			f.Reason = *silo.Reason
		}
		e.TimedOut = e.TimedOut && silo.TimedOut
		e.Silos = append(e.Silos, f)
	}
	return e
}

func (s *Supervisor) notReady(names []string) error {
	e := &NotReadyError{Unmanaged: !s.now().Topology.Sentry.Managed}
	for _, silo := range s.Snapshot().Silos {
		if silo.State == state.Ready || silo.State == state.Stopped || len(names) > 0 && !slices.Contains(names, silo.Name) {
			continue
		}
		f := Failure{Name: silo.Name, Reason: string(silo.State), Tail: s.Tail(silo.Name, lastLines)}
		if silo.Reason != nil {
			f.Reason = *silo.Reason
		}
		e.Silos = append(e.Silos, f)
	}
	return e
}
