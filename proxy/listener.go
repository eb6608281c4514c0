package proxy

import (
	"net"
	"sync"
)

// ChanListener is a net.Listener for connections that were accepted elsewhere. Its
// methods may be called from any goroutine.
type ChanListener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewChanListener returns a listener with the address addr.
func NewChanListener(addr net.Addr) *ChanListener {
	return &ChanListener{addr: addr, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Deliver blocks until Accept returns conn. Once the listener is closed, it closes conn.
func (l *ChanListener) Deliver(conn net.Conn) {
	select {
	case l.conns <- conn:
	case <-l.closed:
		_ = conn.Close()
	}
}

// Accept blocks until a connection is delivered. It returns net.ErrClosed once the
// listener is closed.
func (l *ChanListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener. It always returns nil.
func (l *ChanListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr returns the address passed to NewChanListener.
func (l *ChanListener) Addr() net.Addr { return l.addr }
