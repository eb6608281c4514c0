package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute

	// shutdownGrace is what a request in flight is left to end by itself.
	shutdownGrace = 500 * time.Millisecond
)

// Serve serves handler, in HTTP/1.1 and HTTP/2 as each client likes, on listener,
// which it owns and closes, until ctx ends or the listener fails. The end of ctx is
// no error. Headers and idle connections have a time limit, bodies have none.
//
// When ctx ends no connection is taken any more; requests in flight are left
// 500 ms, then their contexts and connections end, upgraded ones included.
// Serve returns after the last handler has, so handler must obey its request's
// context; a Proxy does.
func Serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	// Requests outlive ctx by the grace.
	base, cut := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cut(errClosing)
	flights := &flights{handler: handler}
	server := &http.Server{
		Handler:           flights,
		BaseContext:       func(net.Listener) context.Context { return base },
		ConnContext:       meet,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		Protocols:         protocols(),
		ErrorLog:          log.New(io.Discard, "", 0),

		DisableGeneralOptionsHandler: true, // what is asked of * is the silo's to answer, too
	}
	inlet := newInlet(base, listener, flights)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(inlet) }()
	var rest sync.WaitGroup
	rest.Go(func() { _ = server.Serve(inlet.rest) }) // it ends with the server

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		grace, done := context.WithTimeout(base, shutdownGrace)
		var shutdown sync.WaitGroup
		shutdown.Go(func() { _ = server.Shutdown(grace) }) // what it leaves is cut below
		if err = <-failed; errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		inlet.drain(grace)
		shutdown.Wait()
		done()
	}
	cut(errClosing)
	_ = server.Close() // reports only what the listener's own Close did
	inlet.close()
	rest.Wait()
	flights.land()
	if err != nil {
		return fmt.Errorf("serve %s: %w", listener.Addr(), err)
	}
	return nil
}

// protocols are HTTP/1.1 and, for clients that know beforehand that it is spoken
// here, HTTP/2 without TLS (RFC 9113, section 3.3).
func protocols() *http.Protocols {
	spoken := new(http.Protocols)
	spoken.SetHTTP1(true)
	spoken.SetUnencryptedHTTP2(true)
	return spoken
}

// flights joins handlers, and looks for who calls. http.Server.Shutdown forgets a
// connection once it is upgraded, though its handler still runs.
type flights struct {
	handler http.Handler
	aloft   sync.RWMutex // read-held by each running handler; guards nothing else
	lookups sync.WaitGroup
}

// newPeer is a place to find out who is at the far end of a connection.
func (f *flights) newPeer(conn net.Conn) *peer { return &peer{conn: conn, lookups: &f.lookups} }

// meet keeps the peer of a connection that is handed over.
func meet(ctx context.Context, conn net.Conn) context.Context {
	handed, _ := conn.(*handedConn) // there are no others
	return context.WithValue(ctx, peerKey{}, handed.peer)
}

func (f *flights) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !f.aloft.TryRLock() {
		panic(http.ErrAbortHandler) // landing
	}
	defer f.aloft.RUnlock()
	f.handler.ServeHTTP(w, r)
}

// land waits for the last handler, lets no other begin, and then waits for what
// the handlers have begun to look for.
func (f *flights) land() {
	f.aloft.Lock()
	f.lookups.Wait()
}
