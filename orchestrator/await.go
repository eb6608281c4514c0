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
	Unmanaged bool // silo did not start any of them
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
	Unmanaged bool // silo does not start any of them
}

func (e *NotReadyError) Error() string {
	parts := make([]string, len(e.Silos))
	for i, f := range e.Silos {
		parts[i] = fmt.Sprintf("%s (%s)", f.Name, f.Reason)
	}
	return "not ready in time: " + strings.Join(parts, ", ")
}

// Outcome returns the silos of a snapshot that have failed or are overdue, and reports whether
// all silos are ready. It considers the named silos or, without names, all that are not stopped.
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
		case state.Unready:
			ready = false
			if silo.TimedOut { // it is no longer probed
				failed = append(failed, silo)
			}
		case state.Planned, state.Starting, state.Backoff, state.Stopping:
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
			return NewFailedError(snapshot, failed, s.Tail)
		}
		if ready {
			return nil
		}
		select {
		case <-replaced:
		case <-s.ended:
			return ErrEnded
		case <-ctx.Done():
			return NewNotReadyError(s.Snapshot(), names, s.Tail)
		}
	}
}

// tailFunc returns at most n of a silo's last lines.
type tailFunc func(name string, n int) []string

// NewFailedError describes failed silos of a snapshot.
func NewFailedError(s *state.Snapshot, failed []state.Silo, tail tailFunc) *FailedError {
	e := &FailedError{TimedOut: true, Unmanaged: true}
	for _, silo := range failed {
		e.TimedOut = e.TimedOut && silo.TimedOut
		e.Unmanaged = e.Unmanaged && !s.Manages(silo)
		e.Silos = append(e.Silos, newFailure(silo, tail))
	}
	return e
}

// NewNotReadyError describes the silos that are not ready, among names or, without names, among
// all.
func NewNotReadyError(s *state.Snapshot, names []string, tail tailFunc) *NotReadyError {
	e := &NotReadyError{Unmanaged: true}
	for _, silo := range s.Silos {
		if done, _ := Outcome(&state.Snapshot{Silos: []state.Silo{silo}}, names); !done {
			e.Unmanaged = e.Unmanaged && !s.Manages(silo)
			e.Silos = append(e.Silos, newFailure(silo, tail))
		}
	}
	return e
}

func newFailure(silo state.Silo, tail tailFunc) Failure {
	f := Failure{Name: silo.Name, Reason: string(silo.State), Tail: tail(silo.Name, failureLines)}
	if silo.Reason != nil {
		f.Reason = *silo.Reason
	}
	return f
}
