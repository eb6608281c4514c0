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
)

// front serves a Proxy before whatever address is named at the moment, and gives
// its own.
func front(t *testing.T, address func() string, patience time.Duration) (*Proxy, string) {
	t.Helper()
	live := func(context.Context) (*state.Snapshot, error) {
		at := address()
		if at == "" {
			return nil, api.ErrNotRunning
		}
		return &state.Snapshot{Silos: []state.Silo{{Name: "us", Mode: state.Region, URL: at}}}, nil
	}
	c := &Client{name: "us", options: Options{Snapshot: live}}
	p := c.Proxy(patience)
	edge, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, p, func(line string) { t.Error(line) }) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		p.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return p, "http://" + edge.Addr().String()
}

func before(t *testing.T, handler http.HandlerFunc) (url, silo string) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	_, url = front(t, func() string { return server.URL }, 0)
	return url, server.URL
}

// reply is an answer that has been read to its end.
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
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return reply{answer.StatusCode, answer.Header, answer.ContentLength, string(said)}
}

func TestWholeRequestsAreHandedOn(t *testing.T) {
	t.Parallel()
	url, silo := before(t, func(w http.ResponseWriter, r *http.Request) {
		said, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Encoding", "br") // it is not: nobody may look
		w.Header().Set("Trailer", "Sum")
		w.Header().Set("Location", "/elsewhere")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(http.StatusFound)
		fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.RequestURI, r.Host, said, r.Trailer.Get("Last"))
		w.Header().Set("Sum", "done")
	})
	request, err := http.NewRequestWithContext(t.Context(), "PATCH", url+"/a%2Fb//c?q=1;2&x=%zz&e=", struct{ io.Reader }{strings.NewReader("body")})
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"Last": {"words"}}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	said, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	const path = "/a%2Fb//c?q=1;2&x=%zz&e="
	if want := "PATCH " + path + " " + strings.TrimPrefix(silo, "http://") + ` "body" words`; string(said) != want {
		t.Errorf("the silo saw\n%s, not\n%s", said, want)
	}
	if answer.Status != "302 Found" || answer.Header.Get("Location") != "/elsewhere" || len(answer.Header["Set-Cookie"]) != 2 || answer.Trailer.Get("Sum") != "done" {
		t.Errorf("%s, %v, trailer %v", answer.Status, answer.Header, answer.Trailer)
	}
	if got := answer.Header.Get("X-Sentry-Proxy-URL"); got != silo+path {
		t.Errorf("X-Sentry-Proxy-URL: %s", got)
	}
}

// The rules of package sentry, as they arrive at either end.
func TestHeadersOnTheirWay(t *testing.T) {
	t.Parallel()
	url, _ := before(t, func(w http.ResponseWriter, r *http.Request) {
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
	answer := send(t, http.MethodGet, url, sent, nil)
	var seen http.Header
	if err := json.Unmarshal([]byte(answer.body), &seen); err != nil {
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
			t.Errorf("the silo sees %s: %q", name, seen.Get(name))
		}
	}
	for _, name := range []string{"Keep-Alive", "Proxy-Authenticate", "Trailers", "X-Sentry-Subnet-Signature", "X-Sentry-Subnet-Timeout", "X-Sentry-Internal-Proxy-Failure"} {
		if value := answer.header.Get(name); value != "" {
			t.Errorf("back comes %s: %q", name, value)
		}
	}
	if answer.header.Get("X-Stays") != "1" || answer.length != int64(len(answer.body)) {
		t.Errorf("%v, %d bytes", answer.header, answer.length)
	}
}

// zeros are as many bytes, from nowhere.
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

// A GiB comes back for an eighth of one, and never more than a little is in memory.
func TestBodiesAreNotHeld(t *testing.T) {
	const size, sent, bound = 1 << 30, 128 << 20, 64 << 20
	var got atomic.Int64
	url, _ := before(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Store(n)
		w.Header().Set("Content-Length", fmt.Sprint(size))
		left := zeros(size)
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, &left, make([]byte, 64<<10))
	})
	idle := held()
	var most atomic.Uint64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for ticker := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				most.Store(max(most.Load(), held()))
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
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	back, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{answer.Body}, make([]byte, 64<<10))
	_ = answer.Body.Close()
	close(stop)
	<-stopped
	if err != nil || back != size || got.Load() != sent {
		t.Errorf("%d bytes there, %d back, %v", got.Load(), back, err)
	}
	if grown := most.Load() - min(idle, most.Load()); most.Load() == 0 || grown > bound {
		t.Errorf("%d MiB more than idle were held", grown>>20)
	}
}

// held is what the runtime has of memory for its heap, freed or not.
func held() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}

// Each event is awaited before the next is sent: whoever holds one back hangs.
func TestEventsComeOneByOne(t *testing.T) {
	t.Parallel()
	next := make(chan int)
	url, _ := before(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for n := range next {
			fmt.Fprintf(w, "id: %d\ndata: x\n\n", n)
			_ = http.NewResponseController(w).Flush()
		}
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	lines := bufio.NewReader(answer.Body)
	for n := range 5 {
		next <- n
		for _, want := range []string{fmt.Sprintf("id: %d\n", n), "data: x\n", "\n"} {
			if line, err := lines.ReadString('\n'); err != nil || line != want {
				t.Fatalf("event %d: %q, %v", n, line, err)
			}
		}
	}
	close(next)
}

func TestUpgradesPass(t *testing.T) {
	t.Parallel()
	url, silo := before(t, func(w http.ResponseWriter, r *http.Request) {
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
	answer, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection goes on as the body
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Upgrade") != "websocket" ||
		answer.Header.Get("X-Sentry-Proxy-URL") != silo+"/ws" || answer.Header.Get("X-Sentry-Subnet-Path") != "" {
		t.Fatalf("no upgrade: %v, %v", answer, err)
	}
	for _, word := range []string{"one\n", "two\n"} {
		fmt.Fprint(conn, word)
		if line, err := reader.ReadString('\n'); err != nil || line != word {
			t.Fatalf("got %q, %v", line, err)
		}
	}
}
