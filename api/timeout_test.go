package api

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"silo/traffic"
)

// pipes is a listener of unbuffered connections: a write blocks until its bytes are read.
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

// The server has no supervisor, because no partial request may reach one.
func TestSlowClientsAreDisconnected(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		send    string
		receive string
		after   time.Duration
	}{
		"sends nothing":   {"", "", defaultTimeouts().read},
		"half a line":     {"GET /v1/sna", "HTTP/1.1 400", defaultTimeouts().read},
		"half a header":   {"GET /v1/snapshot HTTP/1.1\r\nHost: si", "", defaultTimeouts().read},
		"half a body":     {"POST /v1/down HTTP/1.1\r\nHost: silo\r\nContent-Length: 20\r\n\r\n{\"kill\":", "HTTP/1.1 400", defaultTimeouts().read},
		"no body":         {"POST /v1/up HTTP/1.1\r\nHost: silo\r\nContent-Length: 20\r\n\r\n", "HTTP/1.1 400", defaultTimeouts().read},
		"endless chunks":  {"POST /v1/up HTTP/1.1\r\nHost: silo\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n", "HTTP/1.1 400", defaultTimeouts().read},
		"idle connection": {"GET /nowhere HTTP/1.1\r\nHost: silo\r\n\r\n", "HTTP/1.1 404", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(nil, Options{}, "", defaultTimeouts())
				listener := make(pipes)
				s.serve(listener)
				began := time.Now()
				conn := listener.dial()
				go func() { _, _ = io.WriteString(conn, test.send) }()
				received, err := io.ReadAll(conn)
				if !strings.HasPrefix(string(received), test.receive) || test.receive == "" && len(received) > 0 || err != nil {
					t.Errorf("received %q, %v", received, err)
				}
				if took := time.Since(began); took < test.after || took > test.after+time.Second {
					t.Errorf("disconnected after %v, want %v", took, test.after)
				}
				must(t, s.Close(t.Context()))
			})
		})
	}
}

// A response that is not read in time is dropped.
func TestUnreadResponseIsDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, Options{}, "", defaultTimeouts())
		listener := make(pipes)
		s.serve(listener)
		conn := listener.dial()
		_, err := io.WriteString(conn, "GET /nowhere HTTP/1.1\r\nHost: silo\r\n\r\n")
		must(t, err)
		time.Sleep(defaultTimeouts().write + time.Second)
		if received, _ := io.ReadAll(conn); len(received) > 0 {
			t.Errorf("received %q", received)
		}
		must(t, s.Close(t.Context()))
	})
}

// A watcher that stops reading is dropped, and does not delay others.
func TestStuckWatcherIsDropped(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), timeouts{read: time.Second, write: 100 * time.Millisecond, heartbeat: 10 * time.Millisecond})
	listener := make(pipes)
	s.serve(listener)
	conn := listener.dial()
	_, err := io.WriteString(conn, "GET /v1/watch HTTP/1.1\r\nHost: silo\r\n\r\n")
	must(t, err)
	stuck := bufio.NewReader(conn)
	_, err = stuck.ReadString('\n') // only the status line
	must(t, err)
	must(t, i.Await(t.Context()))
	must(t, i.client.Restart(t.Context(), "us"))
	must(t, i.Await(t.Context(), "us"))
	// Shutdown waits for active connections, so none is left.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	must(t, s.http.Shutdown(ctx))
	must(t, conn.Close())
	i.end(t)
}

// However often something changes, there is one update per watchInterval.
func TestRepeatLimitsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const updates = 20
		ctx, cancel := context.WithTimeout(t.Context(), updates*watchInterval-1)
		defer cancel()
		changed, calls := make(chan struct{}), 0
		close(changed)
		err := repeat(ctx, nil, func() (<-chan struct{}, time.Duration, error) { calls++; return changed, 0, nil })
		if calls != updates || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d updates, %v; want %d", calls, err, updates)
		}
	})
}

// After the end there is one more update, and without a change one per interval.
func TestRepeatEndsWithTheInstance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended, calls := make(chan struct{}), 0
		time.AfterFunc(10*lastLineInterval, func() { close(ended) })
		err := repeat(t.Context(), ended, func() (<-chan struct{}, time.Duration, error) { calls++; return nil, lastLineInterval, nil })
		if want := 10; calls != want || err != nil {
			t.Errorf("%d updates, %v; want %d", calls, err, want)
		}
	})
}

func TestHeaderLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newServer(nil, Options{}, "", defaultTimeouts())
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
				t.Errorf("%.40q… gets status %d", request, response.StatusCode)
			}
			must(t, conn.Close())
			_ = response.Body.Close() // not needed
		}
		must(t, s.Close(t.Context()))
	})
}

// silent returns a client of a supervisor that reads requests but never answers, such as
// one that was stopped by Ctrl-Z.
func silent(t *testing.T) *Client {
	t.Helper()
	near, far := net.Pipe()
	t.Cleanup(func() { _ = errors.Join(near.Close(), far.Close()) })
	go func() { _, _ = io.Copy(io.Discard, far) }()
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
	}}}
}

func TestSilentSupervisor(t *testing.T) {
	t.Parallel()
	for name, query := range map[string]func(context.Context, *Client) error{
		"Snapshot": func(ctx context.Context, c *Client) error { _, err := c.Snapshot(ctx, true); return err },
		"Config":   func(ctx context.Context, c *Client) error { _, _, err := c.Config(ctx); return err },
		"Tail":     func(ctx context.Context, c *Client) error { _, err := c.Tail(ctx, "us", 1); return err },
		"Requests": func(ctx context.Context, c *Client) error {
			_, _, err := c.Requests(ctx, traffic.Filter{}, 1)
			return err
		},
		"Exchange":       func(ctx context.Context, c *Client) error { _, err := c.Exchange(ctx, 1); return err },
		"HAR":            func(ctx context.Context, c *Client) error { _, err := c.HAR(ctx, traffic.Filter{}, 1); return err },
		"DashboardURL":   func(ctx context.Context, c *Client) error { _, err := c.DashboardURL(ctx); return err },
		"FollowRequests": func(ctx context.Context, c *Client) error { return c.FollowRequests(ctx, traffic.Filter{}, 1, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				if err := query(t.Context(), silent(t)); !errors.Is(err, ErrHung) || err.Error() != ErrHung.Error() {
					t.Errorf("got %v, want %v", err, ErrHung)
				}
				if took := time.Since(began); took != 5*time.Second {
					t.Errorf("took %v, want 5s", took)
				}
			})
		})
	}
}

// Calls that wait for silos are bounded by their context, and return its error.
func TestLongCallsToASilentSupervisor(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]func(context.Context, *Client) error{
		"Up":     func(ctx context.Context, c *Client) error { _, err := c.Up(ctx, false); return err },
		"Replay": func(ctx context.Context, c *Client) error { _, err := c.Replay(ctx, 1, ""); return err },
		"Watch":  func(ctx context.Context, c *Client) error { return c.Watch(ctx, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := wait(ctx, silent(t)); err != context.DeadlineExceeded || ctx.Err() == nil { //nolint:errorlint // without the words of net/http
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

// A response that begins and does not end counts as none.
func TestStalledSupervisor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		go func() {
			_, _ = http.ReadRequest(bufio.NewReader(far))
			_, _ = io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
		}()
		c := &Client{http: &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil },
		}}}
		began := time.Now()
		if _, err := c.Snapshot(t.Context(), true); !errors.Is(err, ErrHung) {
			t.Errorf("got %v, want %v", err, ErrHung)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v, want 5s", took)
		}
		must(t, errors.Join(near.Close(), far.Close()))
	})
}
