package proxy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"silo/proxy"
	"silo/traffic"
)

func TestErrorPages(t *testing.T) {
	t.Parallel()
	hang := silo(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
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
		"starting, text":       {proxy.Options{Target: closedPort(t), Starting: starting}, "*/*", 503, proxy.Starting, []string{"silo eu is starting\n", "running <migrations>"}},
		"starting, browser":    {proxy.Options{Target: closedPort(t), Starting: starting}, "text/html,*/*;q=0.8", 503, proxy.Starting, []string{"<h1>silo eu is starting", `http-equiv="refresh"`, "&lt;migrations&gt;"}},
		"starting, json":       {proxy.Options{Target: closedPort(t), Starting: starting}, "text/html;q=0.1, application/json", 503, proxy.Starting, []string{`"detail":"silo eu is starting"`, `"error":"starting"`}},
		"starting, no port":    {proxy.Options{Target: fixed(""), Starting: starting}, "", 503, proxy.Starting, []string{"silo eu is starting"}},
		"starting, hangs up":   {proxy.Options{Target: hangUp, Starting: starting}, "", 503, proxy.Starting, []string{"silo eu is starting"}},
		"down, text":           {proxy.Options{Target: closedPort(t), Starting: started}, "", 502, proxy.Down, []string{"silo eu is down\nhint: silo logs eu\n"}},
		"down, browser":        {proxy.Options{Target: closedPort(t)}, "text/html", 502, proxy.Down, []string{"<h1>silo eu is down", "<code>silo logs eu</code>"}},
		"down, no port":        {proxy.Options{Target: fixed("")}, "", 502, proxy.Down, []string{"silo eu is down"}},
		"broken":               {proxy.Options{Target: hangUp}, "", 502, proxy.Broken, []string{"silo eu closed the connection", "silo logs eu"}},
		"timeout":              {proxy.Options{Target: hang, HeaderTimeout: 20 * time.Millisecond}, "", 504, proxy.Timeout, []string{"did not answer in time"}},
		"down, vendor json":    {proxy.Options{Target: closedPort(t)}, "application/problem+json", 502, proxy.Down, []string{`"hint":"silo logs eu"`}},
		"down, unknown accept": {proxy.Options{Target: closedPort(t)}, "image/png, ;", 502, proxy.Down, []string{"silo eu is down\n"}},
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
			for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Vary": "Accept"} {
				if got := response.header.Get(name); got != want {
					t.Errorf("%s: %q", name, got)
				}
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

// A malformed body is the client's fault, not the silo's (RFC 9112, section 7.1).
func TestAMalformedBodyIs400(t *testing.T) {
	t.Parallel()
	log := traffic.NewLog(traffic.DefaultLimit)
	edge := serve(t, proxy.Options{Silo: "eu", Target: silo(t, echo), Recording: &proxy.Recording{Log: log}})
	for n, chunks := range []string{"5\r\nhello!!\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "11111111111111111\r\nhello\r\n0\r\n\r\n", "5_\r\nhello\r\n0\r\n\r\n"} {
		_, reader := dial(t, edge, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"+chunks)
		got := next(t, reader)
		if got.status != http.StatusBadRequest || got.header.Get(proxy.ErrorHeader) != "malformed" || !got.closes || !strings.Contains(got.body, "the request's body is malformed") {
			t.Errorf("%q: %+v", chunks, got)
		}
		if e := ended(t, log, n+1)[n]; e.State != traffic.Done || e.Status != http.StatusBadRequest || e.Fault == nil || *e.Fault != "malformed" {
			t.Errorf("%q: recorded %+v", chunks, e)
		}
	}
}

// If a context ended with a FaultError, the client gets an answer; if the client ended it,
// it gets none.
func TestAnEndedRequestIsAnsweredIfItsCauseIsAFault(t *testing.T) {
	t.Parallel()
	hang := silo(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	p := proxy.New(proxy.Options{Silo: "eu", Target: hang})
	defer p.Close()
	for cause, want := range map[error]int{
		&proxy.FaultError{Fault: proxy.Slow, Detail: "too slow"}: http.StatusRequestTimeout,
		context.Canceled: 0,
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		response := httptest.NewRecorder()
		aborted := func() (aborted bool) {
			defer func() { aborted = recover() != nil }()
			p.ServeHTTP(response, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
			return false
		}()
		if aborted != (want == 0) {
			t.Errorf("%v: aborted: %v", cause, aborted)
		}
		if !aborted && (response.Code != want || response.Header().Get("Connection") != "close") {
			t.Errorf("%v: %d %v", cause, response.Code, response.Header())
		}
	}
}

// After an error page that was sent before the request's body was read, the connection is
// reusable, or announced as closing.
func TestConnectionsAfterAnEarlyErrorPage(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]proxy.Options{
		"no port":           {Target: fixed("")},
		"closed port":       {Target: closedPort(t)},
		"recorded, no port": {Target: fixed(""), Recording: &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}},
		"recorded, closed":  {Target: closedPort(t), Recording: &proxy.Recording{Log: traffic.NewLog(traffic.DefaultLimit)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options.Silo = "eu"
			conn, reader := dial(t, serve(t, options), "")
			for range 3 {
				fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
				got := next(t, reader)
				if got.status != http.StatusBadGateway {
					t.Errorf("status %d", got.status)
				}
				if got.closes {
					return
				}
			}
		})
	}
}

func TestAnInvalidStatusIsBroken(t *testing.T) {
	t.Parallel()
	target := (&scriptedSilo{answers: []string{"HTTP/1.1 099 no\r\nContent-Length: 0\r\n\r\n"}, hangUp: true}).start(t)
	edge := serve(t, proxy.Options{Silo: "eu", Target: target})
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		got := do(t, newRequest(t, method, "http://"+edge, io.MultiReader(bufio.NewReader(strings.NewReader("body")))))
		if got.status != http.StatusBadGateway || got.header.Get(proxy.ErrorHeader) != string(proxy.Broken) {
			t.Errorf("%s: %d %s", method, got.status, got.header.Get(proxy.ErrorHeader))
		}
	}
}

func TestMessagesNameTheSilo(t *testing.T) {
	t.Parallel()
	seen := map[string]proxy.Fault{}
	for _, fault := range []proxy.Fault{proxy.Starting, proxy.Down, proxy.Broken, proxy.Timeout, proxy.Slow, proxy.Malformed, proxy.Isolated, proxy.Denied, "new"} {
		message := fault.Message("eu")
		if other, ok := seen[message]; ok || !strings.Contains(message, "silo eu") {
			t.Errorf("%s and %s: %q", fault, other, message)
		}
		seen[message] = fault
	}
}
