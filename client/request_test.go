package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"silo/client"
	"silo/sentry"
	"silo/state"
)

// Paths are sent as written; http.Get would escape some of these differently.
func TestPathsAreSentAsGiven(t *testing.T) {
	t.Parallel()
	c := us(t, instance(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.RequestURI) }))
	for _, path := range []string{
		"/", "/api/0/", "/a%2Fb%20c//d/", "//twice", "/?", "/x?", "/x?a=1;2&b=%zz&empty=", "/a|b\"c{}^`", "/é?é", "/x?y?z", "/a:b@c",
	} {
		answer, err := c.Do(t.Context(), client.Request{Path: path})
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := io.ReadAll(answer.Body)
		if err != nil || string(got) != path || !strings.HasPrefix(answer.URL, "http://127.0.0.1:") {
			t.Errorf("%s became %s at %s, %v", path, got, answer.URL, err)
		}
		_ = answer.Body.Close()
	}
	for name, r := range map[string]client.Request{
		"no slash": {Path: "api"}, "nothing": {}, "a URL": {Path: "http://elsewhere/"}, "a space": {Path: "/a b"}, "a line break": {Path: "/a\r\nX: y"},
		"a fragment": {Path: "/a#b"}, "a method": {Path: "/", Method: "G T"}, "a header": {Path: "/", Header: http.Header{"X": {"a\r\nB: c"}}},
		"a header name": {Path: "/", Header: http.Header{"X Y": {"a"}}},
	} {
		if _, err := c.Do(t.Context(), r); !errors.Is(err, client.ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequestHeader(t *testing.T) {
	t.Parallel()
	o := instance(t, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "header": r.Header, "length": r.ContentLength})
	})
	o.UserAgent = "tester/1"
	c := us(t, o)
	answer, err := c.Do(t.Context(), client.Request{
		Path: "/", Host: "acme.test", Body: []byte("abc"),
		Header: http.Header{"Cookie": {"a=1"}, "Content-Length": {"999"}, "connection": {"X-Mine"}, "X-Mine": {"1"}, "Te": {"trailers"}, "Content-Encoding": {"br"}, "Ngrok": {"x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var got struct {
		Host   string
		Header http.Header
		Length int64
	}
	if err := json.NewDecoder(answer.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"Cookie": "a=1", "Content-Encoding": "br", "User-Agent": "tester/1", "Accept": "*/*", "Ngrok": "x", "Content-Length": "3", "X-Mine": "", "Te": "", "Ngrok-Skip-Browser-Warning": "", "Accept-Encoding": ""}
	for name, value := range want {
		if got.Header.Get(name) != value {
			t.Errorf("%s is %q", name, got.Header.Get(name))
		}
	}
	if got.Host != "acme.test" || got.Length != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestOnlyGETFollowsRedirects(t *testing.T) {
	t.Parallel()
	c := us(t, instance(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/end":
			fmt.Fprintf(w, "%s with %d bytes, Referer %q", r.RequestURI, r.ContentLength, r.Referer())
		case "/ever":
			http.Redirect(w, r, "/ever", http.StatusFound)
		case "/|here":
			w.Header().Set("Location", "end?relative=1")
			w.WriteHeader(http.StatusFound)
		default:
			http.Redirect(w, r, "/end?x=1", http.StatusTemporaryRedirect)
		}
	}))
	for _, r := range []struct {
		method, path, want string
		status             int
	}{
		{"GET", "/", `/end?x=1 with 0 bytes, Referer ""`, 200},
		{"GET", "/|here", `/end?relative=1 with 0 bytes, Referer ""`, 200},
		{"POST", "/", "", 307},
		{"HEAD", "/", "", 307},
		{"DELETE", "/", "", 307},
	} {
		answer, err := c.Do(t.Context(), client.Request{Method: r.method, Path: r.path})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if answer.StatusCode != r.status || r.want != "" && (string(body) != r.want || !strings.Contains(answer.URL, "/end?")) {
			t.Errorf("%s %s: %d %q at %s", r.method, r.path, answer.StatusCode, body, answer.URL)
		}
	}
	if _, err := do(t.Context(), c, client.Request{Path: "/ever"}); err == nil || !strings.Contains(err.Error(), "too many redirects") {
		t.Errorf("a redirect loop: %v", err)
	}
}

func TestSignedRequests(t *testing.T) {
	t.Parallel()
	o := instance(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Authorization")+"|"+r.Header.Get("Content-Type")+"|"+r.Header.Get(sentry.HeaderSignature))
	})
	send := func(o client.Options, r client.Request) (string, error) {
		c, err := client.New(t.Context(), "control", o)
		if err != nil {
			t.Fatal(err)
		}
		body, err := do(t.Context(), c, r)
		return body, err
	}
	got, err := send(o, client.Request{Path: "/api/0/internal/rpc/a/b/?x=1", Body: []byte("{}"), Sign: sentry.SignRPC})
	if want := "Rpcsignature " + sentry.RPCSignature("one", "/api/0/internal/rpc/a/b/", []byte("{}")) + "|application/json; charset=utf-8|"; got != want || err != nil {
		t.Errorf("rpc: %q, %v", got, err)
	}
	header := http.Header{}
	header.Set(sentry.HeaderIntegration, "21")
	got, err = send(o, client.Request{Path: "/api/0/internal/integration-proxy/app?x=1", Header: header, Sign: sentry.SignSubnet})
	if want := "||" + sentry.SubnetSignature("two", "", "app?x=1", "21", nil); got != want || err != nil {
		t.Errorf("subnet: %q, %v", got, err)
	}
	if _, err = send(o, client.Request{Path: "/", Sign: sentry.SignSubnet}); !errors.Is(err, sentry.ErrUnsigned) {
		t.Errorf("without an integration: %v", err)
	}
	o.Secrets = func() (state.Secrets, error) { return state.Secrets{}, errors.New("unreadable") }
	if _, err = send(o, client.Request{Path: "/", Sign: sentry.SignRPC}); err == nil || !strings.Contains(err.Error(), "read the instance's secrets: unreadable") {
		t.Errorf("unreadable secrets: %v", err)
	}
	o.Secrets = nil
	if _, err = send(o, client.Request{Path: "/", Sign: sentry.SignRPC}); !errors.Is(err, sentry.ErrUnsigned) {
		t.Errorf("no secrets: %v", err)
	}
}

// There are no retries, neither after a broken connection nor after a 503.
func TestNoRetries(t *testing.T) {
	t.Parallel()
	var sent atomic.Int32
	c := us(t, instance(t, func(w http.ResponseWriter, r *http.Request) {
		switch sent.Add(1); r.URL.Path {
		case "/503":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/gone":
			panic(http.ErrAbortHandler)
		}
	}))
	for _, path := range []string{"/", "/gone", "/503", "/gone"} {
		sent.Store(0)
		_, _ = do(t.Context(), c, client.Request{Path: path})
		if got := sent.Load(); got != 1 {
			t.Errorf("%s was sent %d times", path, got)
		}
	}
}
