package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"silo/proxy"
	"silo/sentry"
)

func TestFaultStatuses(t *testing.T) {
	t.Parallel()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	respond := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	for name, c := range map[string]struct {
		silo   http.HandlerFunc
		at     string // without a silo
		status int
		fault  proxy.Fault
		detail string
	}{
		"nothing runs":         {nil, "", 503, proxy.Down, "silo us is down: nothing is running"},
		"no listener":          {nil, "http://" + closed.Addr().String(), 503, proxy.Down, "silo us is down"},
		"no address":           {nil, "nonsense", 503, proxy.Down, `us has no address: "nonsense"`},
		"it hangs":             {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "", 504, proxy.Timeout, "silo us did not answer in time"},
		"closes":               {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "", 502, proxy.Broken, "silo us closed the connection without an answer"},
		"its tunnel: down":     {respond(proxy.ErrorHeader, "down"), "", 503, proxy.Down, "silo us is down"},
		"its tunnel: starting": {respond(proxy.ErrorHeader, "starting"), "", 503, proxy.Starting, "silo us is starting"},
		"its tunnel: timeout":  {respond(proxy.ErrorHeader, "timeout"), "", 504, proxy.Timeout, "silo us did not answer in time"},
		"its tunnel: broken":   {respond(proxy.ErrorHeader, "broken"), "", 502, proxy.Broken, "silo us closed the connection"},
		"its tunnel: new":      {respond(proxy.ErrorHeader, "new"), "", 502, proxy.Broken, "silo us did not answer: new"},
		"ngrok: offline":       {respond("ngrok-error-code", "ERR_NGROK_3200"), "", 503, proxy.Down, "ERR_NGROK_3200"},
		"ngrok: no upstream":   {respond("ngrok-error-code", "ERR_NGROK_8012"), "", 503, proxy.Down, "ERR_NGROK_8012"},
		"ngrok: else":          {respond("ngrok-error-code", "ERR_NGROK_3004"), "", 502, proxy.Broken, "ERR_NGROK_3004"},
		"its own 502":          {respond("X-Own", "1"), "", 502, "", ""},
		"its own 404, by host": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "", 404, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := func() string { return c.at }
			if c.silo != nil {
				server := httptest.NewServer(c.silo)
				t.Cleanup(server.Close)
				address = func() string { return server.URL }
			}
			patience := time.Duration(0)
			if c.fault == proxy.Timeout {
				patience = 50 * time.Millisecond
			}
			_, url := serveProxy(t, address, patience)
			answer := send(t, http.MethodGet, url, http.Header{"Accept": {"application/json"}}, nil)
			if answer.status != c.status || answer.header.Get(proxy.ErrorHeader) != string(c.fault) || !strings.Contains(strings.ReplaceAll(answer.body, `\"`, `"`), c.detail) {
				t.Errorf("%d, fault %q: %s", answer.status, answer.header.Get(proxy.ErrorHeader), answer.body)
			}
			if own := c.fault == ""; (answer.header.Get(sentry.HeaderProxyURL) != "") != own {
				t.Errorf("X-Sentry-Proxy-URL: %q", answer.header.Get(sentry.HeaderProxyURL))
			}
		})
	}
}

// A client that pauses in the middle of its request gets a 408, and the connection to the
// silo is closed.
func TestSlowRequestBody(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(ended)
		_, _ = io.Copy(io.Discard, r.Body)
	}))
	t.Cleanup(server.Close)
	p, url := serveProxy(t, func() string { return server.URL }, 0)
	p.bodyTimeout = 100 * time.Millisecond
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusRequestTimeout || !answer.Close || !bytes.Contains(body, []byte("did not arrive in time")) {
		t.Errorf("%s, %v: %s", answer.Status, answer.Header, body)
	}
	<-ended
}

// A shorter pause, or one before the response, is allowed.
func TestSlowResponse(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case <-time.After(400 * time.Millisecond):
		case <-r.Context().Done():
		}
		_, _ = w.Write(body)
	}))
	t.Cleanup(server.Close)
	p, url := serveProxy(t, func() string { return server.URL }, 0)
	p.bodyTimeout = 300 * time.Millisecond
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, "one ")
		_, _ = io.WriteString(writer, "two")
		_ = writer.Close()
	}()
	if answer := send(t, http.MethodPost, url, nil, reader); answer.status != http.StatusOK || answer.body != "one two" {
		t.Errorf("%d: %q", answer.status, answer.body)
	}
}

// The address is looked up for each request.
func TestSiloMoves(t *testing.T) {
	t.Parallel()
	var address atomic.Pointer[string]
	address.Store(new(""))
	_, url := serveProxy(t, func() string { return *address.Load() }, 0)
	for n := range 3 {
		if answer := send(t, http.MethodGet, url, nil, nil); answer.status != http.StatusServiceUnavailable {
			t.Errorf("before %d: %d", n, answer.status)
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, n) }))
		address.Store(&server.URL)
		if answer := send(t, http.MethodGet, url, nil, nil); answer.status != http.StatusOK || answer.body != fmt.Sprint(n) {
			t.Errorf("%d: %d %q", n, answer.status, answer.body)
		}
		server.Close()
	}
}

// A silo that closes the connection has received the request: there is no retry.
func TestProxyNeverRetries(t *testing.T) {
	t.Parallel()
	var got atomic.Int32
	url, _ := serveSilo(t, func(_ http.ResponseWriter, r *http.Request) {
		got.Add(1)
		if r.URL.Path == "/gone" {
			panic(http.ErrAbortHandler)
		}
	})
	for _, path := range []string{"/", "/gone", "/", "/gone"} {
		send(t, http.MethodGet, url+path, nil, nil)
	}
	if got.Load() != 4 {
		t.Errorf("the silo received %d requests, want 4", got.Load())
	}
}
