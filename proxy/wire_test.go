package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"silo/proxy"
)

// script is a silo that answers each request on a connection with the next of
// answers, byte for byte, and then goes on as end says. It counts connections.
type script struct {
	answers []string
	hangUp  bool // after the last answer; else it waits for the proxy to do so

	conns    atomic.Int32
	requests atomic.Int32
}

// play serves s and gives its address.
func (s *script) play(t *testing.T) func() string {
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
	return fixed(listener.Addr().String())
}

func (s *script) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	reader := bufio.NewReader(conn)
	for _, answer := range s.answers {
		if _, err := http.ReadRequest(reader); err != nil {
			return
		}
		s.requests.Add(1)
		_, _ = io.WriteString(conn, answer)
	}
	if !s.hangUp {
		_, _ = reader.ReadByte()
	}
}

func TestAnswersOfAllShapes(t *testing.T) {
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
		"length":             {answer: ok + "Content-Length: 3\r\n\r\nabc", status: 200, body: "abc"},
		"chunks":             {answer: ok + "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", status: 200, body: "abc"},
		"until the end":      {answer: ok + "\r\nabc", hangUp: true, status: 200, body: "abc"},
		"HTTP/1.0":           {answer: "HTTP/1.0 200 OK\r\n\r\nabc", hangUp: true, status: 200, body: "abc"},
		"empty":              {answer: ok + "Content-Length: 0\r\n\r\n", status: 200},
		"204":                {answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		"304 with a length":  {answer: "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", status: 304},
		"HEAD with a length": {answer: ok + "Content-Length: 9\r\n\r\n", method: "HEAD", status: 200},
		"early ones first":   {answer: "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + "Content-Length: 1\r\n\r\na", status: 200, body: "a"},
		"odd status":         {answer: "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", status: 299},
		"nonsense":           {answer: "what?\r\n\r\n", status: 502, fault: proxy.Broken},
		"no header":          {answer: "HTTP/1.1 200", hangUp: true, status: 502, fault: proxy.Broken},
		"two lengths":        {answer: ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", status: 502, fault: proxy.Broken},
		"an endless header":  {answer: ok + strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 2000), status: 502, fault: proxy.Broken},
		"a status below 100": {answer: "HTTP/1.1 099 Odd\r\n\r\n", status: 502, fault: proxy.Broken},
		"an upgrade unasked": {answer: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", status: 502, fault: proxy.Broken},
		"early without end":  {answer: strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+strings.Repeat("b", 1000)+"\r\n\r\n", 2000), hangUp: true, status: 502, fault: proxy.Broken},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := (&script{answers: []string{c.answer}, hangUp: c.hangUp}).play(t)
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

// A body that ends early must not look whole.
func TestATornBodyIsTorn(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
		"chunks": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		target := (&script{answers: []string{answer}, hangUp: true}).play(t)
		response, err := http.DefaultClient.Do(get(t, "http://"+serve(t, proxy.Options{Target: target})))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(response.Body); err == nil {
			t.Errorf("%s: read as if whole", name)
		}
		_ = response.Body.Close()
	}
}

func TestConnectionsAreUsedAgainWhereTheyMayBe(t *testing.T) {
	t.Parallel()
	const whole = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
	cases := map[string]struct {
		answers []string
		hangUp  bool
		conns   int32
	}{
		"kept":                {answers: []string{whole, whole, whole}, conns: 1},
		"chunks":              {answers: []string{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", whole, whole}, conns: 1},
		"no body":             {answers: []string{"HTTP/1.1 204 OK\r\n\r\n", "HTTP/1.1 304 OK\r\n\r\n", whole}, conns: 1},
		"closed by a word":    {answers: []string{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na", whole}, conns: 3},
		"closed without one":  {answers: []string{whole}, hangUp: true, conns: 3},
		"more than was asked": {answers: []string{whole + "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"}, conns: 3},
		"HTTP/1.0":            {answers: []string{"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", whole}, conns: 3},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: c.answers, hangUp: c.hangUp}
			edge := serve(t, proxy.Options{Target: s.play(t)})
			for range 3 {
				if response := do(t, get(t, "http://"+edge)); response.status/100 != 2 && response.status != http.StatusNotModified {
					t.Errorf("status %d", response.status)
				}
			}
			if n := s.conns.Load(); n != c.conns {
				t.Errorf("%d connections, not %d", n, c.conns)
			}
		})
	}
}

// What a silo says after its answer, unasked, is not the answer to what comes next.
func TestAnUnaskedAnswerIsNobodys(t *testing.T) {
	t.Parallel()
	said := make(chan struct{})
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
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
				<-said // the answer is with its client
				_, _ = io.WriteString(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
				said <- struct{}{}
				_, _ = reader.ReadByte()
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	edge := serve(t, proxy.Options{Target: fixed(listener.Addr().String())})
	for range 3 {
		if response := do(t, get(t, "http://"+edge)); response.status != http.StatusOK {
			t.Errorf("status %d", response.status)
		}
		said <- struct{}{}
		<-said
	}
}

func TestASlowHeaderIsWaitedForBoundedly(t *testing.T) {
	t.Parallel()
	for _, half := range []string{"", "HTTP/1.1 200 OK\r\n"} {
		s := &script{answers: []string{"HTTP/1.1 204 OK\r\n\r\n", half}}
		edge := serve(t, proxy.Options{Silo: "eu", Target: s.play(t), HeaderTimeout: 500 * time.Millisecond})
		for _, want := range []int{http.StatusNoContent, http.StatusGatewayTimeout} {
			if response := do(t, get(t, "http://"+edge)); response.status != want {
				t.Errorf("status %d, not %d", response.status, want)
			}
		}
		if n := s.requests.Load(); n != 2 {
			t.Errorf("asked %d times", n)
		}
	}
}

// Half of a body of known length is passed on before the other half comes.
func TestASlowBodyOfKnownLengthIsNotHeldBack(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "6")
		for _, part := range []string{"", "abc", "def"} {
			_, _ = io.WriteString(w, part)
			flush(w)
			<-next
		}
	})
	edge := serve(t, proxy.Options{Target: target})
	for _, method := range []string{"GET", "POST"} {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+edge, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request) // the header has come
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 3)
		for _, want := range []string{"abc", "def"} {
			next <- struct{}{}
			if _, err := io.ReadFull(response.Body, part); err != nil || string(part) != want {
				t.Fatalf("%s: %q, %v", method, part, err)
			}
		}
		next <- struct{}{}
		_ = response.Body.Close()
	}
}

func TestAClientThatLeavesAStreamFreesTheSilo(t *testing.T) {
	t.Parallel()
	freed := make(chan struct{})
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "first")
		flush(w)
		<-r.Context().Done()
		close(freed)
	})
	ctx, leave := context.WithCancel(t.Context())
	response, err := http.DefaultClient.Do(get(t, "http://"+serve(t, proxy.Options{Target: target})).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.ReadFull(response.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	leave()
	<-freed
}
