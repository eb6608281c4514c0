package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"

	"silo/traffic"
)

// tape keeps the beginning of a body and counts all of it.
type tape struct {
	bytes int64
	kept  []byte
}

// take adds what has passed. declared tells how long the whole is said to be; 0:
// it is not said.
func (t *tape) take(p []byte, declared func() int64) {
	t.bytes += int64(len(p))
	room := traffic.BodyLimit - len(t.kept)
	if room == 0 || len(p) == 0 {
		return
	}
	if t.kept == nil {
		t.kept = make([]byte, 0, min(traffic.BodyLimit, max(declared(), int64(len(p)))))
	}
	t.kept = append(t.kept, p[:min(room, len(p))]...)
}

func declaredIn(header http.Header) int64 {
	if values := header["Content-Length"]; len(values) == 1 {
		n, _ := strconv.ParseInt(values[0], 10, 64) // an impossible one is not this one's to refuse
		return n
	}
	return 0
}

// sentBody is a request's body on its way to the silo.
type sentBody struct {
	io.ReadCloser

	declared int64 // -1: not said

	mu    sync.Mutex // guards all below: a Read may outlive the handler (go.dev/issue/46866)
	tape  tape
	ended bool // its end has been read
	over  bool // nobody takes note any more
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.tape.take(p[:n], func() int64 { return b.declared })
		b.ended = errors.Is(err, io.EOF)
	}
	return n, err
}

// stop gives what has passed; what comes after is not noted.
func (b *sentBody) stop() (kept []byte, bytes int64, ended bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.tape.kept, b.tape.bytes, b.ended
}

// Hijack is asked for by what forwards an upgrade.
func (w *witness) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, both, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	w.note(http.StatusSwitchingProtocols)
	w.line = &upgradedConn{Conn: conn}
	w.line.from.Store(int64(both.Reader.Buffered())) // has been read already, with the request
	return w.line, both, nil
}

// upgradedConn counts what passes once a connection is not HTTP's any more. The
// answer's header goes another way, through the buffer that Hijack gives.
type upgradedConn struct {
	net.Conn

	from, to atomic.Int64
}

func (c *upgradedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.from.Add(int64(n))
	return n, err
}

func (c *upgradedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.to.Add(int64(n))
	return n, err
}

// CloseWrite passes on that one side has said all that it has to say.
func (c *upgradedConn) CloseWrite() error {
	if half, can := c.Conn.(interface{ CloseWrite() error }); can {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *upgradedConn) counted() (from, to int64) { return c.from.Load(), c.to.Load() }
