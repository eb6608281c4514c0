package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"silo/api"
	"silo/client"
	"silo/proxy"
	"silo/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instance is a running one: control, us and eu, all at one server.
func instance(t *testing.T, handler http.HandlerFunc) client.Options {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return at(server.URL)
}

// at are the Options of an instance whose silos all have one address.
func at(address string) client.Options {
	bind := strings.TrimPrefix(address, "http://")
	_, port, _ := net.SplitHostPort(bind)
	number, _ := strconv.Atoi(port)
	silo := func(name string, mode state.Mode) state.Silo {
		return state.Silo{Name: name, Mode: mode, URL: address, Bind: bind, Port: number, HealthPort: number}
	}
	snapshot := &state.Snapshot{
		Provider: "local", Dialect: "dict",
		Silos: []state.Silo{silo("control", state.Control), silo("us", state.Region), silo("eu", state.Region)},
	}
	return client.Options{
		Snapshot:    func(context.Context) (*state.Snapshot, error) { return snapshot, nil },
		Secrets: func() (state.Secrets, error) { return state.Secrets{RPC: "one", Subnet: "two"}, nil },
	}
}

func us(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.Region(t.Context(), "us", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// nobody is an address that refuses connections.
func nobody(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return "http://" + listener.Addr().String()
}

func TestWhoMayCallWhom(t *testing.T) {
	t.Parallel()
	o := at("http://127.0.0.1:1")
	control, region := client.Caller{Name: "control", Mode: state.Control}, client.Caller{Name: "us", Mode: state.Region}
	monolith := client.Caller{Name: "control", Mode: state.Monolith}
	for _, c := range []struct {
		from client.Caller
		to   string
		want string // the refusal; empty: it may
	}{
		{client.Caller{}, "us", ""},
		{client.Caller{}, "control", ""},
		{control, "us", ""},
		{region, "control", ""},
		{region, "eu", "regions cannot talk to one another: us cannot call eu"},
		{region, "us", "region us cannot call itself: only control calls regions"},
		{control, "control", "control, a CONTROL, cannot call control: only regions call control"},
		{monolith, "us", "control, a MONOLITH, cannot call region us: only control calls regions"},
		{monolith, "control", "control, a MONOLITH, cannot call control: only regions call control"},
	} {
		o.From = c.from
		for how, dial := range map[string]func() (*client.Client, error){
			"Silo": func() (*client.Client, error) { return client.New(t.Context(), c.to, o) },
			"Region or Control": func() (*client.Client, error) {
				if c.to == "control" {
					return client.Control(t.Context(), o)
				}
				return client.Region(t.Context(), c.to, o)
			},
		} {
			got, err := dial()
			var refused *client.RefusedError
			if errors.As(err, &refused) != (c.want != "") || err != nil && err.Error() != c.want || err == nil && got.Name() != c.to {
				t.Errorf("%s from %v to %s: %v", how, c.from, c.to, err)
			}
		}
	}
}

func TestWhoIAm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want client.Caller
	}{
		{nil, client.Caller{}},
		{map[string]string{"SENTRY_SILO_MODE": "CONTROL"}, client.Caller{}}, // a shell of somebody who runs Sentry by hand
		{map[string]string{"SILO_NAME": "us", "SILO_INSTANCE": "mine", "SENTRY_SILO_MODE": "REGION"}, client.Caller{Name: "us", Mode: state.Region}},
		{map[string]string{"SILO_NAME": "us", "SENTRY_SILO_MODE": "CELL"}, client.Caller{Name: "us", Mode: state.Region}},
		{map[string]string{"SILO_NAME": "us"}, client.Caller{Name: "us", Mode: state.Region}},
		{map[string]string{"SILO_NAME": "control"}, client.Caller{Name: "control", Mode: state.Control}},
		{map[string]string{"SILO_NAME": "control", "SENTRY_SILO_MODE": "MONOLITH"}, client.Caller{Name: "control", Mode: state.Monolith}},
		{map[string]string{"SILO_NAME": "us", "SILO_INSTANCE": "another", "SENTRY_SILO_MODE": "REGION"}, client.Caller{}},
	} {
		env := func(name string) (string, bool) { value, ok := c.env[name]; return value, ok }
		if got := client.CallerFromEnv(env, "mine"); got != c.want {
			t.Errorf("%v: %v", c.env, got)
		}
	}
}

func TestUnknownSilos(t *testing.T) {
	t.Parallel()
	o := at("http://127.0.0.1:1")
	for _, name := range []string{"nosuch", "control", ""} { // control is no region
		_, err := client.Region(t.Context(), name, o)
		if e, ok := errors.AsType[*client.UnknownError](err); !ok || e.Name != name || len(e.Known) != 3 {
			t.Errorf("%q: %v", name, err)
		}
	}
	o.Snapshot = func(context.Context) (*state.Snapshot, error) { return nil, api.ErrNotRunning }
	if _, err := client.Control(t.Context(), o); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("nothing runs: %v", err)
	}
}

func TestRequestIsJSONInAndOut(t *testing.T) {
	t.Parallel()
	c := us(t, instance(t, func(w http.ResponseWriter, r *http.Request) {
		var in map[string]int
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept") != "*/*" {
			w.WriteHeader(http.StatusTeapot)
		}
		if r.URL.Path == "/empty" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		fmt.Fprintf(w, `{"method": %q, "uri": %q, "n": %d}`, r.Method, r.RequestURI, in["n"])
	}))
	var out struct {
		Method, URI string
		N           int
	}
	if err := c.Request(t.Context(), "put", "/api/0/x/?q=1&q=2", map[string]int{"n": 7}, &out); err != nil {
		t.Fatal(err)
	}
	if out.Method != "PUT" || out.URI != "/api/0/x/?q=1&q=2" || out.N != 7 {
		t.Errorf("got %+v", out)
	}
	if err := c.Request(t.Context(), "", "/empty", map[string]int{}, &out); err != nil || out.N != 7 {
		t.Errorf("an empty answer: %v, %+v", err, out)
	}
	if err := c.Request(t.Context(), "", "/", map[string]int{}, nil); err != nil {
		t.Errorf("an answer that nobody wants: %v", err)
	}
	var number int
	if err := c.Request(t.Context(), "", "/", map[string]int{}, &number); err == nil || !strings.Contains(err.Error(), "read the answer of us") {
		t.Errorf("an answer of another kind: %v", err)
	}
	if err := c.Request(t.Context(), "", "/", func() {}, nil); err == nil {
		t.Error("a function is no JSON")
	}
}

// ngrok asks nobody whether he means to go on who says that he does not want it.
func TestNgrokIsToldToSkipItsWarning(t *testing.T) {
	t.Parallel()
	o := instance(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Header.Get("Ngrok-Skip-Browser-Warning"))
	})
	snapshot, err := o.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ngrok := *snapshot
	ngrok.Provider = "ngrok"
	o.Snapshot = func(context.Context) (*state.Snapshot, error) { return &ngrok, nil }
	for _, direct := range []bool{false, true} {
		o.Direct = direct
		c := us(t, o)
		p := c.Proxy(0)
		recorded := httptest.NewRecorder()
		p.ServeHTTP(recorded, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		answer, err := c.Do(t.Context(), client.Request{Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if told := string(said) == "1" && recorded.Body.String() == "1"; told == direct {
			t.Errorf("direct %v: a request says %q, a proxied one %q", direct, said, recorded.Body)
		}
	}
}

func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(w, "half")
	}
	drip := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}
	answers := func(status int, name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "said")
		}
	}
	type kind string
	const host, timeout, status, tunnel kind = "host", "timeout", "status", "tunnel"
	for name, c := range map[string]struct {
		handler http.HandlerFunc // nil: nobody listens
		direct  bool
		want    kind
		says    string
	}{
		"nobody":             {nil, false, host, "us cannot be reached at http://127.0.0.1:"},
		"hangs up":           {hangUp, false, host, "EOF"},
		"half an answer":     {half, false, host, "unexpected EOF"},
		"hangs":              {hang, false, timeout, "us did not answer in time at http://127.0.0.1:"},
		"hangs in its body":  {drip, false, timeout, "us did not answer in time"},
		"404":                {answers(404, "X", "y"), false, status, "us answered 404 Not Found at http://127.0.0.1:"},
		"500":                {answers(500, "X", "y"), false, status, "us answered 500"},
		"ngrok":              {answers(404, "ngrok-error-code", "ERR_NGROK_3200"), false, tunnel, "ngrok answered in place of us at http://127.0.0.1:"},
		"silo's tunnel":      {answers(502, proxy.ErrorHeader, "down"), false, tunnel, "silo us is down (its tunnel answered 502"},
		"an unknown fault":   {answers(502, proxy.ErrorHeader, "new"), false, tunnel, "silo us gave no answer: new"},
		"no tunnel to blame": {answers(404, "ngrok-error-code", "ERR_NGROK_3200"), true, status, "us answered 404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := at(nobody(t))
			if c.handler != nil {
				o = instance(t, c.handler)
			}
			o.Direct = c.direct
			if c.want == timeout {
				o.Timeout = 50 * time.Millisecond
			}
			err := us(t, o).Request(t.Context(), "", "/x", nil, nil)
			found := map[kind]bool{}
			_, found[host] = errors.AsType[*client.HostError](err)
			_, found[timeout] = errors.AsType[*client.TimeoutError](err)
			statusErr, isStatus := errors.AsType[*client.StatusError](err)
			found[status] = isStatus && string(statusErr.Body) == "said" && statusErr.Header.Get("Date") != ""
			_, found[tunnel] = errors.AsType[*client.TunnelError](err)
			if !found[c.want] || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAWishToEndIsNoTimeout(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	c := us(t, instance(t, func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() }))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	if err := c.Request(ctx, "", "/", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The default limit is for the answer's beginning: a stream may go on behind it.
func TestLimits(t *testing.T) {
	t.Parallel()
	o := instance(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	for _, limit := range []time.Duration{0, -1} {
		o.Timeout = limit
		answer, err := us(t, o).Do(t.Context(), client.Request{Path: "/"})
		if err != nil {
			t.Fatalf("%v: %v", limit, err)
		}
		if err := answer.Body.Close(); err != nil {
			t.Errorf("%v: %v", limit, err)
		}
	}
}
