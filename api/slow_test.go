package api

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections without a buffer: what is not read is stuck.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p pipes) dial() net.Conn {
	near, far := net.Pipe()
	p <- far
	return near
}

// Who is slow is hung up on: in the time of a bubble, without a supervisor, which
// no half of a request may reach.
func TestTheSlowAreHungUpOn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		says string
		hear string
		ends time.Duration
	}{
		"says nothing":        {"", "", patient().ask},
		"half a line":         {"GET /v1/sna", "HTTP/1.1 400", patient().ask},
		"half a header":       {"GET /v1/snapshot HTTP/1.1\r\nHost: si", "", patient().ask},
		"half a body":         {"POST /v1/down HTTP/1.1\r\nHost: silo\r\nContent-Length: 20\r\n\r\n{\"kill\":", "HTTP/1.1 400", patient().ask},
		"no body":             {"POST /v1/up HTTP/1.1\r\nHost: silo\r\nContent-Length: 20\r\n\r\n", "HTTP/1.1 400", patient().ask},
		"endless chunks":      {"POST /v1/up HTTP/1.1\r\nHost: silo\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n", "HTTP/1.1 400", patient().ask},
		"asks and goes quiet": {"GET /nowhere HTTP/1.1\r\nHost: silo\r\n\r\n", "HTTP/1.1 404", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(nil, Options{}, "", patient())
				listener := make(pipes)
				s.serve(listener)
				began := time.Now()
				conn := listener.dial()
				go func() { _, _ = io.WriteString(conn, test.says) }()
				heard, err := io.ReadAll(conn)
				if !strings.HasPrefix(string(heard), test.hear) || test.hear == "" && len(heard) > 0 || err != nil {
					t.Errorf("it hears %q, %v", heard, err)
				}
				if took := time.Since(began); took < test.ends || took > test.ends+time.Second {
					t.Errorf("hung up on after %v, not %v", took, test.ends)
				}
				must(t, s.Close(t.Context()))
			})
		})
	}
}

// An answer that nobody takes is given up.
func TestAnAnswerThatIsNotTakenIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, Options{}, "", patient())
		listener := make(pipes)
		s.serve(listener)
		conn := listener.dial()
		_, err := io.WriteString(conn, "GET /nowhere HTTP/1.1\r\nHost: silo\r\n\r\n")
		must(t, err)
		time.Sleep(patient().listen + time.Second)
		if heard, _ := io.ReadAll(conn); len(heard) > 0 {
			t.Errorf("it was kept: %q", heard)
		}
		must(t, s.Close(t.Context()))
	})
}

// A watcher that stops reading is dropped, and keeps nobody waiting meanwhile.
func TestAWatcherThatStopsReadingIsDropped(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), patience{ask: time.Second, listen: 100 * time.Millisecond, pulse: 10 * time.Millisecond})
	listener := make(pipes)
	s.serve(listener)
	conn := listener.dial()
	_, err := io.WriteString(conn, "GET /v1/watch HTTP/1.1\r\nHost: silo\r\n\r\n")
	must(t, err)
	stuck := bufio.NewReader(conn)
	_, err = stuck.ReadString('\n') // the status line, and no more of it
	must(t, err)
	must(t, i.Await(t.Context()))
	must(t, i.client.Restart(t.Context(), "us"))
	must(t, i.Await(t.Context(), "us"))
	// Shutdown waits for connections that are being answered: there is none left.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, s.http.Shutdown(ctx))
	must(t, conn.Close())
	i.end(t)
}

// Line and headers are bounded as the body is.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, Options{}, "", patient())
		listener := make(pipes)
		s.serve(listener)
		for _, request := range []string{
			"GET /" + strings.Repeat("x", 64<<10) + " HTTP/1.1\r\nHost: silo\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: silo\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
			"GET / HTTP/1.1\r\nHost: silo\r\n" + strings.Repeat("X: x\r\n", 16<<10) + "\r\n",
		} {
			conn := listener.dial()
			go func() { _, _ = io.WriteString(conn, request) }()
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
				t.Errorf("%.40q… is answered %d", request, response.StatusCode)
			}
			must(t, conn.Close())
			_ = response.Body.Close() // of which nothing is wanted
		}
		must(t, s.Close(t.Context()))
	})
}
