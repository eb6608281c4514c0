package proxy_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"silo/proxy"
	"silo/wait/waittest"
)

// A header may arrive byte by byte, and one connection may carry requests with and
// without a body before it is upgraded.
func TestServesAnyRequestsOnOneConnection(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			echoUpgrade(w, r)
			return
		}
		echo(w, r)
	})})
	conn, reader := dial(t, edge, "")
	for _, c := range "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" {
		_, _ = io.WriteString(conn, string(c))
	}
	if got := next(t, reader); !strings.HasPrefix(got.body, "GET /1 ") {
		t.Errorf("GET: %+v", got)
	}
	_, _ = io.WriteString(conn, "POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
	if got := next(t, reader); !strings.HasPrefix(got.body, "POST /2 ") || !strings.Contains(got.body, " body ") {
		t.Errorf("POST: %+v", got)
	}
	_, _ = io.WriteString(conn, "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	got, err := http.ReadResponse(reader, nil)
	if err != nil || got.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("upgrade: %+v, %v", got, err)
	}
	defer func() { _ = got.Body.Close() }()
	_, _ = io.WriteString(conn, "hello\n")
	if got, err := reader.ReadString('\n'); got != "hello\n" || err != nil {
		t.Errorf("after the upgrade: %q, %v", got, err)
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	t.Parallel()
	_, reader := dial(t, serve(t, proxy.Options{Target: silo(t, echo)}),
		"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /3 HTTP/1.1\r\nHost: a\r\n\r\n")
	for _, want := range []string{"GET /1 a HTTP/1.1  <nil>\n", "POST /2 a HTTP/1.1 body <nil>\n", "GET /3 a HTTP/1.1  <nil>\n"} {
		if got := next(t, reader); got.body != want {
			t.Errorf("got %q, want %q", got.body, want)
		}
	}
}

func TestDetectsDisconnectOfAPipeliningClient(t *testing.T) {
	t.Parallel()
	arrived, freed := make(chan struct{}, 2), make(chan struct{}, 2)
	edge := serve(t, proxy.Options{Target: silo(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
		freed <- struct{}{}
	})})
	conn, _ := dial(t, edge, strings.Repeat("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 2))
	waittest.Receive(t, arrived, "the first request")
	_ = conn.Close()
	waittest.Receive(t, freed, "the end of the first request")
	if len(arrived) != 0 {
		t.Error("the second request of a disconnected client was forwarded")
	}
}

func TestServeClosesIdleConnections(t *testing.T) {
	t.Parallel()
	edge, stop := serveHandler(t, http.HandlerFunc(echo), nil)
	_, fresh := dial(t, edge, "")
	_, used := dial(t, edge, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	next(t, used)
	if err := stop(); err != nil {
		t.Error(err)
	}
	for name, reader := range map[string]*bufio.Reader{"fresh": fresh, "used": used} {
		_, err := reader.ReadByte()
		if timeout, ok := errors.AsType[net.Error](err); err == nil || ok && timeout.Timeout() {
			t.Errorf("the %s connection is still open: %v", name, err)
		}
	}
}

func TestServeClosesUpgradedConnections(t *testing.T) {
	t.Parallel()
	p := proxy.New(proxy.Options{Target: silo(t, echoUpgrade)})
	defer p.Close()
	edge, stop := serveHandler(t, p, nil)
	conn, reader := dialUpgraded(t, edge)
	fmt.Fprintln(conn, "hello")
	if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the upgraded connection outlived Serve")
	}
}

func TestServeCutsOffALongRequest(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	p := proxy.New(proxy.Options{Target: silo(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})})
	defer p.Close()
	edge, stop := serveHandler(t, p, nil)
	_, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	waittest.Receive(t, arrived, "the request")
	if err := stop(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if b, err := reader.ReadByte(); err == nil {
		t.Errorf("a truncated request got an answer that begins with %q", b)
	}
}

func TestServeLetsAShortRequestFinish(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "a body"} {
		arrived, release := make(chan struct{}, 1), make(chan struct{})
		edge, stop := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			arrived <- struct{}{}
			<-release
			fmt.Fprint(w, "whole")
		}), nil)
		_, reader := dial(t, edge, fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		waittest.Receive(t, arrived, "the request")
		stopped := make(chan error, 1)
		go func() { stopped <- stop() }()
		waittest.Until(t, "the listener is closed", func() bool {
			conn, err := net.Dial("tcp", edge)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		})
		close(release)
		if got := next(t, reader).body; got != "whole" {
			t.Errorf("with body %q: got %q", body, got)
		}
		if err := waittest.Receive(t, stopped, "Serve returns"); err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}

func TestServeReportsALostListener(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	_ = listener.Close()
	err := proxy.Serve(t.Context(), listener, http.NotFoundHandler(), nil)
	if err == nil || !strings.Contains(err.Error(), listener.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

func TestServeLogsPanics(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]*http.Client{"HTTP/1.1": clientSpeaking(t, protocols(true, false)), "HTTP/2": clientSpeaking(t, protocols(false, true))} {
		logged := make(chan string, 9)
		edge, _ := serveHandler(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/abort" {
				panic(http.ErrAbortHandler)
			}
			panic("broken handler")
		}), func(text string) { logged <- text })
		for _, path := range []string{"/abort", "/"} {
			if response, err := client.Do(get(t, "http://"+edge+path)); err == nil {
				_ = response.Body.Close()
				t.Errorf("%s %s: a handler that panicked gave status %d", name, path, response.StatusCode)
			}
		}
		text := waittest.Receive(t, logged, "a log message")
		if !strings.Contains(text, "broken handler") || !strings.Contains(text, "server_test.go") || len(logged) != 0 {
			t.Errorf("%s: logged %d more and\n%s", name, len(logged), text)
		}
	}
}

func TestRefusesAnEndlessHeader(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Target: silo(t, echo)})
	conn, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: a\r\n")
	go func() {
		line := "A: " + strings.Repeat("b", 4000) + "\r\n"
		for range 1000 {
			if _, err := io.WriteString(conn, line); err != nil {
				return
			}
		}
	}()
	if got := next(t, reader); got.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("status %d", got.status)
	}
}

// The server keeps reading after its answer, to reuse the connection, but only for a
// limited time.
func TestASlowBodyDoesNotOutliveItsResponse(t *testing.T) {
	t.Parallel()
	edge := serve(t, proxy.Options{Silo: "eu", Target: closedPort(t)})
	conn, reader := dial(t, edge, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nsome")
	if got := next(t, reader); got.status != http.StatusBadGateway || !got.closes {
		t.Errorf("got %+v", got)
	}
	waittest.Until(t, "the connection is closed", func() bool {
		_, err := conn.Write([]byte("x"))
		return err != nil
	})
}

func TestChanListener(t *testing.T) {
	t.Parallel()
	listener := proxy.NewChanListener(&net.TCPAddr{Port: 7})
	if listener.Addr().String() != ":7" {
		t.Errorf("address %s", listener.Addr())
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, listener, http.HandlerFunc(echo), nil) }()
	near, far := net.Pipe()
	defer func() { _ = far.Close() }()
	_ = far.SetDeadline(time.Now().Add(waittest.Limit))
	listener.Deliver(near)
	_, _ = io.WriteString(far, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := next(t, bufio.NewReader(far)); !strings.HasPrefix(got.body, "GET /1 ") {
		t.Errorf("got %+v", got)
	}
	stop()
	if err := waittest.Receive(t, done, "Serve returns"); err != nil {
		t.Error(err)
	}
	late, far := net.Pipe()
	defer func() { _ = far.Close() }()
	listener.Deliver(late)
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("a connection after Serve has ended: %v", err)
	}
}
