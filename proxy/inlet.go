package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// inlet takes a listener's connections. It serves the plain requests of each by
// itself, and hands the connection on to net/http with the first that is not plain:
// net/http starts a second goroutine for each request, to learn whether the client
// leaves, and sets four deadlines, which for a short answer is a quarter of what a
// proxy takes. As a listener it gives no connection, but lets an http.Server have
// the care of its errors.
type inlet struct {
	net.Listener

	base    context.Context //nolint:containedctx // of all requests, as http.Server.BaseContext
	flights *flights
	rest    *ChanListener // what is net/http's from then on

	closing atomic.Bool
	serving sync.WaitGroup
	mu      sync.Mutex // guards all below
	open    map[*inbound]struct{}
}

func newInlet(base context.Context, listener net.Listener, flights *flights) *inlet {
	return &inlet{
		Listener: listener, base: base, flights: flights, open: map[*inbound]struct{}{},
		rest: NewChanListener(listener.Addr()),
	}
}

// Accept serves what connects, until the listener fails.
func (i *inlet) Accept() (net.Conn, error) {
	for {
		conn, err := i.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := newInbound(i, conn)
		i.mu.Lock()
		i.open[c] = struct{}{}
		i.mu.Unlock()
		i.serving.Go(c.serve)
	}
}

func (i *inlet) forget(c *inbound) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.open, c)
}

// drain closes what is idle and waits until the rest is, or ctx ends. Accept must
// have returned.
func (i *inlet) drain(ctx context.Context) {
	i.closing.Store(true)
	i.each(func(c *inbound) {
		if c.idle.CompareAndSwap(true, false) {
			_ = c.conn.Close() // it serves nothing
		}
	})
	done := make(chan struct{})
	go func() { i.serving.Wait(); close(done) }() // close sees to its end
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// close ends what drain has left, and waits until nothing is served any more. Accept
// must have returned.
func (i *inlet) close() {
	i.closing.Store(true)
	i.each(func(c *inbound) { _ = c.conn.Close() }) // whatever it does
	i.serving.Wait()
}

// each does f for all connections side by side, and is not waited for but with what
// is served: a tunnel's may take long to close, and must then not hold up the others.
func (i *inlet) each(f func(c *inbound)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for c := range i.open {
		i.serving.Go(func() { f(c) })
	}
}

// inboundBuffer holds the header of a plain request as a whole.
const inboundBuffer = 8 << 10

// inbound is a connection from a client.
type inbound struct {
	of    *inlet
	conn  net.Conn
	peer  *peer
	base  *http.Request      // what all its requests are copies of; its context ends with the connection
	gone  context.CancelFunc // of that context
	idle  atomic.Bool        // it waits for a request; who sets it to false decides what comes next
	in    *bufio.Reader
	out   *bufio.Writer
	guard *lookout
	until time.Time // when reads end, or zero; it may be a little out of date
}

func newInbound(i *inlet, conn net.Conn) *inbound {
	through := conn
	if tcp, is := conn.(*net.TCPConn); is { // a tunnel's are not
		through = newSocket(tcp)
	}
	c := &inbound{of: i, conn: conn, peer: i.flights.newPeer(conn), guard: newLookout(through)}
	ctx, gone := newInboundContext(context.WithValue(i.base, peerKey{}, c.peer))
	c.gone = gone
	c.base = (&http.Request{
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: conn.RemoteAddr().String(),
	}).WithContext(ctx)
	c.in, c.out = bufio.NewReaderSize(c.guard, inboundBuffer), bufio.NewWriterSize(through, wireBuffer)
	c.idle.Store(true)
	return c
}

func (c *inbound) serve() {
	defer c.of.forget(c)
	defer c.gone()
	for c.next() {
	}
}

// next serves one request. False: the connection is closed, or another's.
func (c *inbound) next() bool {
	came, err := c.head()
	if !c.idle.CompareAndSwap(true, false) || err != nil && (len(came) < len(headEnd) || errors.Is(err, os.ErrDeadlineExceeded)) {
		_ = c.conn.Close() // nobody has asked for anything
		return false
	}
	if size := bytes.Index(came, headEnd) + len(headEnd); size >= len(headEnd) {
		if r, ok := parsePlain(string(came[:size]), c.base); ok {
			_, _ = c.in.Discard(size) // it is there
			return c.answer(r)
		}
	}
	c.handOver(came)
	return false
}

func (c *inbound) answer(r *http.Request) bool {
	w := newReply(c.out, r, c.gone)
	if !c.guard.stolen { // there is room for one byte
		c.guard.watch(c.gone)
	}
	whole := c.handle(w, r)
	if c.guard.rest() {
		c.until = time.Time{}
	}
	if !whole || !w.finish() {
		_ = c.conn.Close() // nothing can be asked on it
		return false
	}
	c.idle.Store(true)
	if c.of.closing.Load() && c.idle.CompareAndSwap(true, false) {
		_ = c.conn.Close() // drain has come too early for it
		return false
	}
	return true
}

// handle tells whether the handler has come to its end.
func (c *inbound) handle(w *reply, r *http.Request) (whole bool) {
	defer func() {
		if !whole {
			_ = recover() // http.ErrAbortHandler, or as net/http does with any other
		}
	}()
	c.of.flights.ServeHTTP(w, r)
	return true
}

// headEnd is what a request's header ends with.
var headEnd = []byte("\r\n\r\n")

// head waits for a request's header and gives what has come of the connection,
// without taking it: all of the header, unless that is not to be had, too long, or
// has lines that end in another way.
func (c *inbound) head() ([]byte, error) {
	c.expire(idleTimeout)
	for seen := 0; ; {
		came, _ := c.in.Peek(c.in.Buffered()) // no more than there is
		if bytes.Contains(came[max(0, seen-len(headEnd)):], headEnd) || len(came) == inboundBuffer || len(came) >= len(headEnd) && endsOtherwise(came) {
			return came, nil
		}
		if seen = len(came); seen > 0 {
			c.expire(readHeaderTimeout)
		}
		if _, err := c.in.Peek(seen + 1); err != nil {
			came, _ = c.in.Peek(c.in.Buffered())
			return came, err
		}
	}
}

// endsOtherwise tells whether a line ends in LF alone.
func endsOtherwise(came []byte) bool {
	return bytes.Count(came, []byte("\n")) != bytes.Count(came, []byte("\r\n"))
}

// slack is by how much a connection that is idle may end sooner: to set a deadline
// costs more than to look at the time.
const slack = 10 * time.Second

func (c *inbound) expire(after time.Duration) {
	at := time.Now().Add(after)
	if early := c.until.Sub(at); early <= 0 && early > -slack {
		return
	}
	c.until = at
	_ = c.conn.SetReadDeadline(at) // a dead connection says so when it is read
}
