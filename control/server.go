package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"silo/orchestrator"
	"silo/state"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// watchEvery bounds how often a watcher is sent a snapshot.
	watchEvery = 50 * time.Millisecond
	// linesEvery is how often last lines are looked at while silos come or go.
	linesEvery = 250 * time.Millisecond
)

// Server answers on one instance's socket.
type Server struct {
	supervisor *orchestrator.Supervisor
	replan     Replan
	listener   net.Listener
	http       *http.Server
	served     chan struct{}
	socket     string
}

// Serve makes the instance's socket, readable by its owner alone, and answers
// there until Close. The caller holds the instance's lock: a socket that is in
// the way is a dead one's.
func Serve(ctx context.Context, dir *state.Dir, supervisor *orchestrator.Supervisor, replan Replan) (*Server, error) {
	if err := dir.MakeSocketDir(); err != nil {
		return nil, err
	}
	if err := os.Remove(dir.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove a dead control socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", dir.Socket)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(dir.Socket, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("close the control socket to others: %w", err)
	}
	s := &Server{supervisor: supervisor, replan: replan, listener: listener, served: make(chan struct{}), socket: dir.Socket}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // ends with Close, and has nobody to tell otherwise
	}()
	return s, nil
}

// Close ends the server in bounded time, whether or not ctx has ended, and
// removes the socket.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.served
	if removed := os.Remove(s.socket); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
		err = errors.Join(err, removed)
	}
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/snapshot", s.snapshot)
	mux.HandleFunc("GET /v1/watch", s.watch)
	mux.HandleFunc("GET /v1/config", s.config)
	mux.HandleFunc("GET /v1/tail", s.tail)
	mux.HandleFunc("POST /v1/up", s.up)
	mux.HandleFunc("POST /v1/start", s.ask((*orchestrator.Supervisor).Start))
	mux.HandleFunc("POST /v1/stop", s.ask((*orchestrator.Supervisor).Stop))
	mux.HandleFunc("POST /v1/restart", s.ask((*orchestrator.Supervisor).Restart))
	mux.HandleFunc("POST /v1/down", s.down)
	return mux
}

func (s *Server) snapshot(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("probe") == "1" {
		answer(w, http.StatusOK, s.supervisor.Refresh(r.Context()))
		return
	}
	answer(w, http.StatusOK, s.supervisor.Snapshot())
}

func (s *Server) config(w http.ResponseWriter, _ *http.Request) {
	block := s.supervisor.Block()
	answer(w, http.StatusOK, configBody{block.Text(), block.Marked()})
}

func (s *Server) tail(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("n"))
	if err != nil || n < 0 {
		answer(w, http.StatusBadRequest, refusal{Error: "n is not a number of lines"})
		return
	}
	answer(w, http.StatusOK, tailBody{s.supervisor.Tail(r.URL.Query().Get("silo"), n)})
}

// ask takes a wish for silos. The answer says that it is taken; watching says when it is done.
func (s *Server) ask(wish func(*orchestrator.Supervisor, ...string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, ok := read(w, r)
		if !ok {
			return
		}
		if err := wish(s.supervisor, body.Silos...); err != nil {
			refuse(w, err)
			return
		}
		answer(w, http.StatusAccepted, s.supervisor.Snapshot())
	}
}

// refuse answers with an error that the client can make out again.
func refuse(w http.ResponseWriter, err error) {
	var unknown *orchestrator.UnknownSiloError
	var whole *orchestrator.WholeError
	switch {
	case errors.As(err, &unknown):
		answer(w, http.StatusNotFound, refusal{Error: err.Error(), Silo: unknown.Name, Known: unknown.Known})
	case errors.As(err, &whole):
		answer(w, http.StatusConflict, refusal{Error: err.Error(), Whole: whole.What})
	default:
		answer(w, http.StatusInternalServerError, refusal{Error: err.Error()})
	}
}

// up is `silo up` beside a running supervisor: the topology is read again, what
// has changed is applied, and silos that rest are started.
func (s *Server) up(w http.ResponseWriter, r *http.Request) {
	body, ok := read(w, r)
	if !ok {
		return
	}
	ctx := context.WithoutCancel(r.Context()) // half a change is worse than one nobody waits for
	plan, err := s.replan(ctx, body.Silos, body.Monolith)
	if err != nil {
		refuse(w, err)
		return
	}
	changes, err := s.supervisor.Apply(ctx, plan)
	if err == nil {
		err = s.supervisor.Start(body.Silos...)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusAccepted, changes)
}

func (s *Server) down(w http.ResponseWriter, r *http.Request) {
	if body, ok := read(w, r); ok {
		s.supervisor.Down(body.Kill)
		answer(w, http.StatusAccepted, s.supervisor.Snapshot())
	}
}

// watch streams an Update at once and after each change, one a line, until the
// reader leaves or the instance has ended; the last one says stopped.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/jsonl")
	stream := json.NewEncoder(w)
	flush := http.NewResponseController(w)
	lines := time.NewTicker(linesEvery)
	defer lines.Stop()
	for last := false; ; {
		snapshot, replaced := s.supervisor.Next()
		if stream.Encode(s.update(snapshot)) != nil || flush.Flush() != nil || last {
			return
		}
		starting := lines.C
		if snapshot.State != state.InstanceStarting && snapshot.State != state.InstanceStopping {
			starting = nil // no wake-ups for a stream that has nothing to say
		}
		select {
		case <-replaced:
		case <-starting:
		case <-s.supervisor.Ended():
			last = true
		case <-r.Context().Done():
			return
		}
		if !rest(r.Context(), watchEvery) {
			return
		}
	}
}

// rest keeps a burst of changes from becoming a burst of snapshots.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *Server) update(snapshot *state.Snapshot) Update {
	u := Update{Snapshot: snapshot}
	for _, silo := range snapshot.Silos {
		if silo.State == state.Starting || silo.State == state.Stopping {
			if u.LastLines == nil {
				u.LastLines = map[string]string{}
			}
			u.LastLines[silo.Name] = s.supervisor.LastLine(silo.Name)
		}
	}
	return u
}

func read(w http.ResponseWriter, r *http.Request) (request, bool) {
	var body request
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		answer(w, http.StatusBadRequest, refusal{Error: "the request's body is not understood: " + err.Error()})
		return body, false
	}
	return body, true
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a reader that left needs no answer
}
