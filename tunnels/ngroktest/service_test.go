package ngroktest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.ngrok.com/ngrok"
	"golang.ngrok.com/ngrok/config"

	"silo/tunnels/ngroktest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The SDK's own goroutines, which notice the end of their session only later.
		goleak.IgnoreAnyFunction("golang.ngrok.com/ngrok/internal/tunnel/client.(*reconnectingSession).connect"),
		goleak.IgnoreAnyFunction("golang.ngrok.com/muxado/v2.(*Heartbeat).requester"),
		goleak.IgnoreAnyFunction("golang.ngrok.com/muxado/v2.(*Heartbeat).check"),
	)
}

func start(t *testing.T, options ngroktest.Options) *ngroktest.Service {
	t.Helper()
	options.Dir = t.TempDir()
	s, err := ngroktest.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

type reply struct {
	status int
	code   string
	body   string
}

func get(t *testing.T, s *ngroktest.Service, host, path string) reply {
	t.Helper()
	response, err := s.Get(t.Context(), host, path)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, response)
}

func read(t *testing.T, response *http.Response) reply {
	t.Helper()
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header.Get("Ngrok-Error-Code"), string(body)}
}

// await polls for the effect of another process.
func await(t *testing.T, done func() bool) {
	t.Helper()
	bound, tick := time.After(clientBound), time.NewTicker(5*time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-bound:
			t.Fatal("not true in time")
		}
	}
}

func trusted(t *testing.T, s *ngroktest.Service) *x509.CertPool {
	t.Helper()
	pem, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal("no certificate in the CA file")
	}
	return pool
}

func connect(t *testing.T, s *ngroktest.Service) ngrok.Session {
	t.Helper()
	// t.Context ends before the cleanups, and the SDK would end the session while
	// they close its tunnels; its muxado has a data race if both happen at once.
	whole := context.WithoutCancel(t.Context())
	session, err := ngrok.Connect(whole, ngrok.WithServer(s.Addr()), ngrok.WithCA(trusted(t, s)), ngrok.WithAuthtoken(good))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	return session
}

func serve(t *testing.T, session ngrok.Session, options ...config.HTTPEndpointOption) error {
	t.Helper()
	tunnel, err := session.Listen(t.Context(), config.HTTPEndpoint(options...))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Host+r.URL.Path+" "+r.Header.Get("X-Forwarded-Proto"))
	})}
	go func() { _ = server.Serve(tunnel) }()
	t.Cleanup(func() { _ = server.Close() })
	return nil
}

func TestRoutesByHost(t *testing.T) {
	t.Parallel()
	s := start(t, ngroktest.Options{})
	session := connect(t, s)
	for _, host := range []string{"a.test", "b.test"} {
		if err := serve(t, session, config.WithDomain(host)); err != nil {
			t.Fatal(err)
		}
	}
	for _, host := range []string{"a.test", "b.test"} {
		if got := get(t, s, host, "/x"); got.body != host+"/x https" || got.status != http.StatusOK {
			t.Errorf("asked %s: %+v", host, got)
		}
	}
	if got := get(t, s, "c.test", "/"); got.status != http.StatusNotFound || got.code != "ERR_NGROK_3200" {
		t.Errorf("an offline host: %+v", got)
	}
	if !s.StopEndpoint("a.test", "", "") || s.StopEndpoint("a.test", "", "") {
		t.Error("StopEndpoint must succeed exactly once")
	}
	if got := get(t, s, "a.test", "/"); got.code != "ERR_NGROK_3200" {
		t.Errorf("a stopped host: %+v", got)
	}
}

func TestPublicTLSSignsForTheServerName(t *testing.T) {
	t.Parallel()
	s := start(t, ngroktest.Options{})
	if err := serve(t, connect(t, s), config.WithDomain("a.test")); err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.PublicTLSAddr()+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "a.test"
	request.Close = true
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted(t, s), ServerName: "a.test"}}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(t, response); got.body != "a.test/x https" {
		t.Errorf("got %+v", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, ngroktest.Options{Domains: []string{"a.test", "b.test"}, Endpoints: 1})
	session := connect(t, s)
	if err := serve(t, session, config.WithDomain("a.test"), config.WithDenyCIDRString("10.0.0.0/8"), config.WithAllowCIDRString("10.0.0.0/8")); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, "a.test", "/"); got.status != http.StatusForbidden {
		t.Errorf("from a network that is not allowed: %+v", got)
	}
	rival := connect(t, s)
	for code, host := range map[string]string{"ERR_NGROK_320": "c.test", "ERR_NGROK_324": "b.test"} {
		if err := serve(t, session, config.WithDomain(host)); err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v", host, err)
		}
	}
	if err := serve(t, rival, config.WithDomain("a.test")); err == nil || !strings.Contains(err.Error(), "ERR_NGROK_334") {
		t.Errorf("a second holder: %v", err)
	}
}
