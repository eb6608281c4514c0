package proxy

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// clientWriter is the ResponseWriter for one client's request. It prevents net/http from
// adding headers that the silo did not send.
type clientWriter struct {
	http.ResponseWriter

	request  *http.Request
	body     *requestBody  // nil if the request has none
	upgraded *upgradedConn // nil unless the connection was upgraded
}

func newClientWriter(w http.ResponseWriter, r *http.Request) *clientWriter {
	c := &clientWriter{ResponseWriter: w, request: r}
	if r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		c.body = &requestBody{ReadCloser: r.Body, http1: r.ProtoMajor == 1}
	}
	return c
}

// WriteHeader sends an informational header or the final one.
func (w *clientWriter) WriteHeader(status int) {
	header := w.Header()
	if status < http.StatusOK {
		if w.request.ProtoAtLeast(1, 1) { // HTTP/1.0 has no informational responses (RFC 9110, section 15.2)
			// If the client has disconnected, net/http's HTTP/2 server may encode the header
			// after WriteHeader returns, while ReverseProxy reuses the map. Setting
			// Content-Length makes the server encode a copy; it is not sent.
			header.Set("Content-Length", "0")
			w.ResponseWriter.WriteHeader(status)
			header.Del("Content-Length")
		}
		return
	}
	if w.body != nil && w.request.ProtoMajor == 1 && !w.body.eof.Load() {
		// If the body was not read to EOF, net/http panics on the next request of a
		// full-duplex connection (net/http, server.go, connReader).
		header.Set("Connection", "close")
	}
	for _, name := range []string{"Content-Type", "Date"} {
		if _, ok := header[name]; !ok {
			header[name] = nil                      // not added
			defer func() { delete(header, name) }() // the server has made a copy, and the recorder keeps this map
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *clientWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// limitLinger bounds how long the server reads the rest of the body.
func (w *clientWriter) limitLinger() {
	if w.body != nil && w.request.ProtoMajor == 1 && !w.body.eof.Load() {
		_ = http.NewResponseController(w.ResponseWriter).SetReadDeadline(time.Now().Add(lingerTimeout))
	}
}

// Hijack returns the client's connection. Its first reads return the bytes that the
// server has buffered.
func (w *clientWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buffered, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early := io.LimitReader(buffered, int64(buffered.Reader.Buffered()))
	w.upgraded = &upgradedConn{Conn: conn, reader: io.MultiReader(early, conn)}
	return w.upgraded, buffered, nil
}

// upgradedConn is a client's connection after an upgrade. It counts bytes, excluding
// the response header, which goes through the buffered writer.
type upgradedConn struct {
	net.Conn

	reader             io.Reader
	received, returned atomic.Int64
}

func (c *upgradedConn) Read(p []byte) (int, error) {
	n, err := c.reader.Read(p)
	c.received.Add(int64(n))
	return n, err
}

func (c *upgradedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.returned.Add(int64(n))
	return n, err
}

// CloseWrite closes the write side.
func (c *upgradedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// requestBody records whether a request's body has been read to EOF.
type requestBody struct {
	io.ReadCloser

	http1 bool
	eof   atomic.Bool
}

// errDisconnected is the error for a body whose client has disconnected.
var errDisconnected = errors.New("the client disconnected")

// Read returns a *FaultError if the client's chunks are malformed. When a client
// disconnects, HTTP/1.1 cancels the request's context before Read fails; HTTP/2, which
// has no chunks, cancels it afterwards.
func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.eof.Store(true)
	case err != nil && !b.http1:
		err = errDisconnected
	case err != nil:
		err = &FaultError{Fault: Malformed, Detail: "the request's body is malformed: " + err.Error()}
	}
	return n, err
}
