package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"silo/proxy"
	"silo/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve puts a Proxy in front of target and returns the address of its edge.
func serve(t *testing.T, options proxy.Options) string {
	t.Helper()
	p := proxy.New(options)
	edge := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, p) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
		p.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return edge.Addr().String()
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// silo is a server whose address is a Target.
func silo(t *testing.T, handler http.HandlerFunc) func() string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String
}

func fixed(addr string) func() string { return func() string { return addr } }

// nobody is an address that refuses connections.
func nobody(t *testing.T) func() string {
	listener := listen(t)
	_ = listener.Close()
	return listener.Addr().String
}

// reply is a response that has been read to its end.
type reply struct {
	status          int
	header, trailer http.Header
	body            string
}

func do(t *testing.T, request *http.Request) reply {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, response.Trailer, string(body)}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func get(t *testing.T, url string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

func TestForwardsWholeRequests(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Seen", r.Method+" "+r.RequestURI)
		w.Header().Set("Encoding", r.Header.Get("Accept-Encoding"))
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.Header().Set("Trailer", "Sum")
		_ = http.NewResponseController(w).EnableFullDuplex()
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.Copy(w, r.Body)
		w.Header().Set("Sum", "done")
	})
	edge := serve(t, proxy.Options{Silo: "eu", Target: target})

	sent := make([]byte, 3<<20)
	_, _ = rand.Read(sent)
	const path = "/api/0/a%2Fb%20c//d/?q=1;2&x=%zz&empty="
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+edge, bytes.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	request.URL.Opaque = path
	request.Header.Set("Accept-Encoding", "br")
	response := do(t, request)

	if !bytes.Equal([]byte(response.body), sent) {
		t.Errorf("%d bytes sent, %d other ones came back", len(sent), len(response.body))
	}
	if got := response.header.Get("Seen"); got != "PUT "+path {
		t.Errorf("silo saw %q", got)
	}
	if got := response.header.Get("Encoding"); got != "br" {
		t.Errorf("Accept-Encoding became %q", got)
	}
	if response.status != http.StatusTeapot || response.trailer.Get("Sum") != "done" || len(response.header["Set-Cookie"]) != 2 {
		t.Errorf("status %d, trailer %v, cookies %v", response.status, response.trailer, response.header["Set-Cookie"])
	}
	if response.header.Get(proxy.ErrorHeader) != "" {
		t.Error("the silo's own answer is marked")
	}
}

// A silo may answer while it still reads. Each part is sent only when the one
// before has come back: whoever waits for the end of the body waits for ever.
func TestForwardsBodiesBothWaysAtOnce(t *testing.T) {
	t.Parallel()
	const part = "one part of a body\n"
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		lines := bufio.NewReader(r.Body)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(w, line)
			flush(w)
		}
	})
	body, parts := io.Pipe()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = body.CloseWithError(context.Canceled) }) // or the client waits for a part
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+serve(t, proxy.Options{Silo: "eu", Target: target}), body)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(parts, part) }()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	for range 3 {
		if line, err := lines.ReadString('\n'); err != nil || line != part {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = io.WriteString(parts, part)
	}
	_ = parts.Close()
}

func TestForwardedAndHostHeaders(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s|%s|%s|%s|%s", r.Host, r.Header.Get("X-Forwarded-For"),
			r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("Forwarded"))
	})
	const introduced = `for=127.0.0.1;host="front.test";proto=http`
	spoofed := map[string]string{
		"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6",
	}
	cases := map[string]struct {
		options proxy.Options
		headers map[string]string
		want    string
	}{
		"spoofed":       {proxy.Options{}, spoofed, "front.test|127.0.0.1|front.test|http|" + introduced},
		"trusted":       {proxy.Options{TrustForwarded: true}, spoofed, "front.test|6.6.6.6|evil|https|for=6.6.6.6"},
		"trusted, none": {proxy.Options{TrustForwarded: true}, nil, "front.test|127.0.0.1|front.test|http|"},
		"preserve":      {proxy.Options{HostHeader: "preserve"}, nil, "front.test|127.0.0.1|front.test|http|" + introduced},
		"rewrite":       {proxy.Options{HostHeader: "rewrite"}, nil, target() + "|127.0.0.1|front.test|http|" + introduced},
		"a host":        {proxy.Options{HostHeader: "eu.test"}, nil, "eu.test|127.0.0.1|front.test|http|" + introduced},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Target = target
			request := get(t, "http://"+serve(t, c.options))
			request.Host = "front.test"
			for key, value := range c.headers {
				request.Header.Set(key, value)
			}
			if got := do(t, request).body; got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// What is said of a client is kept for its connection, and still true of each request.
func TestForwardedHostsOfOneConnection(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("X-Forwarded-Host")+"|"+r.Header.Get("Forwarded"))
	})
	at := serve(t, proxy.Options{Silo: "eu", Target: target})
	conn, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for _, host := range []string{"a.test", "a.test", "b.test", "a.test"} {
		request := get(t, "http://"+at)
		request.Host = host
		if err := request.Write(conn); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(answers, request)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close() // read to its end
		if want := host + `|for=127.0.0.1;host="` + host + `";proto=http`; err != nil || string(got) != want {
			t.Errorf("got  %s, %v\nwant %s", got, err, want)
		}
	}
}

func TestAnswersInPlaceOfTheSilo(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	hang := silo(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	hangUp := silo(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	starting := func() (string, bool) { return "running <migrations>", true }
	started := func() (string, bool) { return "", false }

	cases := map[string]struct {
		options proxy.Options
		accept  string
		status  int
		fault   proxy.Fault
		want    []string
	}{
		"starting, text":       {proxy.Options{Target: nobody(t), Starting: starting}, "*/*", 503, proxy.Starting, []string{"silo eu is starting\n", "running <migrations>"}},
		"starting, browser":    {proxy.Options{Target: nobody(t), Starting: starting}, "text/html,*/*;q=0.8", 503, proxy.Starting, []string{"<h1>silo eu is starting", `http-equiv="refresh"`, "&lt;migrations&gt;"}},
		"starting, json":       {proxy.Options{Target: nobody(t), Starting: starting}, "text/html;q=0.1, application/json", 503, proxy.Starting, []string{`"detail":"silo eu is starting"`, `"error":"starting"`}},
		"starting, no port":    {proxy.Options{Target: fixed(""), Starting: starting}, "", 503, proxy.Starting, []string{"silo eu is starting"}},
		"starting, hangs up":   {proxy.Options{Target: hangUp, Starting: starting}, "", 503, proxy.Starting, []string{"silo eu is starting"}},
		"down, text":           {proxy.Options{Target: nobody(t), Starting: started}, "", 502, proxy.Down, []string{"silo eu is down\nhint: silo logs eu\n"}},
		"down, browser":        {proxy.Options{Target: nobody(t)}, "text/html", 502, proxy.Down, []string{"<h1>silo eu is down", "<code>silo logs eu</code>"}},
		"down, no port":        {proxy.Options{Target: fixed("")}, "", 502, proxy.Down, []string{"silo eu is down"}},
		"broken":               {proxy.Options{Target: hangUp}, "", 502, proxy.Broken, []string{"silo eu broke off", "silo logs eu"}},
		"timeout":              {proxy.Options{Target: hang, HeaderTimeout: 20 * time.Millisecond}, "", 504, proxy.Timeout, []string{"did not answer in time"}},
		"down, vendor json":    {proxy.Options{Target: nobody(t)}, "application/problem+json", 502, proxy.Down, []string{`"hint":"silo logs eu"`}},
		"down, unknown accept": {proxy.Options{Target: nobody(t)}, "image/png, ;", 502, proxy.Down, []string{"silo eu is down\n"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.options.Silo = "eu"
			request := get(t, "http://"+serve(t, c.options)+"/api/0/")
			request.Header.Set("Accept", c.accept)
			response := do(t, request)
			if response.status != c.status || response.header.Get(proxy.ErrorHeader) != string(c.fault) {
				t.Errorf("status %d, fault %q", response.status, response.header.Get(proxy.ErrorHeader))
			}
			if retry := response.header.Get("Retry-After"); (retry == "1") != (c.fault == proxy.Starting) {
				t.Errorf("Retry-After %q", retry)
			}
			for _, want := range c.want {
				if !strings.Contains(response.body, want) {
					t.Errorf("no %q in\n%s", want, response.body)
				}
			}
			if strings.Contains(c.accept, "json") && !json.Valid([]byte(response.body)) {
				t.Errorf("not JSON: %s", response.body)
			}
		})
	}
}

func TestEventStreamIsNotHeldBack(t *testing.T) {
	t.Parallel()
	next := make(chan string)
	target := silo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush(w)
		for event := range next {
			fmt.Fprintf(w, "data: %s\n\n", event)
			flush(w)
		}
	})
	response, err := http.DefaultClient.Do(get(t, "http://"+serve(t, proxy.Options{Target: target})))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	// Each event is awaited before the next is sent: a proxy that holds one back hangs.
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		line, err := lines.ReadString('\n')
		if err != nil || line != "data: "+event+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
	}
	close(next)
}

// upgraded opens a WebSocket-like connection through edge to a silo that echoes.
func upgraded(t *testing.T, edge string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", edge)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection goes on as the body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no upgrade: %v, %v", response, err)
	}
	return conn, reader
}

func echoUpgrade(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.Copy(conn, both)
}

func TestUpgradedConnectionEchoesAndEndsWithServe(t *testing.T) {
	t.Parallel()
	target := silo(t, echoUpgrade)
	edge := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	p := proxy.New(proxy.Options{Target: target})
	defer p.Close()
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, p) }()

	conn, reader := upgraded(t, edge.Addr().String())
	defer func() { _ = conn.Close() }()
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the upgraded connection outlived Serve")
	}
}

func TestServeWaitsBoundedlyForARequestInFlight(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	target := silo(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	edge := listen(t)
	ctx, stop := context.WithCancel(t.Context())
	p := proxy.New(proxy.Options{Target: target})
	defer p.Close()
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, p) }()
	failed := make(chan error, 1)
	request := get(t, "http://"+edge.Addr().String())
	go func() {
		response, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			_ = response.Body.Close()
		}
		failed <- err
	}()
	<-arrived
	start := time.Now()
	stop()
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("Serve took %v to end", took)
	}
	if err := <-failed; err == nil {
		t.Error("a cut request got an answer")
	}
}

func TestServeLetsAShortRequestEnd(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "of another sort"} {
		arrived, release := make(chan struct{}), make(chan struct{})
		edge := listen(t)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- proxy.Serve(ctx, edge, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				close(arrived)
				<-release
				fmt.Fprint(w, "whole")
			}))
		}()
		request := get(t, "http://"+edge.Addr().String())
		if body != "" {
			request.Method, request.Body = http.MethodPost, io.NopCloser(strings.NewReader(body))
		}
		go func() {
			<-arrived
			stop()
			time.Sleep(100 * time.Millisecond)
			close(release)
		}()
		if got := do(t, request).body; got != "whole" {
			t.Errorf("with %q: got %q", body, got)
		}
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func TestServeReportsALostListener(t *testing.T) {
	t.Parallel()
	edge := listen(t)
	_ = edge.Close()
	err := proxy.Serve(t.Context(), edge, http.NotFoundHandler())
	if err == nil || !strings.Contains(err.Error(), edge.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestAClientThatLeavesFreesTheSilo(t *testing.T) {
	t.Parallel()
	arrived, freed := make(chan struct{}), make(chan struct{})
	target := silo(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(freed)
	})
	ctx, leave := context.WithCancel(t.Context())
	request := get(t, "http://"+serve(t, proxy.Options{Target: target})).WithContext(ctx)
	go func() {
		<-arrived
		leave()
	}()
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
		t.Fatal("an answer without one from the silo")
	}
	<-freed
}

func BenchmarkForward(b *testing.B) {
	b.Run("bare", func(b *testing.B) { forward(b, nil) })
	b.Run("recorded", func(b *testing.B) {
		forward(b, &proxy.Recording{
			Log: traffic.NewLog(traffic.DefaultLimit), Caller: caller("us"), Crosses: crossing, Blocks: func() bool { return false },
		})
	})
}

func forward(b *testing.B, recording *proxy.Recording) {
	body := bytes.Repeat([]byte("x"), 1024)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer server.Close()
	p := proxy.New(proxy.Options{Target: server.Listener.Addr().String, Recording: recording})
	defer p.Close()
	edge := listen(b)
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, edge, p) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	b.ReportAllocs()
	before := used()
	defer func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			response, err := client.Get("http://" + edge.Addr().String())
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
}

// used is the processor time of this process, which tells more than the clock where
// others work beside it.
func used() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
