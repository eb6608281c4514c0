// Package api carries snapshots, requests, traffic and logs between the
// supervisor of an instance and every other command, over the instance's unix
// socket: HTTP with JSON under /v1/, with one server and one client.
//
// The package must not know how silos are run or displayed.
package api

import (
	"time"

	"silo/logs"
	"silo/ports"
	"silo/state"
	"silo/traffic"
)

// Update is one line of the watch stream.
type Update struct {
	Snapshot  *state.Snapshot   `json:"snapshot"`
	LastLines map[string]string `json:"last_lines,omitempty"` // last lines of silos that start or stop
}

// commandBody is the body of every POST except a replay.
type commandBody struct {
	Silos []string `json:"silos,omitempty"` // empty: all
	Kill  bool     `json:"kill,omitempty"`  // down: kill immediately

	Monolith bool `json:"monolith,omitempty"` // up: the requested mode
	Dry      bool `json:"dry,omitempty"`      // up: only report what would change
}

// configBody is the region config that matches the live tunnels.
type configBody struct {
	Text   string `json:"text"`   // without marker lines
	Marked string `json:"marked"` // with them
}

// Written is the result of writing the region config.
type Written struct {
	Changed   bool     `json:"changed"`
	Replaced  string   `json:"replaced,omitempty"` // the other instance whose block was replaced
	Backup    string   `json:"backup,omitempty"`   // the copy of the original file, if it was just made
	Reloading []string `json:"reloading"`          // silos that reload it
}

// tailBody holds a silo's last lines.
type tailBody struct {
	Lines []string `json:"lines"`
}

// dashboardBody is an address of the instance's dashboard.
type dashboardBody struct {
	URL string `json:"url"`
}

// requestsBody holds exchanges without their bodies, and the version from which a
// watch continues.
type requestsBody struct {
	Version  uint64             `json:"version"`
	Requests []traffic.Exchange `json:"requests"`
}

// callsBody counts the requests between each caller and silo.
type callsBody struct {
	Calls []traffic.Call `json:"calls"`
}

// replayBody requests the replay of an exchange.
type replayBody struct {
	ID uint64 `json:"id"`
	To string `json:"to,omitempty"` // empty: to the same silo
}

// LogLine is a line of a silo's output, or a piece of a very long one, for
// programs.
type LogLine struct {
	Silo string    `json:"silo"`
	At   time.Time `json:"at"`
	Text string    `json:"text"` // without escape sequences
}

// NewLogLine converts a line. stripEscapes removes escape sequences.
func NewLogLine(l logs.Line, stripEscapes func([]byte) []byte) LogLine {
	return LogLine{l.Silo, l.At, string(stripEscapes(l.Text))}
}

// errorBody is the body of every response that is not a success.
type errorBody struct {
	Error     string   `json:"error"`
	Silo      string   `json:"silo,omitempty"`      // the unknown name
	Known     []string `json:"known,omitempty"`     // the valid names
	Unmanaged []string `json:"unmanaged,omitempty"` // silos that the user starts and stops
	Debugged  bool     `json:"debugged,omitempty"`  // silo debug runs some of Unmanaged
	Whole     []string `json:"whole,omitempty"`     // settings that cannot change while the instance runs
	NotKept   bool     `json:"not_kept,omitempty"`  // orchestrator.ErrNotKept
	Request   uint64   `json:"request,omitempty"`   // ID of a request that cannot be replayed
	Why       string   `json:"why,omitempty"`       // why it cannot be replayed
	Missing   bool     `json:"missing,omitempty"`   // sentry.ErrMissing: no region config file
	Markers   bool     `json:"markers,omitempty"`   // sentry.ErrMarkers: broken markers in it

	Conflicts ports.Conflicts `json:"conflicts,omitempty"` // the processes that hold the silos' ports
}
