package devserver

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// pair starts a stand-in with watchers on two consecutive ports.
func pair(t *testing.T, env environ, args ...string) *silo {
	t.Helper()
	for range 50 {
		port := freePair(t)
		s := start(t, env, append(args, "--watchers", fmt.Sprintf("127.0.0.1:%d", port))...)
		s.port = fmt.Sprint(port)
		select {
		case <-s.ended: // another process took a port meanwhile
		case <-s.listening(port + 1):
			return s
		}
	}
	t.Fatal("no two consecutive ports")
	return nil
}

func freePair(t *testing.T) int {
	t.Helper()
	for {
		first, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := portOf(first)
		second, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port+1))
		shut(t, first)
		if err == nil {
			shut(t, second)
			return port
		}
	}
}

// listening returns a channel that is closed once the silo listens on port.
func (s *silo) listening(port int) <-chan struct{} {
	ready := make(chan struct{})
	go func() {
		for {
			connection, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
			if err == nil {
				shut(s.t, connection)
				close(ready)
				return
			}
			select {
			case <-s.ended:
				return
			default:
			}
		}
	}()
	return ready
}

// TestWatchers expects webpack on the port and the backend on the next one.
func TestWatchers(t *testing.T) {
	t.Parallel()
	s := pair(t, asControl(conf(t, regionConfig("1", "2", "3"))), "--workers")
	s.out.wait(t, `^\d\d:\d\d:\d\d server  \| WSGI app 0 \(mountpoint=''\) ready in `)
	front, back := s.get("/whoami"), *s
	var port int
	if _, err := fmt.Sscan(s.port, &port); err != nil {
		t.Fatal(err)
	}
	back.port = fmt.Sprint(port + 1)
	behind := back.get("/whoami")
	if front.body != behind.body || front.header.Get("X-Powered-By") == "" || behind.header.Get("X-Powered-By") != "" {
		t.Errorf("front %v %s\nback  %v %s", front.header, front.body, behind.header, behind.body)
	}
	if me := decode[self](t, front.body); me.Port != port || me.BackendPort != port+1 {
		t.Errorf("%+v", me)
	}
	if got := back.get("/_health/?full"); got.status != 200 {
		t.Errorf("with workers: %d %s", got.status, got.body)
	}
	for _, pattern := range []string{
		`system  \| webpack started \(pid=\d+\)`, `webpack \| webpack-dev-server: Loopback: http://127\.0\.0\.1:\d+/`, `server  \| uwsgi socket 0 bound to TCP address 127\.0\.0\.1:` + back.port + ` fd 3`,
		`worker  \| celery@control ready\.`, `cron    \| beat: Starting\.\.\.`, `server  \| GET 200 /whoami HTTP/1\.1 \d+`,
	} {
		s.out.wait(t, `^\d\d:\d\d:\d\d `+pattern+`$`)
	}
	if s.err.String() != "" {
		t.Errorf("standard error, where honcho writes nothing: %s", s.err)
	}
}

// TestWatchersWhileLoading expects webpack to answer before the backend can.
func TestWatchersWhileLoading(t *testing.T) {
	t.Parallel()
	s := pair(t, environ{"SENTRY_CONF": conf(t, "")}, "--delay=1h")
	if got := s.get("/_health/"); got.status != http.StatusGatewayTimeout {
		t.Errorf("status %d", got.status)
	}
}

// TestWatchersTakenPort fails if either port is taken.
func TestWatchersTakenPort(t *testing.T) {
	t.Parallel()
	for {
		port := freePair(t)
		holder, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port+1))
		if err != nil {
			continue
		}
		defer shut(t, holder)
		s := start(t, environ{"SENTRY_CONF": conf(t, "")}, "--watchers", fmt.Sprintf("127.0.0.1:%d", port))
		if got := status(s.end()); got != 1 || !strings.Contains(s.err.String(), "bind(): Address already in use") {
			t.Errorf("%d: %s", got, s.err)
		}
		return
	}
}

func TestNoPrefix(t *testing.T) {
	t.Parallel()
	s := start(t, environ{"SENTRY_CONF": conf(t, "")}, "--workers", "--no-prefix")
	s.out.wait(t, `^celery@monolith ready\.$`)
	s.out.wait(t, `^WSGI app 0 `)
}
