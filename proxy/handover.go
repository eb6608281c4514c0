package proxy

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"
)

// handover is the listener through which net/http gets the connections that an
// inlet does not serve any further.
type handover struct {
	at    net.Addr
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case conn := <-h.conns:
		return conn, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.once.Do(func() { close(h.ended) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.at }

// give hands a connection over, with what has been read of it already.
func (h *handover) give(c *inbound, came []byte) {
	_ = c.conn.SetReadDeadline(time.Time{}) // a dead connection says so when it is read
	handed := &handedConn{Conn: c.conn, came: bytes.Clone(came), peer: c.peer}
	select {
	case h.conns <- handed:
	case <-h.ended:
		_ = c.conn.Close() // nobody answers any more
	}
}

// handedConn is a connection of which the beginning has been read. One goroutine
// reads at a time.
type handedConn struct {
	net.Conn

	came []byte
	peer *peer
}

func (c *handedConn) Read(p []byte) (int, error) {
	if len(c.came) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.came)
	if c.came = c.came[n:]; len(c.came) == 0 {
		c.came = nil
	}
	return n, nil
}

// CloseWrite ends the writing side alone, where the connection can do that.
func (c *handedConn) CloseWrite() error {
	if half, can := c.Conn.(halfCloser); can {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
