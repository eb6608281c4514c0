package proxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute

	// shutdownGrace is how long requests in flight may continue once Serve's context has ended.
	shutdownGrace = 500 * time.Millisecond
)

// errClosing is the cause with which Serve cancels request contexts.
var errClosing = errors.New("the tunnel was closed")

// Serve serves handler on listener, over HTTP/1.1 and HTTP/2 without TLS, until ctx
// ends or the listener fails. It owns the listener and closes it. The end of ctx is not
// an error. Headers and idle connections have a time limit; bodies do not.
//
// When ctx ends, Serve accepts no more connections. Requests in flight get 500 ms;
// then their contexts are cancelled and their connections closed, upgraded ones
// included. Serve returns after the last handler, so handler must obey its request's
// context, as a Proxy does.
//
// logError receives the log messages of http.Server, such as a handler's panic with its
// stack. It is called from many goroutines and must not block. If it is nil, nothing is
// logged.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler, logError func(text string)) error {
	// Requests may outlive ctx by shutdownGrace.
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errClosing)
	running := &runningHandlers{handler: handler}
	server := newServer(running, logError)
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(ctx, callerKey{}, newCallerLookup(conn, &running.lookups))
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		grace, done := context.WithTimeout(base, shutdownGrace)
		_ = server.Shutdown(grace) // the rest is cancelled below
		done()
		if err = <-failed; errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
	}
	cut(errClosing)
	_ = server.Close() // reports only that the listener is closed
	running.wait()
	if err != nil {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

func newServer(handler http.Handler, logError func(text string)) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // with prior knowledge (RFC 9113, section 3.3)
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		Protocols:         protocols,
		ErrorLog:          log.New(logWriter(logError), "", 0),

		DisableGeneralOptionsHandler: true, // the silo answers OPTIONS *
	}
}

// logWriter passes each message of a log.Logger to a function, which may be nil.
type logWriter func(text string)

func (w logWriter) Write(p []byte) (int, error) {
	if w != nil {
		w(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

// runningHandlers waits for handlers and for the caller lookups that they start.
// http.Server.Shutdown does not wait for handlers that upgraded their connection.
type runningHandlers struct {
	handler http.Handler
	mu      sync.RWMutex // read-locked by each running handler; guards nothing else
	lookups sync.WaitGroup
}

func (h *runningHandlers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !h.mu.TryRLock() {
		panic(http.ErrAbortHandler) // wait has been called
	}
	defer h.mu.RUnlock()
	h.handler.ServeHTTP(w, r)
}

// wait blocks until all handlers and lookups have returned. Handlers that start later
// abort.
func (h *runningHandlers) wait() {
	h.mu.Lock()
	h.lookups.Wait()
}
