package proxy

import (
	"net"
	"sync"
)

// Feed is a listener of connections that others have accepted. Its methods may be
// called from any goroutine.
type Feed struct {
	at    net.Addr
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

// NewFeed makes a feed whose address is at.
func NewFeed(at net.Addr) *Feed {
	return &Feed{at: at, conns: make(chan net.Conn), ended: make(chan struct{})}
}

// Give waits until Accept takes a connection. Once the feed is closed it closes it.
func (f *Feed) Give(conn net.Conn) {
	select {
	case f.conns <- conn:
	case <-f.ended:
		_ = conn.Close() // nobody answers any more
	}
}

// Accept waits for a connection; net.ErrClosed once the feed is closed.
func (f *Feed) Accept() (net.Conn, error) {
	select {
	case conn := <-f.conns:
		return conn, nil
	case <-f.ended:
		return nil, net.ErrClosed
	}
}

// Close ends the feed. It has no error.
func (f *Feed) Close() error {
	f.once.Do(func() { close(f.ended) })
	return nil
}

// Addr is the address that the feed was made with.
func (f *Feed) Addr() net.Addr { return f.at }
