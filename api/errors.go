package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"silo/orchestrator"
	"silo/plan"
	"silo/sentry"
)

// ErrNotRunning means that no supervisor listens on the instance's socket.
var ErrNotRunning = errors.New("nothing is running")

// ErrUnresponsive means that a supervisor holds the instance's lock and does not answer: its socket
// was removed, for example by a /tmp cleaner, or it hangs.
var ErrUnresponsive = errors.New("the supervisor holds its lock but does not answer")

// ErrHung is an ErrUnresponsive of a supervisor that has its socket: it is stopped
// (Ctrl-Z) or hangs.
var ErrHung = fmt.Errorf("%w: no response within %v", ErrUnresponsive, answerTimeout)

// ErrNoDashboard means that the instance runs without a dashboard.
var ErrNoDashboard = errors.New("this instance has no dashboard: its port could not be opened")

// errOtherVersion means that a response is not what this client expects.
var errOtherVersion = errors.New("the supervisor's response cannot be read: is it another version of silo?")

// writeError responds with an error that decodeError restores in the client.
func writeError(w http.ResponseWriter, err error) {
	var unknown *plan.UnknownSiloError
	var whole *plan.ImmutableError
	var unmanaged *orchestrator.UnmanagedError
	var unrepeatable *orchestrator.UnrepeatableError
	status, body := http.StatusConflict, errorBody{Error: err.Error()}
	switch {
	case errors.Is(err, orchestrator.ErrNotKept):
		status, body.NotKept = http.StatusNotFound, true
	case errors.As(err, &unrepeatable):
		body.Request, body.Why = unrepeatable.ID, unrepeatable.Why
	case errors.As(err, &unmanaged):
		body.Unmanaged, body.Debugged = unmanaged.Names, unmanaged.Debugged
	case errors.As(err, &unknown):
		status, body.Silo, body.Known = http.StatusNotFound, unknown.Name, unknown.Known
	case errors.As(err, &body.Conflicts):
	case errors.As(err, &whole):
		body.Whole = whole.Settings
	default:
		status = http.StatusInternalServerError
		body.Missing, body.Markers = errors.Is(err, sentry.ErrMissing), errors.Is(err, sentry.ErrMarkers)
	}
	writeJSON(w, status, body)
}

// decodeError restores the server's error.
func decodeError(response *http.Response) error {
	var e errorBody
	if err := json.NewDecoder(response.Body).Decode(&e); err != nil {
		return fmt.Errorf("the supervisor answers %s: is it another version of silo?", response.Status)
	}
	switch {
	case e.Silo != "":
		return &plan.UnknownSiloError{Name: e.Silo, Known: e.Known}
	case e.NotKept:
		return &remoteError{e.Error, orchestrator.ErrNotKept}
	case e.Missing:
		return &remoteError{e.Error, sentry.ErrMissing}
	case e.Markers:
		return &remoteError{e.Error, sentry.ErrMarkers}
	case e.Why != "":
		return &orchestrator.UnrepeatableError{ID: e.Request, Why: e.Why}
	case len(e.Unmanaged) > 0:
		return &orchestrator.UnmanagedError{Names: e.Unmanaged, Debugged: e.Debugged}
	case len(e.Conflicts) > 0:
		return e.Conflicts
	case len(e.Whole) > 0:
		return &plan.ImmutableError{Settings: e.Whole}
	}
	return errors.New(e.Error)
}

// remoteError is a sentinel error with the server's text.
type remoteError struct {
	text     string
	sentinel error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.sentinel }
