package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"time"
)

const (
	// headerLimit bounds an answer's header, and all early ones together, in bytes.
	headerLimit = 1 << 20

	wireBuffer = 4 << 10
)

// wire is one connection to a silo. One goroutine uses it at a time.
type wire struct {
	of    *wires
	at    string // host:port
	conn  *socket
	in    *bufio.Reader // reads from this wire
	out   *bufio.Writer
	left  int64     // that may come until there is an end; for headers
	mute  bool      // nothing has come since it was asked last
	since time.Time // idle
}

// dial makes a new wire.
func (w *wires) dial(ctx context.Context, at string) (*wire, error) {
	conn, err := w.dialer.DialContext(ctx, "tcp", at)
	if err != nil {
		return nil, err
	}
	fresh := &wire{of: w, at: at, conn: newSocket(conn.(*net.TCPConn))} //nolint:errcheck,forcetypeassert // a Dialer has no other for tcp
	fresh.in, fresh.out = bufio.NewReaderSize(fresh, wireBuffer), bufio.NewWriterSize(fresh.conn, wireBuffer)
	return fresh, nil
}

// errHeader says that an answer's header has no end in sight.
var errHeader = fmt.Errorf("the answer's header is longer than %d bytes", headerLimit)

func (w *wire) Read(p []byte) (int, error) {
	if w.left <= 0 {
		return 0, errHeader
	}
	n, err := w.conn.Read(p[:min(int64(len(p)), w.left)])
	if n > 0 {
		w.mute = false
		w.left -= int64(n)
	}
	return n, err
}

// exchange sends a request and returns its answer, whose body keeps the wire
// until its end. The end of r's context is the end of the wire.
func (w *wire) exchange(r *http.Request, pass early) (*http.Response, error) {
	w.mute, w.left = true, headerLimit
	bond := w.bind(r.Context())
	answer, err := w.ask(r, pass)
	if err == nil && answer.Body == http.NoBody {
		w.rest(bond.release() && reusable(answer))
		return answer, nil
	}
	if err != nil {
		bond.release()
		_ = w.conn.Close() // what it says further is no answer
		if ended := r.Context().Err(); ended != nil {
			return nil, ended
		}
		return nil, err
	}
	answer.Body = &wireBody{body: answer.Body, bond: bond, reusable: reusable(answer)}
	return answer, nil
}

// wake ends every wait for the silo.
func (w *wire) wake() { _ = w.conn.SetDeadline(time.Unix(1, 0)) } // a closed one waits for nothing

// ask sends a request and reads the header of its answer.
func (w *wire) ask(r *http.Request, pass early) (*http.Response, error) {
	if err := w.write(r); err != nil {
		return nil, err
	}
	if w.of.timeout > 0 {
		_ = w.conn.SetReadDeadline(time.Now().Add(w.of.timeout)) // a dead connection says so when it is read
		defer func() {
			_ = w.conn.SetReadDeadline(time.Time{}) // as above
			if r.Context().Err() != nil {
				w.wake() // that may have been taken back
			}
		}()
	}
	if first, _ := w.in.Peek(frameHeader); isHTTP2(first) { // its error comes again below
		return nil, errHTTP2
	}
	if answer := w.plain(r); answer != nil {
		w.left = math.MaxInt64
		return answer, nil
	}
	for {
		answer, err := http.ReadResponse(w.in, r)
		if err != nil {
			return nil, err
		}
		switch code := answer.StatusCode; {
		case code == http.StatusSwitchingProtocols, code < http.StatusContinue:
			return nil, fmt.Errorf("an answer %d, for which nobody has asked", code)
		case code < http.StatusOK:
			pass(code, answer.Header)
			continue
		}
		w.left = math.MaxInt64
		return answer, nil
	}
}

// plain takes the answer that has come, where it is a plain one and its header whole:
// net/http takes three times as long for it.
func (w *wire) plain(r *http.Request) *http.Response {
	came, _ := w.in.Peek(w.in.Buffered()) // no more than there is
	size := bytes.Index(came, headEnd) + len(headEnd)
	if size < len(headEnd) {
		return nil
	}
	answer, ok := parsePlainAnswer(string(came[:size]), r, w.in)
	if !ok {
		return nil
	}
	_, _ = w.in.Discard(size) // it is there
	return answer
}

// write sends a request without a body.
func (w *wire) write(r *http.Request) error {
	out := w.out
	_, _ = out.WriteString(r.Method) // its error comes with Flush, as those below
	_ = out.WriteByte(' ')
	_, _ = out.WriteString(r.URL.RequestURI())
	_, _ = out.WriteString(" HTTP/1.1\r\nHost: ")
	_, _ = out.WriteString(r.Host)
	_, _ = out.WriteString("\r\n")
	_ = r.Header.WriteSubset(out, unsent)
	_, _ = out.WriteString("\r\n")
	return out.Flush()
}

// unsent are fields of a request's header that are not sent as they stand there.
var unsent = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

// isHTTP2 tells whether what begins like this is HTTP/2: its first frame is a
// SETTINGS frame of stream 0 (RFC 9113, sections 3.4 and 4.1).
func isHTTP2(first []byte) bool {
	return len(first) == frameHeader && first[3] == 4 && first[4] == 0 && [4]byte(first[5:]) == [4]byte{}
}

// frameHeader is the size of what each frame of HTTP/2 begins with; no answer of
// HTTP/1.1 is as short.
const frameHeader = 9

// rest ends an exchange. The wire is kept where the silo keeps it too, and has
// said nothing that nobody asked for.
func (w *wire) rest(reusable bool) {
	if reusable && w.in.Buffered() == 0 {
		w.of.put(w)
		return
	}
	_ = w.conn.Close() // the answer is whole
}

// reusable tells whether a connection can be used after an answer's end.
func reusable(answer *http.Response) bool {
	return !answer.Close && answer.ProtoAtLeast(1, 1)
}

// wireBody is an answer's body. It gives its wire back at its end.
type wireBody struct {
	body     io.ReadCloser
	bond     bond
	reusable bool
	over     bool
}

// waits tells whether a part of the body has come with its header.
func (b *wireBody) waits() bool { return b.bond.wire.in.Buffered() > 0 }

func (b *wireBody) Read(p []byte) (int, error) {
	if b.over {
		return 0, io.EOF
	}
	n, err := b.body.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.end(b.reusable)
	case err != nil:
		b.end(false)
	}
	return n, err
}

// Close ends the wire where the body has not been read to its end: it may be
// endless.
func (b *wireBody) Close() error {
	if !b.over {
		b.end(false)
	}
	return nil
}

func (b *wireBody) end(reusable bool) {
	b.over = true
	if !b.bond.release() { // its deadline has come, or is coming
		reusable = false
	}
	b.bond.wire.rest(reusable)
}
