package proxy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"silo/proxy"
)

// gateway serves a Proxy with rules and returns its address.
func gateway(t *testing.T, rules proxy.Gateway) string {
	t.Helper()
	return "http://" + serve(t, proxy.Options{Silo: "eu", Once: true, Rules: &rules})
}

func TestRulesHaveTheLastWord(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Back", "silo")
		fmt.Fprint(w, r.Host+"|"+r.RequestURI+"|"+r.Header.Get("There")+"|"+r.Header.Get("X-Forwarded-For")+"|"+r.Header.Get("Connection"))
	})
	edge := gateway(t, proxy.Gateway{
		Route: func(r *http.Request) (*url.URL, error) {
			if r.URL.Path == "/nowhere" {
				return nil, errors.New("no way")
			}
			return &url.URL{Scheme: "http", Host: target()}, nil
		},
		Request:  func(out, in *http.Request) { out.Header.Set("There", in.Method) },
		Response: func(r *http.Response) error { r.Header.Set("Back", "rules"); return nil },
		Statuses: map[proxy.Fault]int{proxy.Broken: http.StatusTeapot},
	})
	request := get(t, edge+"/a?b;c")
	request.Header.Set("X-Forwarded-For", "1.2.3.4")
	response := do(t, request)
	if want := target() + "|/a?b;c|GET|1.2.3.4|close"; response.body != want || response.header.Get("Back") != "rules" {
		t.Errorf("got %s, back %q", response.body, response.header.Get("Back"))
	}
	response = do(t, get(t, edge+"/nowhere"))
	if response.status != http.StatusTeapot || response.header.Get(proxy.ErrorHeader) != string(proxy.Broken) {
		t.Errorf("nowhere: %d, %v", response.status, response.header)
	}
}

func TestRulesMayRefuseAnAnswer(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
	edge := gateway(t, proxy.Gateway{
		Route: func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "http", Host: target()}, nil },
		Response: func(*http.Response) error {
			return fmt.Errorf("wrapped: %w", &proxy.FaultError{Fault: proxy.Down, Detail: "not for you", Hint: "silo help"})
		},
	})
	response := do(t, get(t, edge))
	if response.status != http.StatusBadGateway || response.body != "not for you\nhint: silo help\n" {
		t.Errorf("%d %q", response.status, response.body)
	}
}

// A context that a FaultError has ended is answered; one that its client has, is not.
func TestAnEndedRequestIsAnsweredWhereSomebodyWaits(t *testing.T) {
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
		recorded := httptest.NewRecorder()
		func() {
			defer func() {
				if recover() != nil && want != 0 {
					t.Errorf("%v: aborted", cause)
				}
			}()
			p.ServeHTTP(recorded, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil))
			if recorded.Code != want || recorded.Header().Get("Connection") != "close" {
				t.Errorf("%v: %d %v", cause, recorded.Code, recorded.Header())
			}
		}()
	}
}

func TestTrailersOfARequestPass(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, r.Trailer.Get("Sum"))
	})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+serve(t, proxy.Options{Target: target}), struct{ io.Reader }{strings.NewReader("body")})
	if err != nil {
		t.Fatal(err)
	}
	request.Trailer = http.Header{"Sum": {"4"}}
	if got := do(t, request).body; got != "4" {
		t.Errorf("the silo sees trailer %q", got)
	}
}
