package tunnels

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	dialTimeout   = 5 * time.Second
	redialFirst   = 20 * time.Millisecond
	redialLongest = 2 * time.Second
	redialShare   = 50
	goodbyeBound  = 300 * time.Millisecond
)

// dialer makes the SDK's connections to the service and holds on to them.
//
// The SDK waits up to 30 s between attempts and can neither be hurried nor
// stopped in its wait. So, once there was a connection, the dialer does not
// report a failed dial but tries again itself until one succeeds, after a pause
// that is a fiftieth of the outage so far: what was away for a second is back
// within 20 ms, a laptop that wakes up within 2 s.
type dialer struct {
	established atomic.Bool
	settled     <-chan struct{} // nothing is dialled before it is closed
	trouble     func(error)     // told of each failed dial after that

	mu     sync.Mutex // guards all below
	conns  map[*dialed]bool
	closed bool
	empty  chan struct{} // closed while conns is empty
}

// dialed tells its dialer of its end.
type dialed struct {
	net.Conn
	dialer *dialer
}

func newDialer(settled <-chan struct{}, trouble func(error)) *dialer {
	empty := make(chan struct{})
	close(empty)
	return &dialer{settled: settled, trouble: trouble, conns: map[*dialed]bool{}, empty: empty}
}

// Dial is there because the SDK's interface asks for it.
func (d *dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext dials, and after a first success dials until there is another.
func (d *dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	<-d.settled
	plain := net.Dialer{Timeout: dialTimeout}
	for begun := time.Now(); ; {
		conn, err := plain.DialContext(ctx, network, addr)
		if err == nil {
			return d.keep(conn)
		}
		if ctx.Err() != nil || !d.established.Load() {
			return nil, err
		}
		d.trouble(err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(min(max(redialFirst, time.Since(begun)/redialShare), redialLongest)):
		}
	}
}

func (d *dialer) keep(conn net.Conn) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.Join(errClosed, conn.Close())
	}
	kept := &dialed{Conn: conn, dialer: d}
	if len(d.conns) == 0 {
		d.empty = make(chan struct{})
	}
	d.conns[kept] = true
	return kept, nil
}

func (c *dialed) Close() error {
	d := c.dialer
	d.mu.Lock()
	if d.conns[c] {
		delete(d.conns, c)
		if len(d.conns) == 0 {
			close(d.empty)
		}
	}
	d.mu.Unlock()
	return c.Conn.Close()
}

// quiet waits until the SDK has closed its connections, for 300 ms at most.
func (d *dialer) quiet() {
	d.mu.Lock()
	empty := d.empty
	d.mu.Unlock()
	select {
	case <-empty:
	case <-time.After(goodbyeBound):
	}
}

// close makes no more connections, lets the SDK end those that stand, and cuts
// what is left: a service that has frozen would hold them for long.
func (d *dialer) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.quiet()
	d.mu.Lock()
	defer d.mu.Unlock()
	for conn := range d.conns {
		_ = conn.Conn.Close() // it is the SDK's to close, and its error
	}
}

// settling is the context of a session of the SDK, which tells when it is first
// waited for. Connect starts to dial in a goroutine, then writes a session without
// a logger over what that goroutine may have made of the service's answer by then,
// and only then waits: a tunnel of such a session panics where its Accept ends
// (golang.ngrok.com/ngrok v1.12.1, session.go, Connect).
type settling struct {
	context.Context //nolint:containedctx // it is one
	once            sync.Once
	waited          chan struct{}
}

func (s *settling) Done() <-chan struct{} {
	s.once.Do(func() { close(s.waited) })
	return s.Context.Done()
}
