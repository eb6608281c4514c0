package tunnels

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"silo/wait"
)

const (
	dialTimeout   = 5 * time.Second
	firstRedial   = 20 * time.Millisecond
	longestRedial = 2 * time.Second
	redialShare   = 50 // the pause is this fraction of the outage
	goodbyeLimit  = 300 * time.Millisecond
)

// redialer dials the connections of one SDK session, one at a time.
//
// The SDK waits up to 30 s between attempts, and its wait can be neither shortened nor
// interrupted. So after the first success, the redialer retries failed dials instead of
// reporting them, pausing for a fiftieth of the outage so far.
type redialer struct {
	established atomic.Bool     // no longer report failures to the SDK
	ready       <-chan struct{} // dialing waits until it is closed
	failed      func(error)     // called for each failed dial after the first success

	mu     sync.Mutex   // guards all below
	last   *trackedConn // nil before the first one
	closed bool
}

// trackedConn is a connection that reports its Close.
type trackedConn struct {
	net.Conn
	once sync.Once
	done chan struct{} // closed by Close
}

func (c *trackedConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

// Dial implements the SDK's Dialer.
func (d *redialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

func (d *redialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	<-d.ready
	dialer := net.Dialer{Timeout: dialTimeout}
	for begun := time.Now(); ; {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err == nil {
			return d.track(conn)
		}
		if ctx.Err() != nil || !d.established.Load() {
			return nil, err
		}
		d.failed(err)
		if !wait.Sleep(ctx, min(max(firstRedial, time.Since(begun)/redialShare), longestRedial)) {
			return nil, ctx.Err()
		}
	}
}

func (d *redialer) track(conn net.Conn) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(errClosed, conn.Close())
	}
	d.last = &trackedConn{Conn: conn, done: make(chan struct{})}
	return d.last, nil
}

// waitClosed waits up to 300 ms for the SDK to close its connection.
func (d *redialer) waitClosed() {
	d.mu.Lock()
	last := d.last
	d.mu.Unlock()
	if last == nil {
		return
	}
	select {
	case <-last.done:
	case <-time.After(goodbyeLimit):
	}
}

// close refuses new connections, gives the SDK time to end the last one, and then closes it:
// the SDK waits a long time for an unresponsive service.
func (d *redialer) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.waitClosed()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close()
	}
}

// readyContext is the context of an SDK session. It closes ready when Done is
// first called.
//
// Connect starts dialing in a goroutine and then overwrites the session, which that
// goroutine may have set already, with one that has no logger. Only then does it wait
// for its context. A tunnel of a session without a logger panics when its Accept ends
// (golang.ngrok.com/ngrok v1.12.1, session.go, Connect).
type readyContext struct {
	context.Context //nolint:containedctx // it is one
	once            sync.Once
	ready           chan struct{}
}

func (c *readyContext) Done() <-chan struct{} {
	c.once.Do(func() { close(c.ready) })
	return c.Context.Done()
}
