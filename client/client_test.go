package client_test

import (
	"context"
	"errors"
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

// instance is a running instance with control, us and eu, all on one server.
func instance(t *testing.T, handler http.HandlerFunc) client.Options {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return at(server.URL)
}

// at returns the Options of an instance whose silos all have one address.
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
		Snapshot: func(context.Context) (*state.Snapshot, error) { return snapshot, nil },
		Secrets:  func() (state.Secrets, error) { return state.Secrets{RPC: "one", Subnet: "two"}, nil },
	}
}

// us returns a client for region us.
func us(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	c, err := client.New(t.Context(), "us", o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// do makes a request and returns the whole body.
func do(ctx context.Context, c *client.Client, r client.Request) (body string, err error) {
	answer, err := c.Do(ctx, r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// closedAddress returns an address that refuses connections.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return "http://" + listener.Addr().String()
}

func TestAllowedCalls(t *testing.T) {
	t.Parallel()
	o := at("http://127.0.0.1:1")
	control, region := client.Caller{Name: "control", Mode: state.Control}, client.Caller{Name: "us", Mode: state.Region}
	monolith := client.Caller{Name: "control", Mode: state.Monolith}
	for _, c := range []struct {
		from client.Caller
		to   string
		want string // text of the refusal; empty: allowed
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
		got, err := client.New(t.Context(), c.to, o)
		var refused *client.RefusedError
		if errors.As(err, &refused) != (c.want != "") || err != nil && err.Error() != c.want || err == nil && got.Name() != c.to {
			t.Errorf("from %v to %s: %v", c.from, c.to, err)
		}
	}
}

func TestCallerFromEnv(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		env  map[string]string
		want client.Caller
	}{
		{nil, client.Caller{}},
		{map[string]string{"SENTRY_SILO_MODE": "CONTROL"}, client.Caller{}}, // a user runs Sentry without silo
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
	for _, name := range []string{"nosuch", ""} {
		_, err := client.New(t.Context(), name, o)
		if e, ok := errors.AsType[*client.UnknownError](err); !ok || e.Name != name || len(e.Known) != 3 {
			t.Errorf("%q: %v", name, err)
		}
	}
	o.Snapshot = func(context.Context) (*state.Snapshot, error) { return nil, api.ErrNotRunning }
	if _, err := client.New(t.Context(), "control", o); !errors.Is(err, api.ErrNotRunning) {
		t.Errorf("nothing is running: %v", err)
	}
}

func TestNgrokWarningIsSkipped(t *testing.T) {
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
		body, err := do(t.Context(), c, client.Request{Path: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if skipped := body == "1" && recorded.Body.String() == "1"; skipped == direct {
			t.Errorf("direct %v: a request has %q, a proxied one %q", direct, body, recorded.Body)
		}
	}
}

func TestErrors(t *testing.T) {
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
			_, _ = io.WriteString(w, "body")
		}
	}
	type kind string
	const host, timeout, tunnel, none kind = "host", "timeout", "tunnel", ""
	for name, c := range map[string]struct {
		handler http.HandlerFunc // nil: no listener
		direct  bool
		want    kind
		text    string
	}{
		"no listener":       {nil, false, host, "us cannot be reached at http://127.0.0.1:"},
		"closes":            {hangUp, false, host, "EOF"},
		"half an answer":    {half, false, host, "unexpected EOF"},
		"hangs":             {hang, false, timeout, "us did not answer in time at http://127.0.0.1:"},
		"hangs in the body": {drip, false, timeout, "us did not answer in time"},
		"404":               {answers(404, "X", "y"), false, none, ""},
		"ngrok":             {answers(404, "ngrok-error-code", "ERR_NGROK_3200"), false, tunnel, "ngrok answered instead of us at http://127.0.0.1:"},
		"silo's tunnel":     {answers(502, proxy.ErrorHeader, "down"), false, tunnel, "silo us is down (its tunnel answered 502"},
		"an unknown fault":  {answers(502, proxy.ErrorHeader, "new"), false, tunnel, "silo us did not answer: new"},
		"direct, no tunnel": {answers(404, "ngrok-error-code", "ERR_NGROK_3200"), true, none, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := at(closedAddress(t))
			if c.handler != nil {
				o = instance(t, c.handler)
			}
			o.Direct = c.direct
			if c.want == timeout {
				o.Timeout = 50 * time.Millisecond
			}
			_, err := do(t.Context(), us(t, o), client.Request{Path: "/x"})
			found := map[kind]bool{none: err == nil}
			_, found[host] = errors.AsType[*client.HostError](err)
			_, found[timeout] = errors.AsType[*client.TimeoutError](err)
			_, found[tunnel] = errors.AsType[*client.TunnelError](err)
			if !found[c.want] || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestCancellationIsNotATimeout(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	c := us(t, instance(t, func(_ http.ResponseWriter, r *http.Request) { close(arrived); <-r.Context().Done() }))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		select {
		case <-arrived:
		case <-t.Context().Done():
		}
		cancel()
	}()
	if _, err := do(ctx, c, client.Request{Path: "/"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The default timeout is for the header: a stream may continue after it.
func TestDefaultTimeoutAllowsStreams(t *testing.T) {
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
