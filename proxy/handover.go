package proxy

import (
	"bytes"
	"errors"
	"net"
	"time"
)

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

// handOver gives a connection to net/http, with what has been read of it already.
func (c *inbound) handOver(came []byte) {
	_ = c.conn.SetReadDeadline(time.Time{}) // a dead connection says so when it is read
	came = bytes.Clone(came)
	if c.guard.stolen { // what follows, where all of came had been read before
		came = append(came, c.guard.byte[0])
	}
	c.of.rest.Deliver(&handedConn{Conn: c.conn, came: came, peer: c.peer})
}
