package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"silo/proxy"
	"silo/traffic"
)

// In every combination of versions, each request and each response has a trailer.
func TestProtocolVersions(t *testing.T) {
	t.Parallel()
	both := func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "Sum")
		fmt.Fprintf(w, "%s %s %s %s %v", r.Method, r.Proto, body, r.Trailer.Get("Up"), err)
		w.Header().Set("Sum", "down")
	}
	for _, c := range []struct {
		name         string
		client, silo *http.Protocols
		want         string
	}{
		{"1 to 1", protocols(true, false), protocols(true, false), "HTTP/1.1"},
		{"2 to 1", protocols(false, true), protocols(true, false), "HTTP/1.1"},
		{"1 to 2", protocols(true, false), protocols(false, true), "HTTP/2.0"},
		{"2 to 2", protocols(false, true), protocols(false, true), "HTTP/2.0"},
		{"2 to either", protocols(false, true), protocols(true, true), "HTTP/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			edge := serve(t, proxy.Options{Silo: "eu", Target: siloSpeaking(t, c.silo, both)})
			by := clientSpeaking(t, c.client)
			for _, method := range []string{"GET", "POST", "GET", "PUT"} {
				request := get(t, "http://"+edge)
				want := method + " " + c.want + "   <nil>"
				if request.Method = method; method != "GET" {
					request.Body, request.ContentLength = io.NopCloser(strings.NewReader("body")), -1
					request.Trailer = http.Header{"Up": {"up"}}
					want = method + " " + c.want + " body up <nil>"
				}
				response, err := by.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if err != nil || string(body) != want || response.Trailer.Get("Sum") != "down" {
					t.Errorf("got %q, %v, trailer %v\nwant %q", body, err, response.Trailer, want)
				}
			}
		})
	}
}

// gRPC begins with a POST, and needs HTTP/2.
func TestGRPCUsesHTTP2AtOnce(t *testing.T) {
	t.Parallel()
	target := siloSpeaking(t, protocols(true, true), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grpc-Status", "0")
		fmt.Fprintf(w, "%s %s", r.Proto, r.Header.Get("Te"))
	})
	request := get(t, "http://"+serve(t, proxy.Options{Target: target}))
	request.Method, request.Body, request.ContentLength = "POST", io.NopCloser(strings.NewReader("message")), -1
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	response, err := clientSpeaking(t, protocols(false, true)).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(body) != "HTTP/2.0 trailers" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestHopByHopHeadersAreRemoved(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		seen := make([]string, 0, len(r.Header))
		for name, values := range r.Header {
			if name != "Connection" { // of this hop
				seen = append(seen, name+"="+strings.Join(values, "+"))
			}
		}
		slices.Sort(seen)
		header := w.Header()
		header["Seen"] = []string{strings.Join(seen, " ")}
		header["Keep-Alive"], header["Proxy-Authenticate"], header["X-Kept"] = []string{"timeout=9"}, []string{"Basic"}, []string{"1"}
	})
	const added = `Forwarded=for=127.0.0.1;host="x";proto=http X-Forwarded-For=127.0.0.1 X-Forwarded-Host=x X-Forwarded-Proto=http`
	edge := serve(t, proxy.Options{Target: target})
	for name, c := range map[string]struct{ sent, want string }{
		"none":            {"", added},
		"named":           {"Connection: close, X-Secret , Cookie\r\nX-Secret: 1\r\nCookie: a=b\r\nX-Other: 2\r\n", added + " X-Other=2"},
		"known":           {"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\n", added},
		"TE trailers":     {"TE: trailers, gzip;q=0.5\r\nConnection: TE\r\n", strings.Replace(added, " X-", " Te=trailers X-", 1)},
		"spoofed":         {"Connection: X-Forwarded-For, Forwarded\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n", added},
		"half an upgrade": {"Upgrade: websocket\r\n", added},
		"h2c":             {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", added},
		"end to end":      {"Authorization: Basic eA==\r\nCookie: a=b\r\nUser-Agent: curl/1\r\n", "Authorization=Basic eA== Cookie=a=b " + strings.Replace(added, " X-", " User-Agent=curl/1 X-", 1)},
	} {
		_, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: x\r\n"+c.sent+"\r\n")
		response := next(t, reader)
		if got := response.header.Get("Seen"); got != c.want {
			t.Errorf("%s: the silo received\n%s\nwant\n%s", name, got, c.want)
		}
		if h := response.header; h.Get("Keep-Alive") != "" || h.Get("Proxy-Authenticate") != "" || h.Get("X-Kept") != "1" {
			t.Errorf("%s: the client received %v", name, h)
		}
	}
}

func TestHeadersThatConnectionNamesAreRemoved(t *testing.T) {
	t.Parallel()
	target := (&scriptedSilo{answers: []string{"HTTP/1.1 204 No Content\r\nConnection: X-Mine\r\nX-Mine: 1\r\nX-Kept: 1\r\n\r\n"}}).start(t)
	_, reader := dial(t, serve(t, proxy.Options{Silo: "eu", Target: target}), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if got := next(t, reader); got.header.Get("X-Mine") != "" || got.header.Get("X-Kept") != "1" || got.closes {
		t.Errorf("the client received %+v", got)
	}
}

// The silo decides whether a body is sent, by its own 100 or by a final response.
func TestExpectContinue(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	edge := serve(t, proxy.Options{Target: target})
	const head = " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"

	_, reader := dial(t, edge, "POST /refuse"+head)
	if response := next(t, reader); response.status != http.StatusRequestEntityTooLarge {
		t.Errorf("refused: %v", response)
	}
	conn, reader := dial(t, edge, "POST /accept"+head)
	if response := next(t, reader); response.status != http.StatusContinue {
		t.Fatalf("accepted: %v", response)
	}
	_, _ = io.WriteString(conn, "body")
	if response := next(t, reader); response.body != "body" {
		t.Errorf("%v", response)
	}
}

func TestEarlyHints(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		_, _ = io.Copy(w, r.Body)
	})
	edge := serve(t, proxy.Options{Target: target})
	for _, method := range []string{"GET", "POST"} {
		var hints []string
		request := get(t, "http://"+edge)
		if request.Method = method; method == "POST" {
			request.Body, request.ContentLength = io.NopCloser(strings.NewReader("x")), 1
		}
		request = request.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
				hints = append(hints, fmt.Sprintf("%d %s", code, header.Get("Link")))
				return nil
			},
		}))
		response := do(t, request)
		if !slices.Equal(hints, []string{"103 </style.css>"}) || response.header.Get("Link") != "" {
			t.Errorf("%s: %v, then %v", method, hints, response.header)
		}
	}
	_, reader := dial(t, edge, "GET / HTTP/1.0\r\n\r\n")
	if response := next(t, reader); response.status != http.StatusOK {
		t.Errorf("HTTP/1.0: %v", response)
	}
}

func TestHalfCloseOfAnUpgradedConnection(t *testing.T) {
	t.Parallel()
	target := silo(t, readUpgrade)
	conn, reader := dialUpgraded(t, serve(t, proxy.Options{Target: target}))
	_, _ = io.WriteString(conn, "12345")
	if half, ok := conn.(*net.TCPConn); !ok || half.CloseWrite() != nil {
		t.Fatal("cannot be half-closed")
	}
	if all, err := io.ReadAll(reader); err != nil || string(all) != "hello 5 bytes" {
		t.Errorf("got %q, %v", all, err)
	}
}

// readUpgrade upgrades a connection, reads until the client ends and then answers.
func readUpgrade(w http.ResponseWriter, _ *http.Request) {
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprint(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
	_ = both.Flush()
	all, _ := io.ReadAll(both)
	fmt.Fprintf(both, "%d bytes", len(all))
	_ = both.Flush()
}

// A client may send data before it receives the 101. net/http's server has buffered that
// data.
func TestEarlyBytesOfAnUpgradedConnection(t *testing.T) {
	t.Parallel()
	log := traffic.NewLog(traffic.DefaultLimit)
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, readUpgrade), Recording: &proxy.Recording{Log: log}})
	conn, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n12345")
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection goes on as the body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no upgrade: %v, %v", response, err)
	}
	_, _ = io.WriteString(conn, "678")
	if half, ok := conn.(*net.TCPConn); !ok || half.CloseWrite() != nil {
		t.Fatal("cannot be half-closed")
	}
	if all, err := io.ReadAll(reader); err != nil || string(all) != "hello 8 bytes" {
		t.Errorf("got %q, %v", all, err)
	}
	if e := ended(t, log, 1)[0]; e.Request.Bytes != 8 || e.Response.Bytes != int64(len("hello 8 bytes")) {
		t.Errorf("recorded %d bytes there, %d back", e.Request.Bytes, e.Response.Bytes)
	}
}

func TestAnUpgradeToAnotherProtocolIsRefused(t *testing.T) {
	t.Parallel()
	target := (&scriptedSilo{answers: []string{"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"}}).start(t)
	_, reader := dial(t, serve(t, proxy.Options{Silo: "eu", Target: target}), "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	if response := next(t, reader); response.status != http.StatusBadGateway {
		t.Errorf("%v", response)
	}
}

// OPTIONS * (RFC 9110, section 9.3.7) is forwarded, recorded and blocked like any other
// request.
func TestOptionsOfTheServer(t *testing.T) {
	t.Parallel()
	target := silo(t, func(http.ResponseWriter, *http.Request) {}) // net/http answers it
	own := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", r.Method+" "+r.RequestURI)
	}))
	own.Config.DisableGeneralOptionsHandler = true
	own.Start()
	t.Cleanup(own.Close)
	for name, test := range map[string]struct {
		target func() string
		body   string
		allow  string
	}{
		"its own answer": {own.Listener.Addr().String, "", "OPTIONS *"},
		"with a body":    {own.Listener.Addr().String, "body", "OPTIONS *"},
		"its server's":   {target, "", ""},
	} {
		log := traffic.NewLog(traffic.DefaultLimit)
		edge := serve(t, proxy.Options{Silo: "eu", Target: test.target, Recording: &proxy.Recording{Log: log}})
		_, reader := dial(t, edge, fmt.Sprintf("OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(test.body), test.body))
		if got := next(t, reader); got.status != http.StatusOK || got.header.Get("Allow") != test.allow {
			t.Errorf("%s: answered %+v", name, got)
		}
		if e := ended(t, log, 1)[0]; e.Path != "*" || e.Method != http.MethodOptions || e.Status != http.StatusOK {
			t.Errorf("%s: recorded as %+v", name, e)
		}
	}
	edge := serve(t, proxy.Options{Silo: "eu", Target: target, Recording: &proxy.Recording{
		Log: traffic.NewLog(traffic.DefaultLimit), Caller: callerIs("us"), Crosses: usToEU, Blocks: func() bool { return true },
	}})
	_, reader := dial(t, edge, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := next(t, reader); got.status != http.StatusForbidden || got.header.Get(proxy.ErrorHeader) != string(proxy.Isolated) {
		t.Errorf("an isolated region is answered %+v", got)
	}
}
