package devserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"silo/wait/waittest"
)

// TestRoles requests the paths that reveal the mode.
func TestRoles(t *testing.T) {
	t.Parallel()
	dir := conf(t, regionConfig("1", "2", "3"))
	const wantsLogin = `{"detail":"Authentication credentials were not provided."}`
	const version = `{"version":"0","auth":null,"user":null}`
	notFound, login := reply{status: 404}, reply{status: 401, body: wantsLogin}
	monolith := environ{"SENTRY_CONF": dir}
	cell := environ{"SENTRY_CONF": dir, "SENTRY_SILO_MODE": "CELL", "SENTRY_LOCAL_CELL": "eu"}
	for _, c := range []struct {
		name                string
		env                 environ
		organizations, user reply
		root                reply
	}{
		{"control", asControl(dir), notFound, login, reply{status: 200, body: version}},
		{"region", asRegion(dir, "eu"), login, notFound, notFound},
		{"cell", cell, login, notFound, notFound},
		{"monolith", monolith, login, login, reply{status: 200, body: version}},
		{"monolith by name", monolith.with(environ{"SENTRY_SILO_MODE": "MONOLITH"}), login, login, reply{status: 200, body: version}},
		{"monolith by an empty mode", monolith.with(environ{"SENTRY_SILO_MODE": ""}), login, login, reply{status: 200, body: version}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := ready(t, c.env)
			for path, want := range map[string]reply{
				"/api/0/organizations/": c.organizations, "/api/0/users/me/": c.user, "/api/0/": c.root,
				"/api/0/nosuch/": notFound, "/_health/": {status: 200, body: "ok"}, "/_health": {status: 301},
			} {
				got := s.get(path)
				if got.status != want.status || got.body != want.body {
					t.Errorf("%s: %d %q, want %d %q", path, got.status, got.body, want.status, want.body)
				}
			}
			if got := s.get("/_health/").header; got.Get("Content-Type") != "text/plain" || got.Get("X-Silo-Name") != "" {
				t.Errorf("unexpected headers of the health check: %v", got)
			}
			s.err.wait(t, `^\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] GET 404 /api/0/nosuch/ HTTP/1\.1 \d+$`)
		})
	}
}

func TestFullHealth(t *testing.T) {
	t.Parallel()
	s := ready(t, environ{"SENTRY_CONF": conf(t, "")})
	if got := s.get("/_health/?full"); got.status != 500 || !strings.Contains(got.body, `"CeleryAliveCheck":false`) {
		t.Errorf("without workers: %d %s", got.status, got.body)
	}
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	dir := conf(t, regionConfig("1", "2", "3"))
	s := ready(t, asRegion(dir, "us-west").with(environ{"SILO_NAME": "us-west", "SILO_INSTANCE": "/a/silo.toml", "SILO_RUN_ID": "r1"}))
	got := regexp.MustCompile(`"pid":\d+`).ReplaceAllString(s.get("/whoami").body, `"pid":0`)
	want := fmt.Sprintf(`{"mode":"REGION","region":"us-west","name":"us-west","pid":0,"port":%s,"backend_port":%[1]s,"instance":"/a/silo.toml","run_id":"r1"}`, s.port)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if name := s.get("/").header.Get("X-Silo-Name"); name != "us-west" {
		t.Errorf("X-Silo-Name: %q", name)
	}
	unnamed := decode[self](t, ready(t, asControl(dir)).get("/whoami").body)
	if unnamed.Name != "control" || unnamed.Region != nil {
		t.Errorf("control: %+v", unnamed)
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	dir := conf(t, `SENTRY_REGION_CONFIG = [
	{"name": "us", "snowflake_id": 1, "address": "https://u:secret@us.example/", "category": "MULTI_TENANT"},
	{"name": "<b>", "snowflake_id": 77, "address": "javascript:alert(1)", "category": "SINGLE_TENANT"},
]
SENTRY_CONTROL_ADDRESS = "http://127.0.0.1:1"
`)
	secrets := environ{"SILO_URL_US": "https://u:secret@us.example", "NGROK_AUTHTOKEN": "secret", "SILO_RPC_SECRET": "secret"}
	region := ready(t, asRegion(dir, "<b>").with(secrets))
	control := ready(t, asControl(dir).with(secrets))
	for _, c := range []struct {
		name       string
		s          *silo
		has, lacks []string
	}{
		{"region", region, []string{"REGION", "<dd>77</dd>", "SINGLE_TENANT", `href="/call/control?path=/whoami"`, "&lt;b&gt;", `href="http://127.0.0.1:1/"`}, []string{`href="/call/us`, "<b>"}},
		{"control", control, []string{"CONTROL", `href="/call/us?path=/whoami"`, `href="https://u:xxxxx@us.example`}, []string{`href="/call/control`, "<b>"}},
	} {
		for _, path := range []string{"/", "/organizations/acme/issues/?query=x", "//"} {
			got := c.s.get(path)
			if got.status != 200 || got.header.Get("Content-Type") != "text/html; charset=utf-8" {
				t.Errorf("%s%s: %d %s", c.name, path, got.status, got.header.Get("Content-Type"))
			}
			for _, want := range c.has {
				if !strings.Contains(got.body, want) {
					t.Errorf("%s%s lacks %s", c.name, path, want)
				}
			}
			for _, bad := range append(c.lacks, "secret", `href="javascript`, "<script", `src=`, "@import") {
				if strings.Contains(got.body, bad) {
					t.Errorf("%s%s has %s", c.name, path, bad)
				}
			}
		}
	}
	if got := control.get("/auth/login/"); got.status != 200 || !strings.Contains(got.body, "sign-in") {
		t.Errorf("login: %d %s", got.status, got.body)
	}
}

// TestEcho receives the first half of the body before it sends the second half.
func TestEcho(t *testing.T) {
	t.Parallel()
	s := ready(t, environ{"SENTRY_CONF": conf(t, "")})
	body, send := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url("/echo/a%2Fb?q=1"), body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Test", "yes")
	sent := make(chan error, 1)
	go func() { _, err := io.WriteString(send, "first\n"); sent <- err }()
	transport := &http.Transport{DisableKeepAlives: true}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, answer.Body)
	if err := waittest.Receive(t, sent, "first half sent"); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(answer.Body)
	line := func() string {
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	got := decode[struct {
		Method, URI, Host string
		Headers           http.Header
	}](t, line())
	if got.Method != "PUT" || got.URI != "/echo/a%2Fb?q=1" || got.Host != "127.0.0.1:"+s.port || got.Headers.Get("X-Test") != "yes" {
		t.Errorf("%+v", got)
	}
	if got := line(); got != "first\n" {
		t.Errorf("body: %q", got)
	}
	go func() { _, err := io.WriteString(send, "second\n"); sent <- errors.Join(err, send.Close()) }()
	if got := line(); got != "second\n" || waittest.Receive(t, sent, "second half sent") != nil {
		t.Errorf("body: %q", got)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	s := ready(t, environ{"SENTRY_CONF": conf(t, "")})
	begin := time.Now()
	got := s.get("/stream")
	if took := time.Since(begin); took < (events-1)*eventEvery {
		t.Errorf("all at once, after %s", took)
	}
	var want strings.Builder
	for n := 1; n <= events; n++ {
		fmt.Fprintf(&want, "id: %d\ndata: {\"n\":%d,\"silo\":\"monolith\"}\n\n", n, n)
	}
	if got.body != want.String() || got.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%s\n%s", got.header.Get("Content-Type"), got.body)
	}
}

// TestDelay checks that a request waits until the app is loaded.
func TestDelay(t *testing.T) {
	t.Parallel()
	const delay = 300 * time.Millisecond
	s := start(t, environ{"SENTRY_CONF": conf(t, "")}, "--delay", delay.String()).bound()
	ctx, cancel := context.WithTimeout(t.Context(), delay/3)
	defer cancel()
	begin := time.Now()
	if got, err := fetch(ctx, http.MethodGet, s.url("/_health/"), nil); err == nil && time.Since(begin) < delay/3 {
		t.Errorf("answered before the app was loaded: %d", got.status)
	}
	if strings.Contains(s.err.String(), "WSGI app 0") {
		t.Errorf("loaded at once:\n%s", s.err)
	}
	if got := s.get("/_health/"); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
	s.err.wait(t, `^WSGI app 0 `)
}

// TestEnd stops a silo while some responses are in progress and other requests wait.
func TestEnd(t *testing.T) {
	t.Parallel()
	dir := conf(t, "")
	for _, c := range []struct{ name, path, arg string }{
		{"while it streams", "/stream", "--delay=0s"},
		{"while it loads", "/", "--delay=1h"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, environ{"SENTRY_CONF": dir}, c.arg).bound()
			asked := make(chan struct{})
			go func() {
				defer close(asked)
				_, _ = fetch(t.Context(), http.MethodGet, s.url(c.path), nil) // the request is meant to fail
			}()
			s.stop()
			begin := time.Now()
			if err := s.end(); err != nil {
				t.Errorf("ended with %v", err)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("took %s", took)
			}
			waittest.Receive(t, asked, "request")
			if got := lastLine(s.err.String()); got != "goodbye to uWSGI." {
				t.Errorf("last line: %s", got)
			}
		})
	}
}

func TestExitAfter(t *testing.T) {
	t.Parallel()
	dir := conf(t, "")
	for code, want := range map[string]int{"0": 0, "3": 3, "255": 255} {
		s := start(t, environ{"SENTRY_CONF": dir}, "--exit-after", "20ms", "--exit-code="+code)
		if got := status(s.end()); got != want {
			t.Errorf("status %d, want %d", got, want)
		}
	}
	s := start(t, environ{"SENTRY_CONF": dir}, "--exit-after=1ms", "--delay=1h")
	if got := status(s.end()); got != 1 {
		t.Errorf("before it was loaded: status %d, want 1", got)
	}
}

func TestLogEvery(t *testing.T) {
	t.Parallel()
	s := ready(t, environ{"SENTRY_CONF": conf(t, "")}, "--log-every", "5ms")
	s.out.wait(t, `^\d\d:\d\d:\d\d \[INFO\] monolith: line 3$`)
}

// TestAddresses tries all valid forms of an address.
func TestAddresses(t *testing.T) {
	t.Parallel()
	dir := conf(t, "")
	for _, args := range [][]string{
		{"localhost:0"},
		{"--no-watchers", "127.0.0.1:0", "--no-reload"},
		{"--", "127.0.0.1:0"},
		{"-l", "DEBUG", "--environment=production", "--client-hostname", "acme.ngrok.io", "--no-ingest", "127.0.0.1:0"},
	} {
		s := ready(t, environ{"SENTRY_CONF": dir, "SENTRY_DEVSERVER_BIND": "localhost"}, args...)
		if got := s.get("/_health/"); got.status != 200 {
			t.Errorf("%v: %d", args, got.status)
		}
	}
}
