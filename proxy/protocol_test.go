package proxy_test

import (
	"bufio"
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

// spoken is a client or a server's choice of protocols.
func spoken(http1, http2 bool) *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(http1)
	p.SetUnencryptedHTTP2(http2)
	return p
}

// speaking is a silo that speaks what protocols say.
func speaking(t *testing.T, protocols *http.Protocols, handler http.HandlerFunc) func() string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.Protocols = protocols
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String
}

// client speaks what protocols say.
func client(t *testing.T, protocols *http.Protocols) *http.Client {
	t.Helper()
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// Each request carries a trailer and gets one back, with whatever each side speaks.
func TestProtocolsOfBothSides(t *testing.T) {
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
		{"1 to 1", spoken(true, false), spoken(true, false), "HTTP/1.1"},
		{"2 to 1", spoken(false, true), spoken(true, false), "HTTP/1.1"},
		{"1 to 2", spoken(true, false), spoken(false, true), "HTTP/2.0"},
		{"2 to 2", spoken(false, true), spoken(false, true), "HTTP/2.0"},
		{"2 to either", spoken(false, true), spoken(true, true), "HTTP/1.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			edge := serve(t, proxy.Options{Silo: "eu", Target: speaking(t, c.silo, both)})
			by := client(t, c.client)
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

// gRPC posts, and there is nothing else that it can be spoken in.
func TestGRPCIsHTTP2AtOnce(t *testing.T) {
	t.Parallel()
	target := speaking(t, spoken(true, true), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grpc-Status", "0")
		fmt.Fprintf(w, "%s %s", r.Proto, r.Header.Get("Te"))
	})
	request := get(t, "http://"+serve(t, proxy.Options{Target: target}))
	request.Method, request.Body, request.ContentLength = "POST", io.NopCloser(strings.NewReader("message")), -1
	request.Header.Set("Content-Type", "application/grpc")
	request.Header.Set("Te", "trailers")
	response, err := client(t, spoken(false, true)).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil || string(body) != "HTTP/2.0 trailers" {
		t.Errorf("%q, %v", body, err)
	}
}

// raw sends text as it stands and reads answers from the same connection.
func raw(t *testing.T, edge, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", edge)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, text)
	return conn, bufio.NewReader(conn)
}

// next reads one answer to its end.
func next(t *testing.T, reader *bufio.Reader) reply {
	t.Helper()
	response, err := http.ReadResponse(reader, nil)
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

func TestHopByHopFieldsStayOnTheirHop(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		seen := make([]string, 0, len(r.Header))
		for name, values := range r.Header {
			seen = append(seen, name+"="+strings.Join(values, "+"))
		}
		slices.Sort(seen)
		header := w.Header()
		header["Seen"] = []string{strings.Join(seen, " ")}
		header["Connection"], header["X-Mine"] = []string{"X-Mine"}, []string{"1"}
		header["Keep-Alive"], header["Proxy-Authenticate"], header["X-Kept"] = []string{"timeout=9"}, []string{"Basic"}, []string{"1"}
	})
	const about = `Forwarded=for=127.0.0.1;host="x";proto=http X-Forwarded-For=127.0.0.1 X-Forwarded-Host=x X-Forwarded-Proto=http`
	edge := serve(t, proxy.Options{Target: target})
	for name, c := range map[string]struct{ sent, want string }{
		"none":            {"", about},
		"named":           {"Connection: close, X-Secret , Cookie\r\nX-Secret: 1\r\nCookie: a=b\r\nX-Other: 2\r\n", about + " X-Other=2"},
		"known":           {"Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nTE: gzip\r\n", about},
		"TE trailers":     {"TE: trailers, gzip;q=0.5\r\nConnection: TE\r\n", strings.Replace(about, " X-", " Te=trailers X-", 1)},
		"spoofed":         {"Connection: X-Forwarded-For, Forwarded\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n", about},
		"half an upgrade": {"Upgrade: websocket\r\n", about},
		"h2c":             {"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n", about},
		"end to end":      {"Authorization: Basic eA==\r\nCookie: a=b\r\nUser-Agent: curl/1\r\n", "Authorization=Basic eA== Cookie=a=b " + strings.Replace(about, " X-", " User-Agent=curl/1 X-", 1)},
	} {
		_, reader := raw(t, edge, "GET / HTTP/1.1\r\nHost: x\r\n"+c.sent+"\r\n")
		response := next(t, reader)
		if got := response.header.Get("Seen"); got != c.want {
			t.Errorf("%s: the silo saw\n%s\nnot\n%s", name, got, c.want)
		}
		if h := response.header; h.Get("X-Mine") != "" || h.Get("Keep-Alive") != "" || h.Get("Proxy-Authenticate") != "" || h.Get("X-Kept") != "1" {
			t.Errorf("%s: the client saw %v", name, h)
		}
	}
}

// A silo that takes a body says 100 itself, and one that refuses it is not
// forestalled.
func TestContinueIsTheSilosToSay(t *testing.T) {
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

	_, reader := raw(t, edge, "POST /refuse"+head)
	if response := next(t, reader); response.status != http.StatusRequestEntityTooLarge {
		t.Errorf("refused: %v", response)
	}
	conn, reader := raw(t, edge, "POST /take"+head)
	if response := next(t, reader); response.status != http.StatusContinue {
		t.Fatalf("taken: %v", response)
	}
	_, _ = io.WriteString(conn, "body")
	if response := next(t, reader); response.body != "body" {
		t.Errorf("%v", response)
	}
}

func TestEarlyHintsPass(t *testing.T) {
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
	_, reader := raw(t, edge, "GET / HTTP/1.0\r\n\r\n")
	if response := next(t, reader); response.status != http.StatusOK {
		t.Errorf("HTTP/1.0: %v", response)
	}
}

// Each side of an upgraded connection may end alone.
func TestAnUpgradedConnectionMayBeHalfClosed(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, both, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		fmt.Fprint(both, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
		_ = both.Flush()
		all, _ := io.ReadAll(both) // to the client's end
		fmt.Fprintf(both, "%d bytes", len(all))
		_ = both.Flush()
	})
	conn, reader := upgraded(t, serve(t, proxy.Options{Target: target}))
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "12345")
	if half, ok := conn.(*net.TCPConn); !ok || half.CloseWrite() != nil {
		t.Fatal("cannot be half-closed")
	}
	if all, err := io.ReadAll(reader); err != nil || string(all) != "hello 5 bytes" {
		t.Errorf("got %q, %v", all, err)
	}
}

func TestAnUpgradeToSomethingElseIsNone(t *testing.T) {
	t.Parallel()
	target := (&script{answers: []string{"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n"}}).play(t)
	_, reader := raw(t, serve(t, proxy.Options{Silo: "eu", Target: target}), "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
	if response := next(t, reader); response.status != http.StatusBadGateway {
		t.Errorf("%v", response)
	}
}

// What is asked of a server as a whole (RFC 9110, section 9.3.7) is asked of the silo,
// recorded, and kept from who is kept apart.
func TestOptionsOfAllReachTheSilo(t *testing.T) {
	t.Parallel()
	target := silo(t, func(http.ResponseWriter, *http.Request) {}) // which net/http answers itself
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
		_, reader := raw(t, edge, fmt.Sprintf("OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(test.body), test.body))
		if got := next(t, reader); got.status != http.StatusOK || got.header.Get("Allow") != test.allow {
			t.Errorf("%s: answered %+v", name, got)
		}
		if e := ended(t, log, 1)[0]; e.Path != "*" || e.Method != http.MethodOptions || e.Status != http.StatusOK {
			t.Errorf("%s: recorded as %+v", name, e)
		}
	}
	edge := serve(t, proxy.Options{Silo: "eu", Target: target, Recording: &proxy.Recording{
		Log: traffic.NewLog(traffic.DefaultLimit), Caller: caller("us"), Crosses: crossing, Blocks: yes,
	}})
	_, reader := raw(t, edge, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
	if got := next(t, reader); got.status != http.StatusForbidden || got.header.Get(proxy.ErrorHeader) != string(proxy.Isolated) {
		t.Errorf("a region that is kept apart is answered %+v", got)
	}
}
