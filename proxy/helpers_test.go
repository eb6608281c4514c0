package proxy_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"silo/proxy"
	"silo/wait/waittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a Proxy and returns its address.
func serve(t *testing.T, options proxy.Options) string {
	t.Helper()
	p := proxy.New(options)
	address, _ := serveHandler(t, p, func(text string) { t.Error(text) })
	t.Cleanup(func() {
		p.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return address
}

// serveHandler serves handler until the test ends or stop is called. stop returns
// what Serve returned, and may be called more than once.
func serveHandler(t testing.TB, handler http.Handler, logError func(string)) (address string, stop func() error) {
	t.Helper()
	listener := listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- proxy.Serve(ctx, listener, handler, logError) }()
	stop = func() error {
		cancel()
		err := waittest.Receive(t, done, "Serve returns")
		done <- err
		return err
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return listener.Addr().String(), stop
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// silo starts an HTTP server that acts as a silo, and returns a Target.
func silo(t *testing.T, handler http.HandlerFunc) func() string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String
}

// protocols returns a choice of HTTP versions.
func protocols(http1, http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(http1)
	p.SetUnencryptedHTTP2(http2)
	return p
}

// siloSpeaking is silo with a choice of HTTP versions.
func siloSpeaking(t *testing.T, protocols *http.Protocols, handler http.HandlerFunc) func() string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = protocols
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String
}

func clientSpeaking(t *testing.T, protocols *http.Protocols) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func fixed(address string) func() string { return func() string { return address } }

// closedPort returns a Target that refuses connections.
func closedPort(t *testing.T) func() string {
	listener := listen(t)
	_ = listener.Close()
	return listener.Addr().String
}

// reply is a response that has been read to its end.
type reply struct {
	status          int
	header, trailer http.Header
	body            string
	closes          bool
}

func readReply(t *testing.T, response *http.Response) reply {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, response.Trailer, string(body), response.Close}
}

func do(t *testing.T, request *http.Request) reply {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, response)
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func get(t *testing.T, url string) *http.Request { return newRequest(t, http.MethodGet, url, nil) }

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// dial opens a connection and sends text.
func dial(t *testing.T, address, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(waittest.Limit))
	_, _ = io.WriteString(conn, text)
	return conn, bufio.NewReader(conn)
}

// next reads one response to its end.
func next(t *testing.T, reader *bufio.Reader) reply {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	return readReply(t, response)
}

// dialUpgraded opens a connection and upgrades it.
func dialUpgraded(t *testing.T, address string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, reader := dial(t, address, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection goes on as the body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no upgrade: %v, %v", response, err)
	}
	return conn, reader
}

// echoUpgrade upgrades a connection and sends back what it receives.
func echoUpgrade(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.Copy(conn, buffered)
}

// echo answers with the request's line and body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	fmt.Fprintln(w, r.Method, r.RequestURI, r.Host, r.Proto, string(body), err)
}

// headerNames returns the names in a header, sorted.
func headerNames(header http.Header) string {
	return strings.Join(slices.Sorted(maps.Keys(header)), " ")
}
