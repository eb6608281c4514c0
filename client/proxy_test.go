package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"silo/api"
	"silo/proxy"
	"silo/state"
	"silo/wait/waittest"
)

// serveProxy starts a Proxy for a silo at an address, which may change, and returns it
// with its URL.
func serveProxy(t *testing.T, address func() string, timeout time.Duration) (*Proxy, string) {
	t.Helper()
	live := func(context.Context) (*state.Snapshot, error) {
		at := address()
		if at == "" {
			return nil, api.ErrNotRunning
		}
		return &state.Snapshot{Silos: []state.Silo{{Name: "us", Mode: state.Region, URL: at}}}, nil
	}
	c := &Client{name: "us", options: Options{Snapshot: live}}
	p := c.Proxy(timeout)
	edge, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, p, func(line string) { t.Error(line) }) }()
	t.Cleanup(func() {
		stop()
		if err := waittest.Receive(t, done, "Serve returns"); err != nil {
			t.Error(err)
		}
		p.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return p, "http://" + edge.Addr().String()
}

// serveSilo starts a silo and a Proxy for it, and returns the URLs of both.
func serveSilo(t *testing.T, handler http.HandlerFunc) (url, silo string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	_, url = serveProxy(t, func() string { return server.URL }, 0)
	return url, server.URL
}

// reply is a response that has been read to its end.
type reply struct {
	status int
	header http.Header
	length int64
	body   string
}

func send(t *testing.T, method, url string, header http.Header, body io.Reader) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(request.Header, header)
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, response.ContentLength, string(text)}
}

func TestProxyForwardsWholeRequests(t *testing.T) {
	t.Parallel()
	url, silo := serveSilo(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Encoding", "br") // despite the header it is not compressed, so decoding would fail
		w.Header().Set("Trailer", "Sum")
		w.Header().Set("Location", "/elsewhere")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusFound)
		fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.RequestURI, r.Host, body, r.Trailer.Get("Last"))
		w.Header().Set("Sum", "done")
	})
	request, err := http.NewRequestWithContext(t.Context(), "PATCH", url+"/a%2Fb//c?q=1;2&x=%zz&e=", struct{ io.Reader }{strings.NewReader("body")})
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"Last": {"words"}}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	const path = "/a%2Fb//c?q=1;2&x=%zz&e="
	if want := "PATCH " + path + " " + strings.TrimPrefix(silo, "http://") + ` "body" words`; string(text) != want {
		t.Errorf("the silo received\n%s, want\n%s", text, want)
	}
	if response.Status != "302 Found" || response.Header.Get("Location") != "/elsewhere" || len(response.Header["Set-Cookie"]) != 2 || response.Trailer.Get("Sum") != "done" {
		t.Errorf("%s, %v, trailer %v", response.Status, response.Header, response.Trailer)
	}
	if got := response.Header.Get("X-Sentry-Proxy-URL"); got != silo+path {
		t.Errorf("X-Sentry-Proxy-URL: %s", got)
	}
}

// Headers are cleaned by the rules of package sentry in both directions.
func TestProxyCleansHeaders(t *testing.T) {
	t.Parallel()
	url, _ := serveSilo(t, func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Keep-Alive", "Proxy-Authenticate", "Trailers", "x-sentry-subnet-signature", "X-Sentry-Subnet-Timeout", "X-Sentry-Internal-Proxy-Failure", "X-Stays"} {
			w.Header().Set(name, "1")
		}
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	sent := http.Header{}
	for _, name := range []string{"Keep-Alive", "Proxy-Authorization", "Trailers", "X-Mine", "X-Forwarded-Proto"} {
		sent.Set(name, "dropped")
	}
	sent.Set("Connection", "X-Mine")
	sent.Set("Te", "trailers")
	for _, name := range []string{"Cookie", "Authorization", "Accept", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "Content-Encoding", "X-Sentry-Subnet-Signature", "User-Agent"} {
		sent.Set(name, "kept")
	}
	response := send(t, http.MethodGet, url, sent, nil)
	var seen http.Header
	if err := json.Unmarshal([]byte(response.body), &seen); err != nil {
		t.Fatal(err)
	}
	for name := range sent {
		want := "kept"
		if sent.Get(name) != want {
			want = ""
		}
		if name == "Connection" {
			want = "close" // of this hop
		}
		if seen.Get(name) != want {
			t.Errorf("the silo received %s: %q", name, seen.Get(name))
		}
	}
	for _, name := range []string{"Keep-Alive", "Proxy-Authenticate", "Trailers", "X-Sentry-Subnet-Signature", "X-Sentry-Subnet-Timeout", "X-Sentry-Internal-Proxy-Failure"} {
		if value := response.header.Get(name); value != "" {
			t.Errorf("the client received %s: %q", name, value)
		}
	}
	if response.header.Get("X-Stays") != "1" || response.length != int64(len(response.body)) {
		t.Errorf("%v, %d bytes", response.header, response.length)
	}
}

// zeros reads as a given number of zero bytes.
type zeros int64

func (z *zeros) Read(p []byte) (int, error) {
	if *z == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), int64(*z))
	clear(p[:n])
	*z -= zeros(n)
	return int(n), nil
}

// A large body in each direction needs little memory.
func TestProxyStreamsBodies(t *testing.T) {
	const size, sent, bound = 1 << 30, 128 << 20, 64 << 20
	var got atomic.Int64
	url, _ := serveSilo(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Store(n)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		left := zeros(size)
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, &left, make([]byte, 64<<10))
	})
	idle := heapBytes()
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				most.Store(max(most.Load(), heapBytes()))
			case <-stop:
				ticker.Stop()
				return
			}
		}
	}()
	left := zeros(sent)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, &left)
	if err != nil {
		t.Fatal(err)
	}
	request.ContentLength = sent
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	back, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{response.Body}, make([]byte, 64<<10))
	_ = response.Body.Close()
	close(stop)
	waittest.Receive(t, stopped, "the end of measuring")
	if err != nil || back != size || got.Load() != sent {
		t.Errorf("sent %d bytes, received %d, %v", got.Load(), back, err)
	}
	if grown := most.Load() - min(idle, most.Load()); most.Load() == 0 || grown > bound {
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
}

// heapBytes returns the memory that the runtime holds for the heap.
func heapBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}

// Each event is sent only after the previous one has arrived.
func TestProxyDoesNotBufferEvents(t *testing.T) {
	t.Parallel()
	next := make(chan int)
	url, _ := serveSilo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for n := range next {
			fmt.Fprintf(w, "id: %d\ndata: x\n\n", n)
			_ = http.NewResponseController(w).Flush()
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), waittest.Limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	defer close(next)
	lines := bufio.NewReader(response.Body)
	for n := range 5 {
		next <- n
		for _, want := range []string{fmt.Sprintf("id: %d\n", n), "data: x\n", "\n"} {
			if line, err := lines.ReadString('\n'); err != nil || line != want {
				t.Fatalf("event %d: %q, %v", n, line, err)
			}
		}
	}
}

func TestProxyForwardsUpgrades(t *testing.T) {
	t.Parallel()
	url, silo := serveSilo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
		w.Header().Set("X-Sentry-Subnet-Path", "x")
		w.WriteHeader(http.StatusSwitchingProtocols)
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.Copy(conn, both)
	})
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection goes on as the body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols || response.Header.Get("Upgrade") != "websocket" ||
		response.Header.Get("X-Sentry-Proxy-URL") != silo+"/ws" || response.Header.Get("X-Sentry-Subnet-Path") != "" {
		t.Fatalf("no upgrade: %v, %v", response, err)
	}
	for _, word := range []string{"one\n", "two\n"} {
		fmt.Fprint(conn, word)
		if line, err := reader.ReadString('\n'); err != nil || line != word {
			t.Fatalf("got %q, %v", line, err)
		}
	}
}
