package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"silo/orchestrator"
	"silo/plan"
	"silo/ports"
	"silo/sentry"
	"silo/state"
)

// jsonLines is the type of a stream of JSON values, one a line.
const jsonLines = "application/jsonl"

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// watchEvery bounds how often a watcher is sent a snapshot.
	watchEvery = 50 * time.Millisecond
	// linesEvery is how often last lines are looked at while silos come or go.
	linesEvery = 250 * time.Millisecond
	// maxHeader bounds a request's line and headers, in bytes; net/http adds 4 KiB
	// of slop.
	maxHeader = 16 << 10
)

// patience is what a caller has for each of its parts of an exchange. One that
// takes longer is hung up on, so that no stuck program keeps a connection.
type patience struct {
	ask    time.Duration // to send headers, and once more to send a body
	listen time.Duration // to take an answer, or one line of a watch
	pulse  time.Duration // between two lines of a watch that has nothing to say
}

func patient() patience {
	return patience{ask: 5 * time.Second, listen: 10 * time.Second, pulse: 30 * time.Second}
}

// Options are what a Server is given beside its supervisor. All but Page must be set.
type Options struct {
	// Replan makes a plan of the topology as it is now.
	Replan Replan
	// Plain takes escape sequences out of a line of a silo's output, and keeps neither.
	StripEscapes func(line []byte) []byte
	// Version is this build's, which exports name.
	Version string
	// Page is told on the socket alone.
	Page Page
}

// Server answers on one instance's socket.
type Server struct {
	supervisor *orchestrator.Supervisor
	options    Options
	logDir     string // where the silos' output is kept
	patience   patience
	http       *http.Server
	served     chan struct{}
	socket     string
}

// Serve makes the instance's socket, readable by its owner alone, and answers
// there until Close. The caller holds the instance's lock: a socket that is in
// the way is a dead one's.
func Serve(ctx context.Context, dir *state.Dir, supervisor *orchestrator.Supervisor, options Options) (*Server, error) {
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
	s := newServer(supervisor, options, dir.Logs(), patient())
	s.socket = dir.Socket
	s.serve(listener)
	return s, nil
}

func newServer(supervisor *orchestrator.Supervisor, options Options, logDir string, p patience) *Server {
	s := &Server{supervisor: supervisor, options: options, logDir: logDir, patience: p, served: make(chan struct{})}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: p.ask, WriteTimeout: p.listen, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader}
	return s
}

// serve answers on a listener, in a goroutine that Close waits for.
func (s *Server) serve(listener net.Listener) {
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // ends with Close, and has nobody to tell otherwise
	}()
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

// routes are what the socket answers.
func (s *Server) routes() http.Handler {
	mux := s.open()
	mux.HandleFunc("GET /v1/config", s.config)
	mux.HandleFunc("GET /v1/tail", s.tail)
	mux.HandleFunc("POST /v1/up", s.up)
	mux.HandleFunc("GET /v1/dashboard", s.dashboard)
	mux.HandleFunc("POST /v1/dashboard", s.dashboardOnce)
	return mux
}

// Handler answers what may also be asked from elsewhere than the socket, such as
// by a page in a browser: all but what speaks of files on this machine. Who may ask
// is the caller's to decide, and so is how long a request may take to come in: an
// answer, or a line of a stream, that is not taken in time is given up here.
func (s *Server) Handler() http.Handler { return s.open() }

func (s *Server) open() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/snapshot", s.snapshot)
	mux.HandleFunc("GET /v1/watch", s.watch)
	mux.HandleFunc("GET /v1/requests", s.requests)
	mux.HandleFunc("GET /v1/requests/{id}", s.request)
	mux.HandleFunc("GET /v1/requests/{id}/har", s.requestHAR)
	mux.HandleFunc("GET /v1/requests/watch", s.watchRequests)
	mux.HandleFunc("GET /v1/requests.har", s.har)
	mux.HandleFunc("GET /v1/calls", s.calls)
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("POST /v1/replay", s.replay)
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
		var body request
		if !s.read(w, r, &body) {
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
	var unknown *plan.UnknownSiloError
	var whole *plan.ImmutableError
	var unmanaged *orchestrator.UnmanagedError
	var unrepeatable *orchestrator.UnrepeatableError
	var taken ports.Conflicts
	switch {
	case errors.Is(err, orchestrator.ErrNotKept):
		answer(w, http.StatusNotFound, refusal{Error: err.Error(), NotKept: true})
	case errors.As(err, &unrepeatable):
		answer(w, http.StatusConflict, refusal{Error: err.Error(), Request: unrepeatable.ID, Why: unrepeatable.Why})
	case errors.As(err, &unmanaged):
		answer(w, http.StatusConflict, refusal{Error: err.Error(), Unmanaged: unmanaged.Names})
	case errors.As(err, &unknown):
		answer(w, http.StatusNotFound, refusal{Error: err.Error(), Silo: unknown.Name, Known: unknown.Known})
	case errors.As(err, &taken):
		answer(w, http.StatusConflict, refusal{Error: err.Error(), Conflicts: taken})
	case errors.As(err, &whole):
		answer(w, http.StatusConflict, refusal{Error: err.Error(), Whole: whole.Settings})
	default:
		answer(w, http.StatusInternalServerError, refusal{
			Error: err.Error(), Missing: errors.Is(err, sentry.ErrMissing), Markers: errors.Is(err, sentry.ErrMarkers),
		})
	}
}

// up is `silo up` beside a running supervisor: the topology is read again, what
// has changed is applied, and silos that rest are started. A dry one tells what would.
func (s *Server) up(w http.ResponseWriter, r *http.Request) {
	var body request
	if !s.read(w, r, &body) {
		return
	}
	ctx := context.WithoutCancel(r.Context()) // half a change is worse than one nobody waits for
	p, err := s.options.Replan(ctx, body.Silos, body.Monolith)
	if err != nil {
		refuse(w, err)
		return
	}
	var changes plan.Changes
	if body.Dry {
		changes, err = s.supervisor.Preview(p)
	} else if changes, err = s.supervisor.Apply(ctx, p); err == nil {
		err = s.supervisor.Up(body.Silos...) //nolint:contextcheck // it takes a moment, and no more than a look at ports
	}
	s.hurry(w) // from now on: silos that go have taken their time
	if err != nil {
		refuse(w, err)
		return
	}
	answer(w, http.StatusAccepted, changes)
}

func (s *Server) down(w http.ResponseWriter, r *http.Request) {
	var body request
	if s.read(w, r, &body) {
		s.supervisor.Down(body.Kill)
		answer(w, http.StatusAccepted, s.supervisor.Snapshot())
	}
}

// watch streams an Update at once and after each change, one a line, until the
// reader leaves or the instance has ended; the last one says stopped. An empty line
// now and then finds out that a reader has left who said more than he was asked:
// net/http looks for the end of a connection no further than at its next byte.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", jsonLines)
	lines, pulse := time.NewTicker(linesEvery), time.NewTicker(s.patience.pulse)
	defer lines.Stop()
	defer pulse.Stop()
	for last := false; ; {
		snapshot, replaced := s.supervisor.Next()
		if s.tell(w, snapshot) != nil || last {
			return
		}
		for quiet := true; quiet; {
			starting := lines.C
			if snapshot.State != state.InstanceStarting && snapshot.State != state.InstanceStopping {
				starting = nil // no wake-ups for a stream that has nothing to say
			}
			quiet = false
			select {
			case <-replaced:
			case <-starting:
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

// tell writes one line of a watch.
func (s *Server) tell(w http.ResponseWriter, snapshot *state.Snapshot) error {
	return errors.Join(s.line(w, s.update(snapshot)), s.flush(w))
}

// pulse writes an empty line, which a reader of JSON passes over.
func (s *Server) pulse(w http.ResponseWriter) error {
	s.hurry(w)
	_, err := io.WriteString(w, "\n")
	return errors.Join(err, s.flush(w))
}

// line writes one line of a stream, which may wait for flush.
func (s *Server) line(w http.ResponseWriter, value any) error {
	s.hurry(w)
	return json.NewEncoder(w).Encode(value)
}

func (s *Server) flush(w http.ResponseWriter) error { return http.NewResponseController(w).Flush() }

// hurry gives the caller its time anew to take what is written next.
func (s *Server) hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.patience.listen)) // each connection of ours can have one
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

// read takes a request's body: one JSON value of bounded size, in bounded time.
func (s *Server) read(w http.ResponseWriter, r *http.Request, body any) (ok bool) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.patience.ask)) // what cannot have one has the body already
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(body)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows its end")
		}
	}
	if err != nil {
		answer(w, http.StatusBadRequest, refusal{Error: "the request's body is not understood: " + err.Error()})
		return false
	}
	_ = control.SetReadDeadline(time.Time{})
	return true
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a reader that left needs no answer
}
