package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"silo/orchestrator"
	"silo/traffic"
)

// requestsBody are exchanges, without their bodies, and what a watch goes on from.
type requestsBody struct {
	Version  uint64             `json:"version"`
	Requests []traffic.Exchange `json:"requests"`
}

// requestUpdate is one line of a watch of requests. A watch that goes on from its
// version misses nothing, and may see some of what came with it again.
type requestUpdate struct {
	Version uint64           `json:"version"`
	Request traffic.Exchange `json:"request"`
}

// callsBody counts who has called whom.
type callsBody struct {
	Calls []traffic.Call `json:"calls"`
}

// replayBody asks for an exchange's request to be sent again.
type replayBody struct {
	ID uint64 `json:"id"`
	To string `json:"to,omitempty"` // empty: to the same silo
}

func (s *Server) requests(w http.ResponseWriter, r *http.Request) {
	filter, ok := s.filter(w, r)
	if !ok {
		return
	}
	n, ok := number(w, r, "n", latest)
	if !ok {
		return
	}
	s.settle(r.Context())
	list, version := s.supervisor.Traffic().List(filter, n)
	body := requestsBody{Version: version, Requests: make([]traffic.Exchange, len(list))}
	for i, e := range list {
		body.Requests[i] = e.Brief()
	}
	s.hurry(w)
	answer(w, http.StatusOK, body)
}

func (s *Server) request(w http.ResponseWriter, r *http.Request) {
	if e, kept := s.exchange(w, r); kept {
		answer(w, http.StatusOK, e.Masked())
	}
}

// requestHAR exports one exchange as har does all.
func (s *Server) requestHAR(w http.ResponseWriter, r *http.Request) {
	if e, kept := s.exchange(w, r); kept {
		s.export(w, []traffic.Exchange{e})
	}
}

// exchange is the one that a path names, with its secrets. What is not is answered,
// and not kept.
func (s *Server) exchange(w http.ResponseWriter, r *http.Request) (e traffic.Exchange, kept bool) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		answer(w, http.StatusBadRequest, refusal{Error: "a request's id is a number"})
		return e, false
	}
	s.settle(r.Context())
	if e, kept = s.supervisor.Traffic().Get(id); !kept {
		refuse(w, fmt.Errorf("request %d: %w", id, orchestrator.ErrNotKept))
	}
	return e, kept
}

// har exports what is kept in a form that browsers' tools open.
func (s *Server) har(w http.ResponseWriter, r *http.Request) {
	filter, ok := s.filter(w, r)
	if !ok {
		return
	}
	n, ok := number(w, r, "n", 0)
	if !ok {
		return
	}
	s.settle(r.Context())
	list, _ := s.supervisor.Traffic().List(filter, n)
	s.export(w, list)
}

// export masks and writes one exchange after the other, in pieces each of which the
// reader has its time to take.
func (s *Server) export(w http.ResponseWriter, list []traffic.Exchange) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Disposition", `attachment; filename="silo.har"`)
	_ = traffic.WriteHAR(unhurried{w, s}, s.options.Version, list) // a reader that left needs no answer
}

// unhurried gives the reader its time anew for each piece that is written.
type unhurried struct {
	http.ResponseWriter

	server *Server
}

func (u unhurried) Write(p []byte) (int, error) {
	u.server.hurry(u.ResponseWriter)
	return u.ResponseWriter.Write(p)
}

func (s *Server) calls(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, callsBody{s.supervisor.Traffic().Calls()})
}

const (
	// settling bounds settle, as status is bounded.
	settling = 250 * time.Millisecond
	// unsettled is how many exchanges settle looks at.
	unsettled = 32
)

// settle waits a moment for exchanges that are about to end. An answer reaches who
// has asked for it a little before its exchange has ended, and he may look for that
// at once. Those that last are not waited for.
func (s *Server) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	for {
		_, _, changed := s.supervisor.Traffic().Since(math.MaxUint64, traffic.Filter{})
		list, _ := s.supervisor.Traffic().List(traffic.Filter{}, unsettled)
		young := time.Now().Add(-lasting)
		if !slices.ContainsFunc(list, func(e traffic.Exchange) bool { return e.State == traffic.Open && e.Started.After(young) }) {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// replay answers once the request that it has sent again has been answered.
func (s *Server) replay(w http.ResponseWriter, r *http.Request) {
	var body replayBody
	if !s.read(w, r, &body) {
		return
	}
	s.settle(r.Context())
	e, err := s.supervisor.Replay(r.Context(), body.ID, body.To)
	s.hurry(w) // from now on: the silo has taken its time
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusOK, e.Masked())
}

// watchRequests streams exchanges, one a line, as they begin, as more becomes known
// of them and as they end, from a version on. What happens to one within a moment is
// one line. Otherwise it is as watch.
func (s *Server) watchRequests(w http.ResponseWriter, r *http.Request) {
	filter, ok := s.filter(w, r)
	if !ok {
		return
	}
	since, ok := number(w, r, "since", 0)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", jsonLines)
	pulse := time.NewTicker(s.patience.pulse)
	defer pulse.Stop()
	if s.pulse(w) != nil { // that it is heard, though nothing may pass for long
		return
	}
	version := uint64(since) //nolint:gosec // G115: number has none below 0
	for last := false; ; {
		list, now, changed := s.supervisor.Traffic().Since(version, filter)
		if version > now { // one that another supervisor gave
			version = 0
			continue
		}
		if s.tellRequests(w, list, version, now) != nil || last {
			return
		}
		version = now
		for quiet := true; quiet; {
			quiet = false
			select {
			case <-changed:
			case <-s.supervisor.Ended():
				last = true
			case <-r.Context().Done():
				return
			case <-pulse.C:
				if s.pulse(w) != nil {
					return
				}
				quiet = true
			}
		}
		if !rest(r.Context(), watchEvery) {
			return
		}
	}
}

// tellRequests writes lines of a watch. All but the last still have the version
// before them: who goes on from there shall not miss what comes after.
func (s *Server) tellRequests(w http.ResponseWriter, list []traffic.Exchange, before, now uint64) error {
	for i, e := range list {
		u := requestUpdate{Version: before, Request: e.Brief()}
		if i == len(list)-1 {
			u.Version = now
		}
		if err := s.line(w, u); err != nil {
			return err
		}
	}
	return s.flush(w)
}
