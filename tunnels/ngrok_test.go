package tunnels_test

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
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"silo/tunnels"
	"silo/tunnels/ngroktest"
	"silo/wait/waittest"
)

const (
	token = "2abcDEF_thetokenwhichmustneverbeshown"

	// prompt is much longer than an immediate failure takes, even on a busy machine, and
	// shorter than the SDK's timeouts of 15 s and 30 s, which such a failure must not wait
	// for.
	prompt = 10 * time.Second
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The SDK's own goroutines, which cannot be stopped: its wait before another
		// attempt (up to 30 s), and a heartbeat that notices only at the next beat that
		// its session has ended.
		goleak.IgnoreAnyFunction("golang.ngrok.com/ngrok/internal/tunnel/client.(*reconnectingSession).connect"),
		goleak.IgnoreAnyFunction("golang.ngrok.com/muxado/v2.(*Heartbeat).requester"),
		goleak.IgnoreAnyFunction("golang.ngrok.com/muxado/v2.(*Heartbeat).check"),
	)
}

func service(t *testing.T, options ngroktest.Options) *ngroktest.Service {
	t.Helper()
	options.Dir = t.TempDir()
	s, err := ngroktest.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// history records every Status of the tunnels.
type history struct {
	mu   sync.Mutex // guards all below
	all  map[string][]tunnels.Status
	seen map[string]int // how many of them have been awaited
	wake chan struct{}  // closed at each change, then replaced
	logs []string
}

func newHistory() *history {
	return &history{all: map[string][]tunnels.Status{}, seen: map[string]int{}, wake: make(chan struct{})}
}

func (h *history) changed(name string, status tunnels.Status) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all[name] = append(h.all[name], status)
	close(h.wake)
	h.wake = make(chan struct{})
}

func (h *history) log(line string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.logs = append(h.logs, line)
}

func (h *history) states(name string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var states []string
	for _, status := range h.all[name] {
		states = append(states, string(status.State))
	}
	return strings.Join(states, " ")
}

// await waits for the next change of name to state.
func (h *history) await(t *testing.T, name string, state tunnels.State) tunnels.Status {
	t.Helper()
	return h.awaitCode(t, name, state, "")
}

func (h *history) awaitCode(t *testing.T, name string, state tunnels.State, code string) tunnels.Status {
	t.Helper()
	limit := time.After(waittest.Limit)
	for {
		status, wake := h.next(name, state, code)
		if wake == nil {
			return status
		}
		select {
		case <-wake:
		case <-limit:
			t.Fatalf("%s is not %s %s: %s", name, state, code, h.states(name))
		}
	}
}

// next returns the next status that matches, or else a channel to wait on.
func (h *history) next(name string, state tunnels.State, code string) (tunnels.Status, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, status := range h.all[name][h.seen[name]:] {
		if status.State == state && (code == "" || status.Err != nil && status.Err.Code == code) {
			h.seen[name] += i + 1
			return status, nil
		}
	}
	return tunnels.Status{}, h.wake
}

type setup func(*tunnels.Config)

func provider(t *testing.T, s *ngroktest.Service, h *history, setups ...setup) tunnels.Provider {
	t.Helper()
	config := tunnels.Config{
		Provider: tunnels.Ngrok, Version: "1.2.3", Log: h.log, Changed: h.changed,
		Ngrok: tunnels.NgrokConfig{
			Authtoken: token, TokenSource: "NGROK_AUTHTOKEN", ServerAddr: s.Addr(), RootCAs: s.CAFile(),
		},
	}
	for _, set := range setups {
		set(&config)
	}
	p, err := tunnels.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return p
}

func withTimeout(wait time.Duration) setup {
	return func(c *tunnels.Config) { c.Ngrok.AnswerTimeout = wait }
}

func withGrace(wait time.Duration) setup {
	return func(c *tunnels.Config) { c.Ngrok.ConflictGrace = wait }
}

// silo is a server that answers with its name, parts of the request, and its body.
func silo(t *testing.T, name string) tunnels.Spec {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Silo", name)
		w.Header().Set("Seen-Host", r.Host)
		w.Header().Set("Seen-Authorization", r.Header.Get("Authorization"))
		w.Header().Set("Seen-Forwarded", r.Header.Get("X-Forwarded-For")+" "+r.Header.Get("X-Forwarded-Host")+" "+r.Header.Get("X-Forwarded-Proto"))
		if r.Header.Get("Upgrade") != "" {
			echo(w, r)
			return
		}
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	return tunnels.Spec{Name: name, Domain: name + ".acme.test", Upstream: server.Listener.Addr().String}
}

func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", r.Header.Get("Upgrade"))
	w.WriteHeader(http.StatusSwitchingProtocols)
	conn, both, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	_, _ = io.Copy(conn, both)
	_ = conn.Close()
}

func open(t *testing.T, p tunnels.Provider, specs ...tunnels.Spec) []tunnels.Tunnel {
	t.Helper()
	opened, err := tunnels.OpenAll(t.Context(), p, specs)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// reply is a response with its complete body.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request to the public side of the service.
func ask(t *testing.T, s *ngroktest.Service, host string, body []byte) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.PublicAddr()+"/", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Host = host
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, got}
}

func failure(t *testing.T, err error) *tunnels.Error {
	t.Helper()
	e, is := errors.AsType[*tunnels.Error](err)
	if !is {
		t.Fatalf("not an *Error: %v", err)
	}
	if strings.Contains(err.Error()+e.Text+e.Hint, token) {
		t.Errorf("the error shows the authtoken: %v", err)
	}
	return e
}

func TestNgrokServesAllSilosOnOneSession(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{Tokens: []string{token}}), newHistory()
	p := provider(t, s, h)
	names := []string{"control", "us", "eu", "de"}
	var specs []tunnels.Spec
	for _, name := range names {
		specs = append(specs, silo(t, name))
	}
	opened := open(t, p, specs...)
	if s.Sessions() != 1 || s.Auths() != 1 || len(s.Endpoints()) != 4 {
		t.Errorf("%d sessions, %d authentications, endpoints %v", s.Sessions(), s.Auths(), s.Endpoints())
	}
	var asking sync.WaitGroup
	for i, name := range names {
		if opened[i].Name() != name || opened[i].URL() != "https://"+name+".acme.test" || opened[i].Status().State != tunnels.Online {
			t.Errorf("tunnel %s: %s %s %v", name, opened[i].Name(), opened[i].URL(), opened[i].Status())
		}
		asking.Go(func() {
			sent := make([]byte, 1<<20)
			_, _ = rand.Read(sent)
			got := ask(t, s, name+".acme.test", sent)
			if got.header.Get("Silo") != name || !bytes.Equal(got.body, sent) {
				t.Errorf("a request for %s: %q answered with %d bytes", name, got.header.Get("Silo"), len(got.body))
			}
			if want := "127.0.0.1 " + name + ".acme.test https"; got.header.Get("Seen-Forwarded") != want {
				t.Errorf("forwarded %q, want %q", got.header.Get("Seen-Forwarded"), want)
			}
			if got.header.Get("Seen-Host") != name+".acme.test" {
				t.Errorf("host %q", got.header.Get("Seen-Host"))
			}
		})
	}
	asking.Wait()
	if agent := s.Endpoints()[0].UserAgent; !strings.HasPrefix(agent, "silo/1.2.3 ") {
		t.Errorf("user agent %q", agent)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for _, name := range names {
		if got := h.states(name); got != "opening online" {
			t.Errorf("%s: states %s", name, got)
		}
	}
	if _, err := p.Open(t.Context(), specs[0]); err == nil {
		t.Error("Open succeeds after Close")
	}
}

func TestNgrokOptionsReachTheService(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	spec := silo(t, "eu")
	spec.BasicAuth = []string{"me:long-enough"}
	spec.AllowCIDRs = []string{"127.0.0.0/8"}
	spec.TrafficPolicy = "on_http_request: []"
	spec.HostHeader = "rewrite"
	p := provider(t, s, newHistory(), func(c *tunnels.Config) { c.Ngrok.Metadata = "meta" })
	opened := open(t, p, spec)
	e := s.Endpoints()[0]
	if e.BasicAuth[0] != "me:long-enough" || e.AllowCIDRs[0] != "127.0.0.0/8" || e.TrafficPolicy != "on_http_request: []" {
		t.Errorf("bound %+v", e)
	}
	if got := ask(t, s, e.Host, nil); got.status != http.StatusUnauthorized {
		t.Errorf("without a password: %d", got.status)
	}
	if err := opened[0].Close(t.Context()); err != nil {
		t.Error(err)
	}
	spec.BasicAuth = nil
	open(t, p, spec)
	if got := ask(t, s, e.Host, nil).header.Get("Seen-Host"); got != spec.Upstream() {
		t.Errorf("the silo saw host %q", got)
	}
}

func TestNgrokPassesStreamsAndUpgrades(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	spec := silo(t, "eu")
	open(t, provider(t, s, newHistory()), spec)
	conn, err := net.Dial("tcp", s.PublicAddr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", spec.Domain)
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil) //nolint:bodyclose // the connection goes on as the body
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no upgrade: %v %v", response, err)
	}
	// Wait for each line before sending the next one: nothing may buffer it.
	for _, line := range []string{"one\n", "two\n", "three\n"} {
		_, _ = io.WriteString(conn, line)
		if got, err := reader.ReadString('\n'); err != nil || got != line {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestNgrokStreamsEvents(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	next := make(chan string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		for event := range next {
			fmt.Fprintf(w, "data: %s\n\n", event)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	t.Cleanup(server.Close)
	open(t, provider(t, s, newHistory()), tunnels.Spec{Name: "eu", Domain: "eu.test", Upstream: server.Listener.Addr().String})
	response, err := s.Get(t.Context(), "eu.test", "/")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	for _, event := range []string{"one", "two", "three"} {
		next <- event
		if line, err := lines.ReadString('\n'); err != nil || line != "data: "+event+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		_, _ = lines.ReadString('\n')
	}
	close(next)
}

func TestNgrokAnswersWhileSiloStarts(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	spec := tunnels.Spec{
		Name: "eu", Domain: "eu.test", Upstream: func() string { return "" },
		Starting: func() (string, bool) { return "", true },
	}
	open(t, provider(t, s, newHistory()), spec)
	got := ask(t, s, "eu.test", nil)
	if got.status != http.StatusServiceUnavailable || got.header.Get("Silo-Error") != "starting" || !strings.Contains(string(got.body), "silo eu is starting") {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
}

func TestNgrokErrorsAreImmediateAndTyped(t *testing.T) {
	t.Parallel()
	codes := map[string]struct {
		class tunnels.Class
		auth  bool // the answer to the authentication, not to a bind
		text  string
	}{
		"ERR_NGROK_102":  {tunnels.Fatal, true, "payment"},
		"ERR_NGROK_105":  {tunnels.Fatal, true, "NGROK_AUTHTOKEN"},
		"ERR_NGROK_107":  {tunnels.Fatal, true, "NGROK_AUTHTOKEN"},
		"ERR_NGROK_108":  {tunnels.Conflict, true, "too many ngrok agents"},
		"ERR_NGROK_109":  {tunnels.Fatal, true, "understand"},
		"ERR_NGROK_120":  {tunnels.Fatal, true, "no longer accepts"},
		"ERR_NGROK_121":  {tunnels.Fatal, true, "no longer accepts"},
		"ERR_NGROK_123":  {tunnels.Fatal, true, "verified"},
		"ERR_NGROK_338":  {tunnels.Fatal, true, "suspended"},
		"ERR_NGROK_4018": {tunnels.Fatal, true, "no authtoken"},
		"ERR_NGROK_9040": {tunnels.Fatal, true, "network address"},
		"ERR_NGROK_9999": {tunnels.Fatal, true, "refused: authentication failed. Your"},
		"ERR_NGROK_313":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_314":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_315":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_316":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_318":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_319":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_320":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_322":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_324":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_326":  {tunnels.Fatal, false, "eu.acme.test"},
		"ERR_NGROK_334":  {tunnels.Conflict, false, "eu.acme.test"},
		"ERR_NGROK_702":  {tunnels.Transient, false, "connections a minute"},
		"ERR_NGROK_718":  {tunnels.Transient, false, "traffic"},
		"ERR_NGROK_725":  {tunnels.Fatal, false, "traffic"},
		"ERR_NGROK_727":  {tunnels.Fatal, false, "requests"},
		"ERR_NGROK_8888": {tunnels.Fatal, false, "refused: The endpoint 'https://eu.acme.test'"},
	}
	for code, want := range codes {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			s := service(t, ngroktest.Options{})
			if want.auth {
				s.FailAuth(code)
			} else {
				s.FailBind("eu.acme.test", code)
			}
			p := provider(t, s, newHistory())
			start := time.Now()
			_, err := tunnels.OpenAll(t.Context(), p, []tunnels.Spec{silo(t, "control"), silo(t, "eu"), silo(t, "us")})
			if took := time.Since(start); took > prompt {
				t.Errorf("took %v", took)
			}
			e := failure(t, err)
			if e.Code != code || e.Class != want.class || !strings.Contains(e.Text, want.text) || e.Hint == "" {
				t.Errorf("got %+v", e)
			}
			if !strings.Contains(err.Error(), code) || !strings.HasPrefix(err.Error(), "open tunnel for ") {
				t.Errorf("reads %q", err)
			}
			if left := s.Endpoints(); len(left) != 0 {
				t.Errorf("endpoints left at the service: %v", left)
			}
		})
	}
}

func TestNgrokReportsAWrongTokenAndAnUnreservedDomain(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{Tokens: []string{token}, Domains: []string{"control.acme.test", "eu.acme.test"}, Endpoints: 2})
	wrong := provider(t, s, newHistory(), func(c *tunnels.Config) { c.Ngrok.Authtoken = "other" })
	if _, err := wrong.Open(t.Context(), silo(t, "eu")); failure(t, err).Code != "ERR_NGROK_107" {
		t.Errorf("got %v", err)
	}
	_, err := tunnels.OpenAll(t.Context(), provider(t, s, newHistory()), []tunnels.Spec{silo(t, "control"), silo(t, "eu"), silo(t, "typo")})
	if failure(t, err).Code != "ERR_NGROK_320" && failure(t, err).Code != "ERR_NGROK_324" {
		t.Errorf("got %v", err)
	}
	if left := s.Endpoints(); len(left) != 0 {
		t.Errorf("endpoints left at the service: %v", left)
	}
}

func TestNgrokFailsAtOnceWithoutAService(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	other := service(t, ngroktest.Options{})
	const closed = "127.0.0.1:1" // a fixed port, because another test may soon listen on one that was free
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	broken := filepath.Join(t.TempDir(), "broken.pem")
	if err := os.WriteFile(broken, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	cases := map[string]struct {
		set  setup
		code string
		text string
	}{
		"refused":    {func(c *tunnels.Config) { c.Ngrok.ServerAddr = closed }, "unreachable", "connection refused"},
		"no such":    {func(c *tunnels.Config) { c.Ngrok.ServerAddr = "nowhere.invalid:443" }, "unreachable", "nowhere.invalid"},
		"wrong CA":   {func(c *tunnels.Config) { c.Ngrok.RootCAs = other.CAFile() }, "untrusted", "unknown authority"},
		"default CA": {func(c *tunnels.Config) { c.Ngrok.RootCAs = "" }, "untrusted", "unknown authority"},
		"not TLS":    {func(c *tunnels.Config) { c.Ngrok.ServerAddr = plain.Listener.Addr().String() }, "untrusted", "does not speak TLS"},
		"silent": {func(c *tunnels.Config) {
			c.Ngrok.ServerAddr = silent.Addr().String()
			withTimeout(200 * time.Millisecond)(c)
		}, "no_answer", "does not answer"},
		"no token":    {func(c *tunnels.Config) { c.Ngrok.Authtoken = "" }, "no_authtoken", "NGROK_AUTHTOKEN"},
		"no CA file":  {func(c *tunnels.Config) { c.Ngrok.RootCAs += ".gone" }, "bad_root_cas", "no such file"},
		"bad CA file": {func(c *tunnels.Config) { c.Ngrok.RootCAs = broken }, "bad_root_cas", "no PEM certificate"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := tunnels.Config{Provider: tunnels.Ngrok, Ngrok: tunnels.NgrokConfig{Authtoken: token, ServerAddr: s.Addr(), RootCAs: s.CAFile()}}
			c.set(&config)
			start := time.Now()
			p, err := tunnels.New(config)
			if err == nil {
				_, err = tunnels.OpenAll(t.Context(), p, []tunnels.Spec{silo(t, "control"), silo(t, "eu")})
				if closing := p.Close(t.Context()); closing != nil {
					t.Error(closing)
				}
			}
			if took := time.Since(start); took > prompt {
				t.Errorf("took %v", took)
			}
			e := failure(t, err)
			if e.Code != c.code || !strings.Contains(e.Text, c.text) || e.Hint == "" {
				t.Errorf("got %+v", e)
			}
		})
	}
}
