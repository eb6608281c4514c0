package proxy_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"silo/proxy"
	"silo/wait/waittest"
)

// scriptedSilo answers the requests of each connection with answers, byte for byte,
// and counts.
type scriptedSilo struct {
	answers []string
	hangUp  bool // close the connection after the last answer; otherwise wait until the proxy closes it

	conns, requests atomic.Int32
}

// start serves s until the test ends, and returns a Target.
func (s *scriptedSilo) start(t *testing.T) func() string {
	t.Helper()
	listener := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			serving.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return listener.Addr().String
}

func (s *scriptedSilo) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(waittest.Limit))
	reader := bufio.NewReader(conn)
	for _, answer := range s.answers {
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		if request.Method != "PRI" { // the HTTP/2 preface
			s.requests.Add(1)
		}
		_, _ = io.WriteString(conn, answer)
	}
	if !s.hangUp {
		_, _ = reader.ReadByte()
	}
}

func TestResponseForms(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	cases := map[string]struct {
		answer string
		method string
		hangUp bool
		status int
		body   string
		fault  proxy.Fault
	}{
		"length":                   {answer: ok + "Content-Length: 3\r\n\r\nabc", status: 200, body: "abc"},
		"chunks":                   {answer: ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", status: 200, body: "abc"},
		"until the end":            {answer: ok + "\r\nabc", hangUp: true, status: 200, body: "abc"},
		"HTTP/1.0":                 {answer: "HTTP/1.0 200 OK\r\n\r\nabc", hangUp: true, status: 200, body: "abc"},
		"empty":                    {answer: ok + "Content-Length: 0\r\n\r\n", status: 200},
		"204":                      {answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		"304 with Content-Length":  {answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", status: 304},
		"HEAD with Content-Length": {answer: ok + "Content-Length: 9\r\n\r\n", method: "HEAD", status: 200},
		"after early hints":        {answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 1\r\n\r\na", status: 200, body: "a"},
		"unknown status":           {answer: "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", status: 299},
		"not HTTP":                 {answer: "what?\r\n\r\n", status: 502, fault: proxy.Broken},
		"no header":                {answer: "HTTP/1.1 200", hangUp: true, status: 502, fault: proxy.Broken},
		"two lengths":              {answer: ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", status: 502, fault: proxy.Broken},
		"an endless header":        {answer: ok + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 2000), status: 502, fault: proxy.Broken},
		"a status below 100":       {answer: "HTTP/1.1 099 Odd\r\n\r\n", status: 502, fault: proxy.Broken},
		"an unrequested upgrade":   {answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", status: 502, fault: proxy.Broken},
		"endless early hints":      {answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("b", 1000)+"\r\n\r\n", 2000), hangUp: true, status: 502, fault: proxy.Broken},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := (&scriptedSilo{answers: []string{c.answer}, hangUp: c.hangUp}).start(t)
			request := get(t, "http://"+serve(t, proxy.Options{Silo: "eu", Target: target}))
			if c.method != "" {
				request.Method = c.method
			}
			response := do(t, request)
			if response.status != c.status || response.header.Get(proxy.ErrorHeader) != string(c.fault) {
				t.Fatalf("%d %v", response.status, response.header)
			}
			if c.fault == "" && response.body != c.body {
				t.Errorf("body %q", response.body)
			}
		})
	}
}

// A truncated body must not look complete.
func TestTruncatedBodiesAreErrors(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		target := (&scriptedSilo{answers: []string{answer}, hangUp: true}).start(t)
		_, reader := dial(t, serve(t, proxy.Options{Target: target}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("%s: read %q without an error", name, body)
		}
		_ = response.Body.Close()
	}
}

// uWSGI closes each connection after one answer without announcing it. No request may fail
// because of that, and none may be sent twice.
func TestSiloClosesConnectionsWithoutNotice(t *testing.T) {
	t.Parallel()
	s := &scriptedSilo{answers: []string{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}, hangUp: true}
	edge := serve(t, proxy.Options{Silo: "eu", Target: s.start(t)})
	methods := []string{"GET", "POST", "POST", "GET", "DELETE", "PUT", "GET", "PATCH", "POST"}
	for _, method := range methods {
		request := newRequest(t, method, "http://"+edge, strings.NewReader("body"))
		if method == "GET" {
			request.Body, request.ContentLength = http.NoBody, 0
		}
		if response := do(t, request); response.status != http.StatusOK || response.body != "ok" {
			t.Errorf("%s: %d %s", method, response.status, response.body)
		}
	}
	if n := s.requests.Load(); n != int32(len(methods)) {
		t.Errorf("the silo received %d requests of %d", n, len(methods))
	}
}

// A silo that closes the connection without an answer may have processed the request.
func TestBrokenRequestsAreNotRepeated(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH"} {
		s := &scriptedSilo{answers: []string{""}, hangUp: true}
		edge := serve(t, proxy.Options{Silo: "eu", Target: s.start(t)})
		request := newRequest(t, method, "http://"+edge, nil)
		if got := do(t, request); got.status != http.StatusBadGateway || s.requests.Load() != 1 {
			t.Errorf("%s: status %d, the silo received it %d times", method, got.status, s.requests.Load())
		}
	}
}

// Unsolicited bytes that a silo sends after its response are never taken for the next
// response.
func TestUnsolicitedResponsesAreDropped(t *testing.T) {
	t.Parallel()
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
	const unsolicited = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
	received, sent := make(chan struct{}), make(chan struct{})
	listener := listen(t)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer func() { _ = conn.Close() }()
				reader := bufio.NewReader(conn)
				if _, err := http.ReadRequest(reader); err != nil {
					return
				}
				_, _ = io.WriteString(conn, whole)
				<-received // the client has the response
				_, _ = io.WriteString(conn, unsolicited)
				sent <- struct{}{}
				_, _ = reader.ReadByte()
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	edge := serve(t, proxy.Options{Target: listener.Addr().String})
	for range 3 {
		if response := do(t, get(t, "http://"+edge)); response.status != http.StatusOK || response.body != "a" {
			t.Errorf("status %d, body %q", response.status, response.body)
		}
		received <- struct{}{}
		waittest.Receive(t, sent, "the unsolicited response is sent")
	}
}

func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"", "HTTP/1.1 200 OK\r\n"} {
		s := &scriptedSilo{answers: []string{half}}
		edge := serve(t, proxy.Options{Silo: "eu", Target: s.start(t), HeaderTimeout: 50 * time.Millisecond})
		if response := do(t, get(t, "http://"+edge)); response.status != http.StatusGatewayTimeout {
			t.Errorf("after %q: status %d", half, response.status)
		}
		if n := s.requests.Load(); n > 1 { // 0 on a busy machine
			t.Errorf("after %q: the silo received %d requests", half, n)
		}
	}
}

// After a restart, a silo may speak another version of HTTP at the same address.
func TestAnHTTP2SiloMayBecomeAnHTTP1Silo(t *testing.T) {
	t.Parallel()
	start := func(listener net.Listener, protocols *http.Protocols) *httptest.Server {
		server := httptest.NewUnstartedServer(http.HandlerFunc(echo))
		_ = server.Listener.Close()
		server.Listener, server.Config.Protocols = listener, protocols
		server.Start()
		return server
	}
	first := start(listen(t), protocols(false, true))
	address := first.Listener.Addr().String()
	edge := serve(t, proxy.Options{Silo: "eu", Target: fixed(address)})
	if got := do(t, get(t, "http://"+edge)); !strings.Contains(got.body, "HTTP/2.0") {
		t.Errorf("got %+v", got)
	}
	first.CloseClientConnections()
	first.Close()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skip(err) // another process has taken the port
	}
	second := start(listener, protocols(true, false))
	t.Cleanup(second.Close)
	waittest.Until(t, "the second silo answers", func() bool {
		got := do(t, get(t, "http://"+edge))
		return got.status == http.StatusOK && strings.Contains(got.body, "HTTP/1.1")
	})
}
