package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"silo/proxy"
	"silo/traffic"
	"silo/wait/waittest"
)

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
	request := newRequest(t, http.MethodPut, "http://"+edge, bytes.NewReader(sent))
	request.URL.Opaque = path
	request.Header.Set("Accept-Encoding", "br")
	response := do(t, request)

	if !bytes.Equal([]byte(response.body), sent) {
		t.Errorf("sent %d bytes, received %d others", len(sent), len(response.body))
	}
	if got := response.header.Get("Seen"); got != "PUT "+path {
		t.Errorf("the silo received %q", got)
	}
	if got := response.header.Get("Encoding"); got != "br" {
		t.Errorf("Accept-Encoding became %q", got)
	}
	if response.status != http.StatusTeapot || response.trailer.Get("Sum") != "done" || len(response.header["Set-Cookie"]) != 2 {
		t.Errorf("status %d, trailer %v, cookies %v", response.status, response.trailer, response.header["Set-Cookie"])
	}
	if response.header.Get(proxy.ErrorHeader) != "" {
		t.Error("the silo's own response is marked as an error page")
	}
}

func TestRequestTargetsAreForwardedByteForByte(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Target: silo(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) })})
	for sent, want := range map[string]string{
		"/":                              "",
		"/?":                             "",
		"/a?b?c":                         "",
		"/a%2Fb|c":                       "", // golang/go#28359
		"/a%2fb\"{}^`<>\\":               "",
		"/a/../b/./c//d":                 "",
		"/?q=1;2&x=%zz&e=&e":             "",
		"//host/a%2Fb":                   "",
		"//":                             "",
		"//a?q=1;2&x=%zz":                "",
		"/\u00fc":                        "",
		"/a#b":                           "",
		"/" + strings.Repeat("x", 20000): "",
		"http://other.test/a%2Fb?c":      "/a%2Fb?c", // RFC 9112, section 3.2.2
	} {
		if want == "" {
			want = sent
		}
		_, reader := dial(t, edge, "GET "+sent+" HTTP/1.1\r\nHost: a\r\n\r\n")
		if got := next(t, reader); got.body != want {
			t.Errorf("%q arrived as %q, status %d", sent, got.body, got.status)
		}
	}
}

func TestAddsNoHeaders(t *testing.T) {
	t.Parallel()
	const want = "Forwarded X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto"
	for name, target := range map[string]func() string{
		"HTTP/1.1": silo(t, bareAnswer),
		"HTTP/2":   siloSpeaking(t, protocols(false, true), bareAnswer),
	} {
		log := traffic.NewLog(traffic.DefaultLimit)
		edge := serve(t, proxy.Options{Silo: "eu", Target: target, Recording: &proxy.Recording{Log: log}})
		_, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		got := next(t, reader)
		seen := got.header.Get("Seen")
		got.header.Del("Seen")
		got.header.Del("Content-Length")
		if len(got.header) != 0 || strings.ReplaceAll(seen, "Connection ", "") != want {
			t.Errorf("%s: the silo received %q, the client %v", name, seen, got.header)
		}
		header := ended(t, log, 1)[0].Response.Header
		for _, name := range []string{"Content-Type", "Date"} {
			if _, ok := header[name]; ok {
				t.Errorf("%s is recorded: %v", name, header)
			}
		}
	}
}

// bareAnswer sends no headers but Seen, the names of those that it received.
func bareAnswer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Seen", headerNames(r.Header))
	w.Header()["Content-Type"], w.Header()["Date"] = nil, nil
	_, _ = io.WriteString(w, "<html>")
}

// A silo may answer while it is still reading. Each part is sent only after the previous
// one has been echoed.
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
	ctx, cancel := context.WithTimeout(t.Context(), waittest.Limit)
	defer cancel()
	context.AfterFunc(ctx, func() { _ = body.CloseWithError(context.Canceled) }) // unblocks the client
	request := newRequest(t, http.MethodPost, "http://"+serve(t, proxy.Options{Silo: "eu", Target: target}), body).WithContext(ctx)
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
	const forwarded = `for=127.0.0.1;host="front.test";proto=http`
	spoofed := map[string]string{
		"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil", "X-Forwarded-Proto": "https", "Forwarded": "for=6.6.6.6",
	}
	cases := map[string]struct {
		options proxy.Options
		headers map[string]string
		want    string
	}{
		"spoofed":       {proxy.Options{}, spoofed, "front.test|127.0.0.1|front.test|http|" + forwarded},
		"trusted":       {proxy.Options{TrustForwarded: true}, spoofed, "front.test|6.6.6.6|evil|https|for=6.6.6.6"},
		"trusted, none": {proxy.Options{TrustForwarded: true}, nil, "front.test|127.0.0.1|front.test|http|"},
		"trusted, named by Connection": {
			proxy.Options{TrustForwarded: true},
			map[string]string{"X-Forwarded-For": "6.6.6.6", "Connection": "X-Forwarded-For"},
			"front.test|6.6.6.6|front.test|http|",
		},
		"preserve": {proxy.Options{HostHeader: "preserve"}, nil, "front.test|127.0.0.1|front.test|http|" + forwarded},
		"rewrite":  {proxy.Options{HostHeader: "rewrite"}, nil, target() + "|127.0.0.1|front.test|http|" + forwarded},
		"a host":   {proxy.Options{HostHeader: "eu.test"}, nil, "eu.test|127.0.0.1|front.test|http|" + forwarded},
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

func TestForwardedNamesIPv6ClientsAndSkipsBadHosts(t *testing.T) {
	t.Parallel()
	p := proxy.New(proxy.Options{Target: silo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Forwarded"))
	})})
	defer p.Close()
	for _, c := range []struct{ remote, host, want string }{
		{"[::1]:1", "a:80", `for="[::1]";host="a:80";proto=http`},
		{"", "a", `for=unknown;host="a";proto=http`},
		{"10.0.0.1:1", "", `for=10.0.0.1;proto=http`},
	} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		request.RemoteAddr, request.Host = c.remote, c.host
		response := httptest.NewRecorder()
		p.ServeHTTP(response, request)
		if got := response.Body.String(); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestEventStreamsAreNotBuffered(t *testing.T) {
	t.Parallel()
	events := make(chan string)
	target := silo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		flush(w)
		for event := range events {
			fmt.Fprintf(w, "data: %s\n\n", event)
			flush(w)
		}
	})
	_, reader := dial(t, serve(t, proxy.Options{Target: target}), "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	defer close(events)
	lines := bufio.NewReader(response.Body)
	// Each event is sent only after the previous one has arrived.
	for _, event := range []string{"one", "two", "three"} {
		events <- event
		line, err := lines.ReadString('\n')
		if err != nil || line != "data: "+event+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
	}
}

// The first half of a body of known length arrives before the silo sends the second.
func TestBodiesOfKnownLengthAreNotBuffered(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "6")
		for _, part := range []string{"", "abc", "def"} {
			_, _ = io.WriteString(w, part)
			flush(w)
			<-release
		}
	})
	edge := serve(t, proxy.Options{Target: target})
	for _, method := range []string{"GET", "POST"} {
		_, reader := dial(t, edge, method+" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
		response, err := http.ReadResponse(reader, nil) // the header has arrived
		if err != nil {
			t.Fatal(err)
		}
		part := make([]byte, 3)
		for _, want := range []string{"abc", "def"} {
			release <- struct{}{}
			if _, err := io.ReadFull(response.Body, part); err != nil || string(part) != want {
				t.Fatalf("%s: %q, %v", method, part, err)
			}
		}
		release <- struct{}{}
		_ = response.Body.Close()
	}
}

func TestAClientThatDisconnectsFreesTheSilo(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]string{"before the response": "", "within the response": "first"} {
		for version, client := range map[string]*http.Client{"1": clientSpeaking(t, protocols(true, false)), "2": clientSpeaking(t, protocols(false, true))} {
			arrived, freed := make(chan struct{}, 1), make(chan struct{})
			target := silo(t, func(w http.ResponseWriter, r *http.Request) {
				if first != "" {
					_, _ = io.WriteString(w, first)
					flush(w)
				}
				arrived <- struct{}{}
				<-r.Context().Done()
				close(freed)
			})
			ctx, disconnect := context.WithCancel(t.Context())
			request := get(t, "http://"+serve(t, proxy.Options{Target: target})).WithContext(ctx)
			done := make(chan error, 1)
			go func() {
				response, err := client.Do(request)
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
				done <- err
			}()
			waittest.Receive(t, arrived, "the request")
			disconnect()
			waittest.Receive(t, freed, "the end of the request to the silo, HTTP/"+version+", "+name)
			if err := waittest.Receive(t, done, "the client's end"); err == nil {
				t.Errorf("HTTP/%s, %s: the client got a whole response", version, name)
			}
		}
	}
}

func BenchmarkForward(b *testing.B) {
	for name, recording := range map[string]*proxy.Recording{"plain": nil, "recorded": {
		Log: traffic.NewLog(traffic.DefaultLimit), Caller: callerIs("us"), Crosses: usToEU, Blocks: func() bool { return false },
	}} {
		b.Run(name, func(b *testing.B) {
			body := bytes.Repeat([]byte("x"), 1024)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
			defer server.Close()
			p := proxy.New(proxy.Options{Target: server.Listener.Addr().String, Recording: recording})
			defer p.Close()
			edge, _ := serveHandler(b, p, nil)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			defer client.CloseIdleConnections()
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					response, err := client.Get("http://" + edge)
					if err != nil {
						b.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			})
		})
	}
}
