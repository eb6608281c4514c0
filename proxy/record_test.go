package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"silo/proxy"
	"silo/traffic"
	"silo/wait/waittest"
)

// ended waits until n exchanges of a log have ended, and returns all exchanges, sorted by
// ID.
func ended(t *testing.T, log *traffic.Log, n int) []traffic.Exchange {
	t.Helper()
	for {
		_, _, changed := log.Since(0, traffic.Filter{})
		list, _ := log.List(traffic.Filter{}, 0)
		done := 0
		for _, e := range list {
			if e.State != traffic.Open {
				done++
			}
		}
		if done >= n {
			return list
		}
		waittest.Receive(t, changed, fmt.Sprintf("the end of exchanges after %d of %d", done, n))
	}
}

// record sends one request through a recording Proxy and returns its exchange.
func record(t *testing.T, options proxy.Options, send func(edge string)) traffic.Exchange {
	t.Helper()
	log := traffic.NewLog(traffic.DefaultLimit)
	options.Silo, options.Recording = "eu", &proxy.Recording{Log: log}
	send(serve(t, options))
	return ended(t, log, 1)[0]
}

// exchangeText sends a request literally and reads until the connection is closed.
func exchangeText(t *testing.T, edge, request string) {
	t.Helper()
	_, reader := dial(t, edge, strings.ReplaceAll(request, "\n", "\r\n"))
	if _, err := io.Copy(io.Discard, reader); err != nil {
		t.Fatal(err)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789abcdef", traffic.BodyLimit/16+1)
	cases := map[string]struct {
		request string
		answer  http.HandlerFunc
		wrong   func(e traffic.Exchange) string // "" if the exchange is as expected
	}{
		"an unusual request is recorded unchanged": {
			"GET /a%2Fb//?q=1;2&x=%zz HTTP/1.1\nHost: front.test\nX-Forwarded-For: 6.6.6.6\nTe: trailers\nCookie: a=b\nConnection: close\n\n",
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-A", "1")
				w.WriteHeader(http.StatusTeapot)
				_, _ = io.WriteString(w, "short")
			},
			func(e traffic.Exchange) string {
				switch {
				case e.Method != "GET" || e.Host != "front.test" || e.Path != "/a%2Fb//?q=1;2&x=%zz" || e.Proto != "HTTP/1.1" || e.Silo != "eu":
					return "request line"
				case e.Request.Header.Get("X-Forwarded-For") != "6.6.6.6" || e.Request.Header.Get("Te") != "trailers" || e.Request.Header.Get("Cookie") != "a=b":
					return "the request's header"
				case e.Status != http.StatusTeapot || string(e.Response.Body) != "short" || e.Response.Bytes != 5 || e.Response.Header.Get("X-A") != "1":
					return "the response"
				case e.Request.Body != nil || e.Request.Truncated || e.Response.Truncated || e.Response.Trailer != nil:
					return "a value that was not sent"
				case *e.FirstByte <= 0 || *e.Total < *e.FirstByte || e.Started.IsZero() || e.Caller.Address == "":
					return "times and caller"
				}
				return ""
			},
		},
		"bodies and trailers": {
			"POST / HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: Sum\nConnection: close\n\n3\none\n4\n two\n0\nSum: 7\n\n",
			func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Trailer", "Total")
				body, _ := io.ReadAll(r.Body)
				_, _ = w.Write(body)
				w.Header().Set("Total", r.Trailer.Get("Sum"))
				w.Header().Set(http.TrailerPrefix+"Late", "1")
			},
			func(e traffic.Exchange) string {
				switch {
				case string(e.Request.Body) != "one two" || e.Request.Bytes != 7 || e.Request.Truncated || e.Request.Trailer.Get("Sum") != "7":
					return "the request"
				case string(e.Response.Body) != "one two" || e.Response.Trailer.Get("Total") != "7" || e.Response.Trailer.Get("Late") != "1":
					return "the response"
				case e.Response.Header.Get("Total") != "" || e.Response.Header.Get(http.TrailerPrefix+"Late") != "":
					return "trailers in the header"
				}
				return ""
			},
		},
		"long bodies": {
			fmt.Sprintf("PUT / HTTP/1.1\nHost: x\nContent-Length: %d\nConnection: close\n\n%s", len(long), long),
			func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				_, _ = w.Write(body)
			},
			func(e traffic.Exchange) string {
				for _, m := range []traffic.Message{e.Request, e.Response} {
					if string(m.Body) != long[:traffic.BodyLimit] || m.Bytes != int64(len(long)) || !m.Truncated {
						return fmt.Sprintf("%d bytes kept of %d", len(m.Body), m.Bytes)
					}
				}
				return ""
			},
		},
		"HEAD": {
			"HEAD / HTTP/1.1\nHost: x\nConnection: close\n\n",
			func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "12345") },
			func(e traffic.Exchange) string {
				if e.Response.Bytes != 0 || e.Response.Truncated || e.Response.Header.Get("Content-Length") != "12345" {
					return "a body"
				}
				return ""
			},
		},
		"early hints": {
			"GET / HTTP/1.1\nHost: x\nConnection: close\n\n",
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", "</a>")
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusAccepted)
			},
			func(e traffic.Exchange) string {
				if e.Status != http.StatusAccepted {
					return "status"
				}
				return ""
			},
		},
		"a body that the silo does not read": {
			"POST / HTTP/1.1\nHost: x\nContent-Length: 10\nConnection: close\n\n0123456789",
			func(http.ResponseWriter, *http.Request) {},
			func(e traffic.Exchange) string {
				if e.Status != 200 || e.State != traffic.Done {
					return "status"
				}
				return ""
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := record(t, proxy.Options{Target: silo(t, c.answer)}, func(edge string) { exchangeText(t, edge, c.request) })
			if wrong := c.wrong(e); wrong != "" || e.State != traffic.Done || e.Error != nil || e.Fault != nil {
				t.Errorf("%s: %+v", wrong, e)
			}
		})
	}
}

func TestRecordsErrorPages(t *testing.T) {
	t.Parallel()
	e := record(t, proxy.Options{Target: closedPort(t)}, func(edge string) {
		exchangeText(t, edge, "GET / HTTP/1.1\nHost: x\nConnection: close\n\n")
	})
	if e.State != traffic.Done || e.Status != http.StatusBadGateway || e.Fault == nil || *e.Fault != string(proxy.Down) {
		t.Errorf("got %+v", e)
	}
}

func TestRecordsATruncatedResponse(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of it")
		flush(w)
		panic(http.ErrAbortHandler)
	})
	e := record(t, proxy.Options{Target: target}, func(edge string) {
		if response, err := http.DefaultClient.Do(get(t, "http://"+edge)); err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
		}
	})
	if e.State != traffic.Broken || *e.Error != "silo eu closed the connection in the middle of its answer" || e.Status != 200 || string(e.Response.Body) != "half of it" || !e.Response.Truncated {
		t.Errorf("got %+v", e)
	}
}

func TestRecordsAClientThatDisconnects(t *testing.T) {
	t.Parallel()
	for name, begun := range map[string]bool{"before the response": false, "within the response": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{}, 1)
			target := silo(t, func(w http.ResponseWriter, r *http.Request) {
				if begun {
					flush(w)
				}
				arrived <- struct{}{}
				<-r.Context().Done()
			})
			e := record(t, proxy.Options{Target: target}, func(edge string) {
				conn, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				waittest.Receive(t, arrived, "the request")
				if begun {
					if _, err := reader.ReadByte(); err != nil {
						t.Error(err)
					}
				}
				_ = conn.Close()
			})
			if e.State != traffic.Broken || *e.Error != "the client disconnected" || (e.Status == 200) != begun {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestRecordsAnHTTP2ClientThatResetsItsUpload(t *testing.T) {
	t.Parallel()
	for range 20 {
		arrived := make(chan struct{}, 1)
		target := silo(t, func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadFull(r.Body, make([]byte, len("some")))
			arrived <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
		})
		e := record(t, proxy.Options{Target: target}, func(edge string) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			body, sender := io.Pipe()
			request := newRequest(t, http.MethodPost, "http://"+edge, body).WithContext(ctx)
			done := make(chan struct{})
			go func() {
				defer close(done)
				if response, err := clientSpeaking(t, protocols(false, true)).Do(request); err == nil {
					_ = response.Body.Close()
				}
			}()
			_, _ = io.WriteString(sender, "some")
			waittest.Receive(t, arrived, "the request")
			cancel()
			waittest.Receive(t, done, "the client's end")
			_ = sender.Close()
		})
		if e.State != traffic.Broken || *e.Error != "the client disconnected" || e.Status != 0 || string(e.Request.Body) != "some" || !e.Request.Truncated {
			t.Fatalf("got %+v", e)
		}
	}
}

// Recording a stream does not delay it.
func TestRecordsAStream(t *testing.T) {
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
	e := record(t, proxy.Options{Target: target}, func(edge string) {
		response, err := http.DefaultClient.Do(get(t, "http://"+edge))
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(response.Body)
		for _, event := range []string{"one", "two"} {
			next <- event
			if line, err := lines.ReadString('\n'); err != nil || line != "data: "+event+"\n" {
				t.Fatalf("got %q, %v", line, err)
			}
			_, _ = lines.ReadString('\n')
		}
		close(next)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	})
	if e.State != traffic.Done || string(e.Response.Body) != "data: one\n\ndata: two\n\n" {
		t.Errorf("got %+v", e)
	}
}

func TestRecordsAnUpgrade(t *testing.T) {
	t.Parallel()
	e := record(t, proxy.Options{Target: silo(t, echoUpgrade)}, func(edge string) {
		conn, reader := dialUpgraded(t, edge)
		fmt.Fprintln(conn, "hello")
		if line, err := reader.ReadString('\n'); err != nil || line != "hello\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		_ = conn.Close()
	})
	if e.State != traffic.Done || e.Status != http.StatusSwitchingProtocols || e.Request.Bytes != 6 || e.Response.Bytes != 6 ||
		e.Response.Body != nil || e.Response.Header.Get("Upgrade") != "websocket" {
		t.Errorf("got %+v", e)
	}
}

func TestRecordsTheEndOfATunnel(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	target := silo(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	log := traffic.NewLog(traffic.DefaultLimit)
	p := proxy.New(proxy.Options{Silo: "eu", Target: target, Recording: &proxy.Recording{Log: log}})
	defer p.Close()
	edge, stop := serveHandler(t, p, nil)
	dial(t, edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	waittest.Receive(t, arrived, "the request")
	if open, _ := log.List(traffic.Filter{}, 0); len(open) != 1 || open[0].State != traffic.Open {
		t.Errorf("got %+v", open)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if e := ended(t, log, 1)[0]; e.State != traffic.Broken || *e.Error != "the tunnel was closed" {
		t.Errorf("got %+v", e)
	}
}

// A panic is silo's own fault, and the record does not blame the silo.
func TestRecordsAPanic(t *testing.T) {
	t.Parallel()
	log := traffic.NewLog(traffic.DefaultLimit)
	p := proxy.New(proxy.Options{
		Silo: "eu", Target: closedPort(t), Recording: &proxy.Recording{Log: log},
		Starting: func() (string, bool) { panic("a bug") },
	})
	defer p.Close()
	logged := make(chan string, 1)
	edge, _ := serveHandler(t, p, func(text string) { logged <- text })
	_, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, err := reader.ReadByte(); err == nil {
		t.Errorf("the client received %q", b)
	}
	if text := waittest.Receive(t, logged, "a log message"); !strings.Contains(text, "a bug") || !strings.Contains(text, "record_test.go") {
		t.Errorf("logged %s", text)
	}
	if e := ended(t, log, 1)[0]; e.State != traffic.Broken || *e.Error != "silo's proxy failed; the stack trace is in its log" {
		t.Errorf("got %+v", e)
	}
}

// callerIs returns a lookup that finds the same silo for all connections.
func callerIs(name string) func(net.Addr, net.Addr) traffic.Caller {
	pid := 4711
	return func(net.Addr, net.Addr) traffic.Caller { return traffic.Caller{Silo: &name, PID: &pid} }
}

func TestCallers(t *testing.T) {
	t.Parallel()
	hops := "GET / HTTP/1.1\nHost: x\nX-Forwarded-For: 9.9.9.9, 8.8.8.8\nConnection: close\n\n"
	cases := map[string]struct {
		trusted bool
		record  proxy.Recording
		want    func(e traffic.Exchange) bool
	}{
		"a silo": {false, proxy.Recording{Caller: callerIs("us")}, func(e traffic.Exchange) bool {
			return e.Caller.Name() == "us" && *e.Caller.PID == 4711 && strings.HasPrefix(e.Caller.Address, "127.0.0.1:") && !e.Crossing
		}},
		"no lookup": {false, proxy.Recording{}, func(e traffic.Exchange) bool {
			return e.Caller.Name() == "outside" && strings.HasPrefix(e.Caller.Address, "127.0.0.1:")
		}},
		"a trusted tunnel service": {true, proxy.Recording{Caller: callerIs("us")}, func(e traffic.Exchange) bool {
			return e.Caller.Name() == "outside" && e.Caller.Address == "9.9.9.9"
		}},
		"crossing": {false, proxy.Recording{Caller: callerIs("us"), Crosses: usToEU}, func(e traffic.Exchange) bool {
			return e.Crossing && !e.Blocked && e.Status == 200
		}},
		"blocked": {false, proxy.Recording{Caller: callerIs("us"), Crosses: usToEU, Blocks: func() bool { return true }}, func(e traffic.Exchange) bool {
			return e.Crossing && e.Blocked && e.Status == 403 && *e.Fault == string(proxy.Isolated) &&
				strings.Contains(string(e.Response.Body), "region us may not call region eu")
		}},
		"not blocked": {false, proxy.Recording{Caller: callerIs("control"), Crosses: usToEU, Blocks: func() bool { return true }}, func(e traffic.Exchange) bool {
			return !e.Crossing && !e.Blocked && e.Status == 200
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := make(chan struct{}, 1)
			target := silo(t, func(http.ResponseWriter, *http.Request) { asked <- struct{}{} })
			c.record.Log = traffic.NewLog(traffic.DefaultLimit)
			edge := serve(t, proxy.Options{Silo: "eu", Target: target, TrustForwarded: c.trusted, Recording: &c.record})
			exchangeText(t, edge, hops)
			e := ended(t, c.record.Log, 1)[0]
			if !c.want(e) {
				t.Errorf("got %+v", e)
			}
			if (len(asked) == 0) != e.Blocked {
				t.Errorf("blocked: %v, and the silo received %d requests", e.Blocked, len(asked))
			}
		})
	}
}

func usToEU(from, to string) bool { return from == "us" && to == "eu" }

// The lookup delays no request, and runs once per connection.
func TestCallersAreLookedUpConcurrently(t *testing.T) {
	t.Parallel()
	found, lookups := make(chan struct{}), make(chan struct{}, 9)
	record := &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit), Caller: func(net.Addr, net.Addr) traffic.Caller {
		lookups <- struct{}{}
		<-found
		return callerIs("us")(nil, nil)
	}}
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, func(http.ResponseWriter, *http.Request) {}), Recording: record})
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for range 3 {
		response, err := client.Do(get(t, "http://"+edge))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	for _, e := range ended(t, record.Log, 0) {
		if e.State != traffic.Open || e.Caller.Silo != nil {
			t.Errorf("got %+v", e)
		}
	}
	close(found)
	for _, e := range ended(t, record.Log, 3) {
		if e.Caller.Name() != "us" || e.Status != 200 {
			t.Errorf("got %+v", e)
		}
	}
	if len(lookups) != 1 {
		t.Errorf("looked up %d times", len(lookups))
	}
}

// An open exchange shows its caller and how a stream begins.
// A client that has its response may disconnect at once, so the response waits until its
// caller is known.
func TestResponsesWaitForTheirCaller(t *testing.T) {
	t.Parallel()
	log, found := traffic.NewLog(traffic.DefaultLimit), make(chan struct{})
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, echo), Recording: &proxy.Recording{
		Log: log, CallerDelay: waittest.Limit,
		Caller: func(net.Addr, net.Addr) traffic.Caller { <-found; return callerIs("us")(nil, nil) },
	}})
	conn, reader := dial(t, edge, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := reader.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v before the caller was known", n, err)
	}
	close(found)
	if e := ended(t, log, 1)[0]; e.Caller.Silo == nil || *e.Caller.Silo != "us" {
		t.Errorf("caller %+v", e.Caller)
	}
}

func TestOpenExchangesAreVisible(t *testing.T) {
	t.Parallel()
	found, release := make(chan struct{}), make(chan struct{})
	record := &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit), Caller: func(net.Addr, net.Addr) traffic.Caller {
		<-found
		return callerIs("us")(nil, nil)
	}}
	edge := serve(t, proxy.Options{Silo: "eu", Recording: record, Target: silo(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		flush(w)
		<-release
	})})
	response, err := http.DefaultClient.Do(get(t, "http://"+edge))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	e, _ := record.Log.Get(1)
	if e.State != traffic.Open || e.Status != 200 || e.FirstByte == nil || e.Response.Header.Get("Content-Type") == "" || e.Caller.Silo != nil {
		t.Errorf("got %+v", e)
	}
	_, version := record.Log.List(traffic.Filter{}, 0)
	_, _, changed := record.Log.Since(version, traffic.Filter{})
	close(found)
	waittest.Receive(t, changed, "the caller")
	if e, _ = record.Log.Get(1); e.State != traffic.Open || e.Caller.Name() != "us" || e.Status != 200 {
		t.Errorf("got %+v", e)
	}
	close(release)
	_, _ = io.Copy(io.Discard, response.Body)
	if e := ended(t, record.Log, 1)[0]; e.Caller.Name() != "us" || e.State != traffic.Done {
		t.Errorf("got %+v", e)
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s %s %s %s", r.Method, r.RequestURI, r.Host, r.Header.Get("Authorization"), body, r.Trailer.Get("Sum"))
	})
	record := &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit), Caller: callerIs("us"), Crosses: usToEU, Blocks: func() bool { return false }}
	p := proxy.New(proxy.Options{Silo: "eu", Target: target, Recording: record})
	t.Cleanup(p.Close)
	for name, request := range map[string]string{
		"plain":    "POST /a%2Fb?x=1;2 HTTP/1.1\nHost: front.test\nAuthorization: secret\nContent-Length: 7\nConnection: close\n\none two",
		"trailers": "POST /t HTTP/1.1\nHost: x\nTransfer-Encoding: chunked\nTrailer: Sum\nConnection: close\n\n3\none\n0\nSum: 7\n\n",
		"bodyless": "GET / HTTP/1.1\nHost: x\nConnection: close\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			log := traffic.NewLog(traffic.DefaultLimit)
			exchangeText(t, serve(t, proxy.Options{Silo: "eu", Target: target, Recording: &proxy.Recording{Log: log}}), request)
			first := ended(t, log, 1)[0]
			me := "me"
			again, err := p.Replay(t.Context(), first, traffic.Caller{Program: &me})
			if err != nil {
				t.Fatal(err)
			}
			if again.ReplayOf == nil || *again.ReplayOf != first.ID || again.Caller.Name() != "me" || again.Crossing || again.State != traffic.Done {
				t.Errorf("got %+v", again)
			}
			if !bytes.Equal(again.Response.Body, first.Response.Body) || len(first.Response.Body) == 0 {
				t.Errorf("first %q, then %q", first.Response.Body, again.Response.Body)
			}
			if kept, _ := record.Log.Get(again.ID); kept.State != traffic.Done {
				t.Errorf("kept is %+v", kept)
			}
		})
	}
	if _, err := proxy.New(proxy.Options{Target: target}).Replay(t.Context(), traffic.Exchange{}, traffic.Caller{}); err == nil {
		t.Error("Replay succeeded without a recording")
	}
}

func TestAReplayEndsWithItsContext(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	target := silo(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	p := proxy.New(proxy.Options{Silo: "eu", Target: target, Recording: &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}})
	defer p.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan traffic.Exchange, 1)
	go func() {
		again, err := p.Replay(ctx, traffic.Exchange{ID: 7, Method: "GET", Path: "/"}, traffic.Caller{})
		if err != nil {
			t.Error(err)
		}
		done <- again
	}()
	waittest.Receive(t, arrived, "the request")
	cancel()
	if again := waittest.Receive(t, done, "the replay's end"); again.State != traffic.Broken {
		t.Errorf("got %+v", again)
	}
}

func TestAReplayOfATruncatedResponseIsBroken(t *testing.T) {
	t.Parallel()
	s := &scriptedSilo{answers: []string{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"}, hangUp: true}
	p := proxy.New(proxy.Options{Silo: "eu", Target: s.start(t), Recording: &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}})
	defer p.Close()
	again, err := p.Replay(t.Context(), traffic.Exchange{ID: 7, Method: "GET", Path: "/", Proto: "HTTP/1.1"}, traffic.Caller{})
	if err != nil || again.State != traffic.Broken || string(again.Response.Body) != "abc" || !again.Response.Truncated {
		t.Errorf("got %+v, %v", again, err)
	}
}

// All bytes of a body are counted, and its beginning is kept.
func TestCountsBytes(t *testing.T) {
	t.Parallel()
	recording := &proxy.Recording{}
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if size := r.Header.Get("X-Size"); size != "" {
			w.Header().Set("Content-Length", size)
		}
		_, _ = io.Copy(w, r.Body)
	})
	edge := serve(t, proxy.Options{Silo: "eu", Target: target, Recording: recording})
	rapid.Check(t, func(rt *rapid.T) {
		recording.Log = traffic.NewLog(traffic.DefaultLimit)
		sent := make([]byte, rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(traffic.BodyLimit-2, traffic.BodyLimit+2), rapid.IntRange(0, 1<<20)).Draw(rt, "size"))
		_, _ = rand.Read(sent)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+edge, bytes.NewReader(sent))
		if err != nil {
			rt.Fatal(err)
		}
		if rapid.Bool().Draw(rt, "chunked") {
			request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(sent)), -1
		} else if rapid.Bool().Draw(rt, "declared") {
			request.Header.Set("X-Size", fmt.Sprint(len(sent)))
		}
		got := do(t, request).body
		e := ended(t, recording.Log, 1)[0]
		kept := sent[:min(len(sent), traffic.BodyLimit)]
		for _, m := range []traffic.Message{e.Request, e.Response} {
			if m.Bytes != int64(len(sent)) || !bytes.Equal(m.Body, kept) || m.Truncated != (len(sent) > len(kept)) || got != string(sent) {
				rt.Fatalf("sent %d bytes, received %d, counted %d, kept %d, truncated %v", len(sent), len(got), m.Bytes, len(m.Body), m.Truncated)
			}
		}
	})
}
