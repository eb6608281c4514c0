package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"silo/orchestrator"
	"silo/plan"
)

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("probe") == "1" {
		writeJSON(w, http.StatusOK, s.supervisor.Refresh(r.Context()))
		return
	}
	writeJSON(w, http.StatusOK, s.supervisor.Snapshot())
}

func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	block := s.supervisor.Block()
	writeJSON(w, http.StatusOK, configBody{block.Text(), block.Marked()})
}

// writeConfig writes the region config again.
func (s *Server) writeConfig(w http.ResponseWriter, r *http.Request) {
	change, reloading, err := s.supervisor.WriteConfig(context.WithoutCancel(r.Context()))
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusAccepted, Written{change.Changed, change.Replaced, change.Backup, reloading})
}

func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	if n, ok := number(w, r, "n", 0); ok {
		writeJSON(w, http.StatusOK, tailBody{s.supervisor.Tail(r.URL.Query().Get("silo"), n)})
	}
}

// dashboard responds with the dashboard's address; to a POST, with a one-time address.
func (s *Server) dashboard(w http.ResponseWriter, r *http.Request) {
	body := dashboardBody{s.options.Page.URL}
	if r.Method == http.MethodPost && s.options.Page.OneTimeURL != nil {
		body.URL = s.options.Page.OneTimeURL()
	}
	writeJSON(w, http.StatusOK, body)
}

// silosHandler returns a handler that requests an action on silos. The response
// means that the request was accepted; a watch shows when it is done.
func (s *Server) silosHandler(action func(*orchestrator.Supervisor, ...string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body commandBody
		if !s.readBody(w, r, &body) {
			return
		}
		if err := action(s.supervisor, body.Silos...); err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusAccepted, s.supervisor.Snapshot())
	}
}

// up handles `silo up` while the supervisor runs: it reads the topology again, applies the changes
// and starts stopped silos. With dry it only reports what would change.
func (s *Server) up(w http.ResponseWriter, r *http.Request) {
	var body commandBody
	if !s.readBody(w, r, &body) {
		return
	}
	ctx := context.WithoutCancel(r.Context()) // a change must not be abandoned halfway if the client disconnects
	p, err := s.options.Replan(ctx, body.Silos, body.Monolith)
	if err != nil {
		writeError(w, err)
		return
	}
	var changes plan.Changes
	if body.Dry {
		changes, err = s.supervisor.Preview(p)
	} else if changes, err = s.supervisor.Apply(ctx, p); err == nil {
		err = s.supervisor.Up(body.Silos...) //nolint:contextcheck // it only looks at ports, which is fast
	}
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusAccepted, changes)
}

func (s *Server) down(w http.ResponseWriter, r *http.Request) {
	var body commandBody
	if s.readBody(w, r, &body) {
		s.supervisor.Down(body.Kill)
		writeJSON(w, http.StatusAccepted, s.supervisor.Snapshot())
	}
}

// readBody decodes a request's body: one JSON value of bounded size, in bounded time. If it
// fails, it responds and returns false.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request, body any) (ok bool) {
	controller := http.NewResponseController(w)
	_ = controller.SetReadDeadline(time.Now().Add(s.timeouts.read)) // fails if the body has already arrived
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	err := decoder.Decode(body)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("data after the JSON value")
		}
	}
	if err != nil {
		badRequest(w, "invalid request body: "+err.Error())
		return false
	}
	_ = controller.SetReadDeadline(time.Time{})
	return true
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails if the client has disconnected
}

func badRequest(w http.ResponseWriter, text string) {
	writeJSON(w, http.StatusBadRequest, errorBody{Error: text})
}
