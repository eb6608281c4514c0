// Package control carries snapshots, requests, traffic and logs between the
// supervisor of an instance and every other command, over the instance's unix
// socket: HTTP with JSON under /v1/, one server and one client.
//
// It must not know how silos are run or drawn.
package api

import (
	"context"
	"errors"
	"fmt"

	"silo/plan"
	"silo/ports"
	"silo/state"
)

// ErrNotRunning says that no supervisor answers on the instance's socket.
var ErrNotRunning = errors.New("nothing is running")

// ErrDeaf says that a supervisor holds the instance's lock and does not answer: its
// socket was removed, by who clears /tmp perhaps, or it is silent.
var ErrUnresponsive = errors.New("the supervisor holds its lock but does not answer")

// ErrSilent is an ErrDeaf of one that has its socket: it is stopped (Ctrl-Z), or hangs.
var ErrHung = fmt.Errorf("%w: nothing has come in %v", ErrUnresponsive, greetBound)

// Update is one line of the watch stream.
type Update struct {
	Snapshot  *state.Snapshot   `json:"snapshot"`
	LastLines map[string]string `json:"last_lines,omitempty"` // of silos that are not ready yet
}

// request is the body of every POST.
type request struct {
	Silos []string `json:"silos,omitempty"` // none means all
	Kill  bool     `json:"kill,omitempty"`  // down: without grace

	Monolith bool `json:"monolith,omitempty"` // up: what was asked for
	Dry      bool `json:"dry,omitempty"`      // up: tell what would change, no more
}

// Replan makes a plan of the topology as it is now, for the named silos or all.
type Replan func(ctx context.Context, silos []string, monolith bool) (plan.Plan, error)

// configBody is the region config that matches the live tunnels.
type configBody struct {
	Text   string `json:"text"`   // without marker lines
	Marked string `json:"marked"` // with them
}

// tailBody are a silo's last lines.
type tailBody struct {
	Lines []string `json:"lines"`
}

// refusal is the body of every answer that is not a success.
type refusal struct {
	Error     string   `json:"error"`
	Silo      string   `json:"silo,omitempty"`      // the name that is unknown
	Known     []string `json:"known,omitempty"`     // the names there are
	Unmanaged []string `json:"unmanaged,omitempty"` // silos that somebody else starts and ends
	Whole     []string `json:"whole,omitempty"`     // what cannot be changed while the instance runs
	NotKept   bool     `json:"not_kept,omitempty"`  // of a request: orchestrator.ErrNotKept
	Request   uint64   `json:"request,omitempty"`   // the one that cannot be sent again
	Why       string   `json:"why,omitempty"`       // it cannot
	Missing   bool     `json:"missing,omitempty"`   // of the region config's file: sentry.ErrMissing
	Markers   bool     `json:"markers,omitempty"`   // in it: sentry.ErrMarkers

	Conflicts ports.Conflicts `json:"conflicts,omitempty"` // who has the ports that silos need
}

// toldError is an error that callers know, in the server's words.
type toldError struct {
	text  string
	known error
}

func (e *toldError) Error() string { return e.text }
func (e *toldError) Unwrap() error { return e.known }
