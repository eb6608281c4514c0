package proxy

import (
	"net"
	"sync"
)

// ChanListener is a listener of connections that others have accepted. Its methods may be
// called from any goroutine.
type ChanListener struct {
	at    net.Addr
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

// NewChanListener makes a feed whose address is at.
func NewChanListener(at net.Addr) *ChanListener {
	return &ChanListener{at: at, conns: make(chan net.Conn), ended: make(chan struct{})}
}

// Deliver waits until Accept takes a connection. Once the feed is closed it closes it.
func (f *ChanListener) Deliver(conn net.Conn) {
	select {
	case f.conns <- conn:
	case <-f.ended:
		_ = conn.Close() // nobody answers any more
	}
}

// Accept waits for a connection; net.ErrClosed once the feed is closed.
func (f *ChanListener) Accept() (net.Conn, error) {
	select {
	case conn := <-f.conns:
		return conn, nil
	case <-f.ended:
		return nil, net.ErrClosed
	}
}

// Close ends the feed. It has no error.
func (f *ChanListener) Close() error {
	f.once.Do(func() { close(f.ended) })
	return nil
}

// Addr is the address that the feed was made with.
func (f *ChanListener) Addr() net.Addr { return f.at }
