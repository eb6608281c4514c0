package devserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestCalls makes calls between three silos at their addresses.
func TestCalls(t *testing.T) {
	t.Parallel()
	// The addresses are known only once the silos listen, so the config changes while they run.
	dir := conf(t, regionConfig("1", "1", "1"))
	silos := map[string]*silo{
		"control": ready(t, asControl(dir)),
		"us-west": ready(t, asRegion(dir, "us-west")),
		"eu":      ready(t, asRegion(dir, "eu")),
	}
	rewrite(t, dir, regionConfig(silos["control"].port, silos["us-west"].port, silos["eu"].port))
	for _, s := range silos {
		s.reloaded()
	}
	for _, c := range []struct {
		from, to string
		status   int
		detail   string
	}{
		{"control", "us-west", 200, ""},
		{"control", "eu", 200, ""},
		{"us-west", "control", 200, ""},
		{"eu", "control", 200, ""},
		{"control", "control", 403, "Cannot invoke ControlSiloClient from CONTROL. Only available in: REGION"},
		{"eu", "us-west", 403, "Cannot invoke RegionSiloClient from REGION. Only available in: CONTROL"},
		{"eu", "eu", 403, "Cannot invoke RegionSiloClient from REGION. Only available in: CONTROL"},
		{"eu", "asia", 403, "Cannot invoke RegionSiloClient from REGION. Only available in: CONTROL"},
		{"control", "asia", 404, "No region with name: 'asia' (expected one of ['us-west'] or a single-tenant name)"},
	} {
		got := silos[c.from].get("/call/" + c.to + "?path=/whoami")
		e := decode[call](t, got.body)
		if got.status != c.status || e.Detail != c.detail {
			t.Errorf("%s to %s: %d %s", c.from, c.to, got.status, got.body)
		}
		if c.status == 200 && (e.Status != 200 || decode[self](t, string(e.JSON)).Name != c.to || e.URL != silos[c.to].url("/whoami") || e.Seconds <= 0) {
			t.Errorf("%s to %s: %s", c.from, c.to, got.body)
		}
	}
	passed := decode[call](t, silos["eu"].get("/call/us-west?rule=off&path=/api/0/users/me/").body)
	if passed.Status != 404 || passed.Client != "" {
		t.Errorf("past the rule: %+v", passed)
	}
	posted, err := fetch(t.Context(), http.MethodPost, silos["control"].url("/call/eu/?path=/echo?a=b"), strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if e := decode[call](t, posted.body); e.Method != "POST" || !strings.HasSuffix(e.Body, "\nhello") || !strings.Contains(e.Body, `"uri":"/echo?a=b"`) {
		t.Errorf("posted: %s", posted.body)
	}
}

// TestCallFaults calls silos that do not answer, or return invalid answers.
func TestCallFaults(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := silent.Addr().String()
	shut(t, silent)
	odd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut":
			w.Header().Set("Content-Length", "9")
		case "/large":
			_, _ = w.Write(make([]byte, maxBody+1))
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		}
	}))
	t.Cleanup(odd.Close)
	text := regionConfig("1", strings.TrimPrefix(gone, "127.0.0.1:"), strings.TrimPrefix(odd.URL, "http://127.0.0.1:"))
	control := ready(t, asControl(conf(t, text)))
	region := ready(t, asRegion(conf(t, strings.ReplaceAll(text, "SENTRY_CONTROL_ADDRESS", "OTHER")), "eu"))
	for _, c := range []struct {
		s      *silo
		path   string
		status int
		has    string
	}{
		{control, "/call/us-west", 503, `"error":"ApiHostError","detail":"Unable to reach host: ` + gone},
		{control, "/call/eu?path=/cut", 503, "unexpected EOF"},
		{control, "/call/eu?path=@evil.example/", 400, "path must begin with a slash"},
		{control, "/call/eu?path=/moved", 200, `"status":302`},
		{control, "/call/eu?path=/large", 200, `"cut":true`},
		{region, "/call/control", 500, "Configure 'SENTRY_CONTROL_ADDRESS' in sentry configuration"},
	} {
		if got := c.s.get(c.path); got.status != c.status || !strings.Contains(got.body, c.has) {
			t.Errorf("%s: %d %.300s", c.path, got.status, got.body)
		}
	}
}

// TestCallTimeout expects a 504 after the client's timeout.
func TestCallTimeout(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-open }))
	t.Cleanup(func() { close(open); hung.Close() })
	s := newServer(Options{Stdout: newTap(), Stderr: newTap()}, arguments{}, identity{mode: modeControl, name: controlName})
	s.client.Timeout = 20 * time.Millisecond
	s.conf.current.Store(&config{regions: []region{{Name: "us", ID: new(1), Category: multiTenant, Address: hung.URL}}})
	close(*s.loaded.Load())
	w := httptest.NewRecorder()
	s.app(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/call/us", nil))
	if e := decode[call](t, w.Body.String()); w.Code != 504 || e.Error != "ApiTimeoutError" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
