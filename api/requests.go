package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"silo/orchestrator"
	"silo/traffic"
	"silo/wait"
)

func (s *Server) requests(w http.ResponseWriter, r *http.Request) {
	filter, n, ok := s.filter(w, r, "n", defaultLimit)
	if !ok {
		return
	}
	s.waitForRecent(r.Context())
	list, version := s.supervisor.Traffic().List(filter, n)
	body := requestsBody{Version: version, Requests: make([]traffic.Exchange, len(list))}
	for i, e := range list {
		body.Requests[i] = e.Brief()
	}
	writeJSON(w, http.StatusOK, body)
}

func (s *Server) request(w http.ResponseWriter, r *http.Request) {
	if e, ok := s.exchange(w, r); ok {
		writeJSON(w, http.StatusOK, e.Masked())
	}
}

func (s *Server) requestHAR(w http.ResponseWriter, r *http.Request) {
	if e, ok := s.exchange(w, r); ok {
		s.writeHAR(w, []traffic.Exchange{e})
	}
}

func (s *Server) requestsHAR(w http.ResponseWriter, r *http.Request) {
	if filter, n, ok := s.filter(w, r, "n", 0); ok {
		s.waitForRecent(r.Context())
		list, _ := s.supervisor.Traffic().List(filter, n)
		s.writeHAR(w, list)
	}
}

// exchange returns the exchange that the path names, with its secrets. If there is none, it
// responds and ok is false.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) (e traffic.Exchange, ok bool) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		badRequest(w, "a request's id is a number")
		return e, false
	}
	s.waitForRecent(r.Context())
	if e, ok = s.supervisor.Traffic().Get(id); !ok {
		writeError(w, fmt.Errorf("request %d: %w", id, orchestrator.ErrNotKept))
	}
	return e, ok
}

// writeHAR masks and writes the exchanges in pieces. The client has the full time to read each.
func (s *Server) writeHAR(w http.ResponseWriter, list []traffic.Exchange) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="silo.har"`)
	_ = traffic.WriteHAR(w, s.options.Version, list) // fails if the client has disconnected
}

func (s *Server) calls(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, callsBody{s.supervisor.Traffic().Calls()})
}

const (
	// recentTimeout bounds waitForRecent, like a probe for status.
	recentTimeout = 250 * time.Millisecond
	// maxRecent is how many exchanges waitForRecent looks at.
	maxRecent = 32
)

// waitForRecent waits briefly for the exchanges of the last second to end. A client may
// query an exchange as soon as it has the answer, slightly before the end is recorded. It
// does not wait for long exchanges.
func (s *Server) waitForRecent(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, recentTimeout)
	defer cancel()
	isRecent := func(e traffic.Exchange) bool { return e.State == traffic.Open && time.Since(e.Started) < longOpen }
	for {
		list, _ := s.supervisor.Traffic().List(traffic.Filter{}, maxRecent)
		if !slices.ContainsFunc(list, isRecent) || !wait.Sleep(ctx, retryInterval) {
			return
		}
	}
}

// replay responds once the replayed request has been answered.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) {
	var body replayBody
	if !s.readBody(w, r, &body) {
		return
	}
	s.waitForRecent(r.Context())
	e, err := s.supervisor.Replay(r.Context(), body.ID, body.To)
	if err != nil {
		writeError(w, err)
		return
	}
	writeJSON(w, http.StatusOK, e.Masked())
}

// watchRequests streams exchanges when they begin, change and end, from a version on.
// Changes of one exchange within watchInterval are merged into one line.
func (s *Server) watchRequests(w http.ResponseWriter, r *http.Request) {
	filter, since, ok := s.filter(w, r, "since", 0)
	if !ok {
		return
	}
	version := uint64(since) //nolint:gosec // G115: since is not negative
	s.stream(w, r, false, func(ctx context.Context, out *stream) error {
		if err := out.write(); err != nil { // sends the header now: the first line may come much later
			return err
		}
		return repeat(ctx, s.supervisor.Ended(), func() (<-chan struct{}, time.Duration, error) {
			list, now, changed := s.supervisor.Traffic().Since(version, filter)
			version = now
			if len(list) == 0 {
				return changed, 0, nil
			}
			lines := make([]any, len(list))
			for i, change := range list {
				change.Exchange = change.Brief()
				lines[i] = change
			}
			return changed, 0, out.write(lines...)
		})
	})
}
