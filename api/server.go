package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"silo/orchestrator"
	"silo/plan"
	"silo/state"
)

const (
	// maxBody bounds a request's body, in bytes.
	maxBody = 1 << 20
	// maxHeader bounds a request's line and headers, in bytes; net/http adds 4 KiB.
	maxHeader = 16 << 10
)

// timeouts bound the parts of an exchange with a client. A client that exceeds one is disconnected,
// so that a stuck program does not keep a connection.
type timeouts struct {
	read      time.Duration // of the headers, and again of the body
	write     time.Duration // of a response, or of one line of a stream
	heartbeat time.Duration // between two empty lines of a stream
}

func defaultTimeouts() timeouts {
	return timeouts{read: 5 * time.Second, write: 10 * time.Second, heartbeat: 30 * time.Second}
}

// Replan plans the current topology, for the named silos or all.
type Replan func(ctx context.Context, silos []string, monolith bool) (plan.Plan, error)

// Options configure a Server. All but Page are required.
type Options struct {
	Replan Replan
	// StripEscapes removes escape sequences from a line of a silo's output. It must
	// not keep or modify the line.
	StripEscapes func(line []byte) []byte
	// Version is the version of this build, for exports.
	Version string
	// Page is returned only on the socket.
	Page Page
}

// Server serves one instance's API.
type Server struct {
	supervisor *orchestrator.Supervisor
	options    Options
	logDir     string // of the silos' output
	timeouts   timeouts
	http       *http.Server
	served     chan struct{}
	debugging  sync.WaitGroup // debug sessions, whose connections http does not know
}

// Serve creates the instance's socket with mode 0600 and serves the API there
// until Close. The caller holds the instance's lock: an existing socket belongs to
// a dead supervisor and is removed.
func Serve(ctx context.Context, dir *state.Dir, supervisor *orchestrator.Supervisor, options Options) (*Server, error) {
	if err := dir.MakeSocketDir(); err != nil {
		return nil, err
	}
	if err := os.Remove(dir.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old control socket: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", dir.Socket)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(dir.Socket, 0o600); err != nil {
		_ = listener.Close()
		return nil, fmt.Errorf("restrict the control socket to its owner: %w", err)
	}
	s := newServer(supervisor, options, dir.Logs(), defaultTimeouts())
	s.serve(listener)
	return s, nil
}

func newServer(supervisor *orchestrator.Supervisor, options Options, logDir string, t timeouts) *Server {
	s := &Server{supervisor: supervisor, options: options, logDir: logDir, timeouts: t, served: make(chan struct{})}
	mux := s.publicRoutes()
	mux.HandleFunc("GET /v1/config", s.config)
	mux.HandleFunc("POST /v1/config", s.writeConfig)
	mux.HandleFunc("GET /v1/tail", s.tail)
	mux.HandleFunc("POST /v1/up", s.up)
	mux.HandleFunc("POST /v1/debug", s.debug)
	mux.HandleFunc("GET /v1/dashboard", s.dashboard)
	mux.HandleFunc("POST /v1/dashboard", s.dashboard)
	s.http = &http.Server{Handler: s.bound(mux), ReadHeaderTimeout: t.read, WriteTimeout: t.write, IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader}
	return s
}

// serve serves a listener in a goroutine that Close waits for.
func (s *Server) serve(listener net.Listener) {
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // returns after Close
	}()
}

// Close stops the server within about a second, even if ctx has ended. The listener removes its
// socket.
func (s *Server) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = s.http.Close()
	}
	<-s.served
	idle := make(chan struct{})
	go func() { s.debugging.Wait(); close(idle) }()
	select {
	case <-idle: // the sessions have ended with the supervisor
	case <-ctx.Done():
	}
	return err
}

// Handler serves the routes that browsers may also use: all except those about files of
// this machine and the dashboard's token. The caller authorizes requests and bounds how
// long they may take to arrive. Handler itself drops responses and stream lines that are
// not read in time.
func (s *Server) Handler() http.Handler { return s.bound(s.publicRoutes()) }

// bound bounds the bodies of requests, and the time to read each part of a response.
func (s *Server) bound(h http.Handler) http.Handler {
	return http.MaxBytesHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(deadlineWriter{w, s.timeouts.write}, r)
	}), maxBody)
}

// deadlineWriter extends the write deadline before each Write.
type deadlineWriter struct {
	http.ResponseWriter

	timeout time.Duration
}

func (d deadlineWriter) Write(p []byte) (int, error) {
	_ = http.NewResponseController(d.ResponseWriter).SetWriteDeadline(time.Now().Add(d.timeout)) // supported by every connection here
	return d.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (d deadlineWriter) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (s *Server) publicRoutes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/snapshot", s.snapshot)
	mux.HandleFunc("GET /v1/watch", s.watch)
	mux.HandleFunc("GET /v1/requests", s.requests)
	mux.HandleFunc("GET /v1/requests/{id}", s.request)
	mux.HandleFunc("GET /v1/requests/{id}/har", s.requestHAR)
	mux.HandleFunc("GET /v1/requests/watch", s.watchRequests)
	mux.HandleFunc("GET /v1/requests.har", s.requestsHAR)
	mux.HandleFunc("GET /v1/calls", s.calls)
	mux.HandleFunc("GET /v1/logs", s.logs)
	mux.HandleFunc("POST /v1/replay", s.replay)
	mux.HandleFunc("POST /v1/start", s.silosHandler((*orchestrator.Supervisor).Start))
	mux.HandleFunc("POST /v1/stop", s.silosHandler((*orchestrator.Supervisor).Stop))
	mux.HandleFunc("POST /v1/restart", s.silosHandler((*orchestrator.Supervisor).Restart))
	mux.HandleFunc("POST /v1/down", s.down)
	return mux
}
