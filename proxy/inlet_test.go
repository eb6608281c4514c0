package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"silo/proxy"
)

// handled serves handler until the test ends.
func handled(t testing.TB, handler http.Handler) string {
	t.Helper()
	edge := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, handler) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return edge.Addr().String()
}

// peers are Serve and net/http's own server, which have the same to answer.
type peers struct{ ours, theirs string }

func newPeers(t testing.TB, handler http.Handler) peers {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.DisableGeneralOptionsHandler = true
	server.Start()
	t.Cleanup(server.Close)
	return peers{ours: handled(t, handler), theirs: server.Listener.Addr().String()}
}

// compare says text to both and holds all that comes back against one another.
func (p peers) compare(t interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}, text string, methods ...string,
) {
	ours, err := said(p.ours, text, methods)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := said(p.theirs, text, methods)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(theirs, ours); diff != "" {
		t.Fatalf("to %q (-net/http +Serve)\n%s", text, diff)
	}
}

// said is what a server says to text, one line for each answer and one for how the
// connection ends. methods are those of the requests, where they matter.
func said(edge, text string, methods []string) (answers []string, err error) {
	conn, err := net.Dial("tcp", edge)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, text); err != nil {
		return nil, err
	}
	if half, ok := conn.(*net.TCPConn); !ok || half.CloseWrite() != nil {
		return nil, errors.New("its writing side does not end")
	}
	reader := bufio.NewReader(conn)
	for i := 0; ; {
		request := &http.Request{Method: http.MethodGet}
		if i < len(methods) {
			request.Method = methods[i]
		}
		response, err := http.ReadResponse(reader, request)
		if err != nil {
			if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
				return append(answers, "the end"), nil
			}
			return append(answers, err.Error()), nil
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		response.Header.Del("Date")
		if response.StatusCode >= http.StatusOK {
			i++
		} else {
			response.Close = false // it is the last answer that has to say so
		}
		answers = append(answers, fmt.Sprintln(response.Status, response.Proto, response.Header, response.ContentLength, response.TransferEncoding, response.Close, string(body), err, response.Trailer))
	}
}

// echo answers with all that it has been asked.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	delete(r.Header, "Cache-Control") // which net/http adds to Pragma
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprintln(w, r.Method, r.URL, r.RequestURI, r.Host, r.Proto, r.ContentLength, r.TransferEncoding, r.Close, string(body), err)
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(w, "%q %q\n", name, r.Header[name])
	}
}

// Whatever is asked, plain or not, well formed or not, is answered as net/http does.
func FuzzHeads(f *testing.F) {
	for _, text := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /a%20b?c=d&e HTTP/1.1\r\nHost: us.acme.localhost:9000\r\naccept: */*\r\nX-Two: 1\r\nx-two:\t2 \r\nCookie: a=b; c=\"d\"\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]:80\r\nConnection: keep-alive\r\n\r\nHEAD /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /3 HTTP/1.1\r\nHost: a\r\n\r\n",
		"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx",
		"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET http://other/ HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", "GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", "GET /é HTTP/1.1\r\nHost: a\r\n\r\n", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "get / HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nX: 1\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\n\r\n\r\n\r\n", "GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1\r\nHost: a\r\n\r\n\n", "\x16\x03\x01\x00",
		"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	} {
		f.Add(text)
	}
	both := newPeers(f, http.HandlerFunc(echo))
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "PRI ") || len(text) < 4 || len(text) > 64<<10 {
			return // HTTP/2 is nobody's to compare, and net/http answers a first request that is shorter than any
		}
		var methods []string
		if strings.Contains(text, "HEAD /2 ") {
			methods = []string{http.MethodGet, http.MethodHead}
		} else if strings.HasPrefix(text, "HEAD ") {
			methods = []string{http.MethodHead}
		}
		both.compare(t, text, methods...)
	})
}

// step is one of what a handler may do.
type step func(w http.ResponseWriter)

func drawStep(t *rapid.T) step {
	text := strings.Repeat("x", rapid.SampledFrom([]int{0, 1, 10, 2000, 2048, 2049, 5000, 70000}).Draw(t, "length"))
	switch rapid.SampledFrom([]string{"write", "write", "write", "flush", "status", "length", "trailer", "late trailer", "close", "early"}).Draw(t, "step") {
	case "flush":
		return func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }
	case "status":
		status := rapid.SampledFrom([]int{200, 204, 304, 404, 500}).Draw(t, "status")
		return func(w http.ResponseWriter) { w.WriteHeader(status) }
	case "length":
		return func(w http.ResponseWriter) { w.Header().Set("Content-Length", fmt.Sprint(len(text))) }
	case "trailer":
		return func(w http.ResponseWriter) {
			w.Header().Add("Trailer", "Sum, Other")
			_ = http.NewResponseController(w).Flush()
			w.Header().Set("Sum", "1")
		}
	case "late trailer":
		return func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush() // or net/http may lose it
			w.Header().Set(http.TrailerPrefix+"Late", "1")
		}
	case "close":
		return func(w http.ResponseWriter) { w.Header().Set("Connection", "close") }
	case "early":
		return func(w http.ResponseWriter) {
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
		}
	}
	return func(w http.ResponseWriter) { _, _ = io.WriteString(w, text) }
}

// Whatever a handler does, its answer to a plain request looks as net/http's does.
func TestAnswersToPlainRequests(t *testing.T) {
	t.Parallel()
	var steps atomic.Pointer[[]step]
	both := newPeers(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for _, s := range *steps.Load() {
			s(w)
		}
	}))
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Custom(drawStep), 0, 6).Draw(t, "steps")
		steps.Store(&drawn)
		method := rapid.SampledFrom([]string{http.MethodGet, http.MethodGet, http.MethodHead, http.MethodDelete}).Draw(t, "method")
		both.compare(t, strings.Repeat(method+" / HTTP/1.1\r\nHost: a\r\n\r\n", 2), method, method)
	})
}

// A header may come byte by byte, and a connection change from plain requests to
// others and to an upgrade.
func TestAConnectionMayTurnToAnything(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoUpgrade(w, r)
			return
		}
		echo(w, r)
	})})
	conn, reader := raw(t, edge, "")
	for _, c := range "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" {
		_, _ = io.WriteString(conn, string(c))
	}
	if got := next(t, reader); !strings.HasPrefix(got.body, "GET /1 ") {
		t.Errorf("%+v", got)
	}
	_, _ = io.WriteString(conn, "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
	if got := next(t, reader); !strings.HasPrefix(got.body, "POST /2 ") {
		t.Errorf("%+v", got)
	}
	_, _ = io.WriteString(conn, "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	got, err := http.ReadResponse(reader, nil)
	if err != nil || got.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", got, err)
	}
	defer func() { _ = got.Body.Close() }()
	_, _ = io.WriteString(conn, "hello\n")
	if got, err := reader.ReadString('\n'); got != "hello\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// What a client says while it is looked for is its next request.
func TestANextRequestMayComeEarly(t *testing.T) {
	t.Parallel()
	arrived, goOn := make(chan string), make(chan struct{})
	edge := handled(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- r.URL.Path
		<-goOn
		fmt.Fprint(w, r.URL.Path, r.Context().Err())
	}))
	conn, reader := raw(t, edge, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, path := range []string{"/1", "/2", "/3"} {
		if got := <-arrived; got != path {
			t.Errorf("%s has arrived, not %s", got, path)
		}
		time.Sleep(30 * time.Millisecond) // until somebody looks for the client
		if path != "/3" {
			_, _ = fmt.Fprintf(conn, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", path[1]-'0'+1)
			time.Sleep(10 * time.Millisecond) // until that is seen
		}
		goOn <- struct{}{}
		if got := next(t, reader); got.body != path+"<nil>" {
			t.Errorf("answered %q", got.body)
		}
	}
}

// A client that has asked for more than is answered may leave all the same.
func TestAClientThatAsksAheadIsMissed(t *testing.T) {
	t.Parallel()
	arrived, freed := make(chan struct{}), make(chan struct{})
	edge := serve(t, proxy.Options{Target: silo(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(freed)
	})})
	conn, _ := raw(t, edge, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2))
	<-arrived
	_ = conn.Close()
	<-freed
}

// What a client says while it is looked for comes behind what it has asked ahead,
// whoever reads that.
func TestWhatFollowsARequestThatCameAheadIsInOrder(t *testing.T) {
	t.Parallel()
	arrived, goOn := make(chan struct{}), make(chan struct{})
	edge := handled(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/1" {
			arrived <- struct{}{}
			<-goOn
		}
		echo(w, r)
	}))
	for name, ahead := range map[string]string{
		"a header and no body": "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n|body",
		"a part of a header":   "PUT /2 HTTP/1.1\r\nHost: a\r\nConte|nt-Length: 4\r\n\r\nbody",
		"whole ones, and more": "GET /0 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nb|ody",
	} {
		early, late, _ := strings.Cut(ahead, "|")
		conn, reader := raw(t, edge, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"+early)
		<-arrived
		time.Sleep(30 * time.Millisecond) // until somebody looks for the client
		_, _ = io.WriteString(conn, late)
		time.Sleep(10 * time.Millisecond) // until that is seen
		goOn <- struct{}{}
		got := next(t, reader)
		for !strings.Contains(got.body, " /2 ") && got.status == http.StatusOK {
			got = next(t, reader)
		}
		if got.status != http.StatusOK || !strings.Contains(got.body, "body") {
			t.Errorf("%s: answered %+v", name, got)
		}
	}
}

// An idle connection ends with Serve, and is not waited for.
func TestServeEndsIdleConnections(t *testing.T) {
	t.Parallel()
	edge := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, http.HandlerFunc(echo)) }()
	_, fresh := raw(t, edge.Addr().String(), "")
	_, used := raw(t, edge.Addr().String(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	next(t, used)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, reader := range []*bufio.Reader{fresh, used} {
		if _, err := reader.ReadByte(); err == nil {
			t.Error("it says something")
		} else if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
			t.Error(err)
		}
	}
}

// sticking is a connection that takes long to close.
type sticking struct {
	net.Conn
	closing, release chan struct{}
	once             sync.Once
}

func (s *sticking) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.release
	return s.Conn.Close()
}

// Connections that take long to close do so side by side.
func TestServeEndsConnectionsSideBySide(t *testing.T) {
	t.Parallel()
	feed := proxy.NewChanListener(new(net.TCPAddr))
	ctx, stop := context.WithCancel(t.Context())
	served, done := make(chan struct{}, 2), make(chan error, 1)
	go func() {
		done <- proxy.Serve(ctx, feed, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			served <- struct{}{}
			<-r.Context().Done()
		}))
	}()
	release := make(chan struct{})
	conns := make([]*sticking, 2)
	for i := range conns {
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		conns[i] = &sticking{Conn: near, closing: make(chan struct{}), release: release}
		feed.Deliver(conns[i])
		_, _ = io.WriteString(far, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		<-served
	}
	idle, far := net.Pipe()
	defer func() { _ = far.Close() }()
	feed.Deliver(idle)
	stop()
	for _, c := range conns {
		<-c.closing
	}
	if n, err := far.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("the idle one says %d bytes, %v", n, err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}
