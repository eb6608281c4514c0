package proxy_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"silo/proxy"
)

// serveGateway starts a gateway and returns its URL.
func serveGateway(t *testing.T, gateway proxy.Gateway) string {
	t.Helper()
	return "http://" + serve(t, proxy.Options{Silo: "eu", Gateway: &gateway})
}

func TestGatewayDecides(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Back", "silo")
		fmt.Fprint(w, r.Host+"|"+r.RequestURI+"|"+r.Header.Get("There")+"|"+r.Header.Get("X-Forwarded-For")+"|"+r.Header.Get("Connection"))
	})
	edge := serveGateway(t, proxy.Gateway{
		Target: func(r *http.Request) (*url.URL, error) {
			if r.URL.Path == "/nowhere" {
				return nil, errors.New("no way")
			}
			return &url.URL{Scheme: "http", Host: target()}, nil
		},
		Rewrite:        func(out *http.Request) { out.Header.Set("There", out.Method) },
		ModifyResponse: func(r *http.Response) error { r.Header.Set("Back", "gateway"); return nil },
		Statuses:       map[proxy.Fault]int{proxy.Broken: http.StatusTeapot},
	})
	request := get(t, edge+"/a?b;c")
	request.Header.Set("X-Forwarded-For", "1.2.3.4")
	response := do(t, request)
	if want := target() + "|/a?b;c|GET|1.2.3.4|close"; response.body != want || response.header.Get("Back") != "gateway" {
		t.Errorf("got %s, back %q", response.body, response.header.Get("Back"))
	}
	response = do(t, get(t, edge+"/nowhere"))
	if response.status != http.StatusTeapot || response.header.Get(proxy.ErrorHeader) != string(proxy.Broken) {
		t.Errorf("nowhere: %d, %v", response.status, response.header)
	}
}

func TestGatewayMayRefuseAResponse(t *testing.T) {
	t.Parallel()
	target := silo(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "secret") })
	edge := serveGateway(t, proxy.Gateway{
		Target:  func(*http.Request) (*url.URL, error) { return &url.URL{Scheme: "http", Host: target()}, nil },
		Rewrite: func(*http.Request) {},
		ModifyResponse: func(*http.Response) error {
			return fmt.Errorf("wrapped: %w", &proxy.FaultError{Fault: proxy.Down, Detail: "not for you", Hint: "silo help"})
		},
	})
	response := do(t, get(t, edge))
	if response.status != http.StatusBadGateway || response.body != "not for you\nhint: silo help\n" {
		t.Errorf("%d %q", response.status, response.body)
	}
}

func TestForwardsRequestTrailers(t *testing.T) {
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
