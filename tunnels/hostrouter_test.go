package tunnels_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"silo/tunnels"
)

// by sends a request for a host to an address, on a new connection, and returns the
// response.
func by(t *testing.T, address, host string, header http.Header) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close, request.Host = true, host
	if header != nil {
		request.Header = header
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{response.StatusCode, response.Header, body}
}

func TestHostRouterRoutesByHost(t *testing.T) {
	t.Parallel()
	router, at := tunnels.NewHostRouter(), listener(t)
	p, err := tunnels.New(tunnels.Config{Provider: tunnels.Local, HostRouter: router})
	if err != nil {
		t.Fatal(err)
	}
	router.Serve(t.Context(), []net.Listener{at}, func(line string) { t.Error(line) })
	control, eu := silo(t, "control"), silo(t, "eu")
	control.Hosts = []string{"acme.localhost", ""}
	eu.Hosts = []string{"eu.acme.localhost", "eu.acme.test"}
	opened := open(t, p, control, eu)

	address := at.Addr().String()
	for host, want := range map[string]string{
		"acme.localhost":         "control",
		"acme.localhost:1234":    "control",
		"eu.acme.localhost":      "eu",
		"EU.Acme.LocalHost.:80":  "eu",
		"eu.acme.test":           "eu",
		"us.acme.localhost":      "",
		"x.eu.acme.localhost":    "",
		"127.0.0.1":              "",
		"acme.localhost.evil.io": "",
	} {
		got := by(t, address, host, nil)
		if got.header.Get("Silo") != want || (got.status == http.StatusNotFound) != (want == "") {
			t.Errorf("%s: %d of %q", host, got.status, got.header.Get("Silo"))
		}
		if want != "" && got.header.Get("Seen-Host") != host {
			t.Errorf("%s: the silo saw %s", host, got.header.Get("Seen-Host"))
		}
	}

	page := by(t, address, `us.localhost:99`, http.Header{"Accept": {"text/html,*/*"}})
	for _, want := range []string{`<a href="http://acme.localhost:99/">`, `<a href="http://eu.acme.localhost:99/">`, "No silo has the host us.localhost"} {
		if !strings.Contains(string(page.body), want) {
			t.Errorf("no %s in\n%s", want, page.body)
		}
	}
	if err := opened[1].Close(t.Context()); err != nil {
		t.Error(err)
	}
	if got := by(t, address, "eu.acme.localhost", nil); got.status != http.StatusNotFound || strings.Contains(string(got.body), "http://eu") {
		t.Errorf("a closed tunnel: %d\n%s", got.status, got.body)
	}
	if err := p.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("the router is still open")
	}
	late := listener(t)
	router.Serve(t.Context(), []net.Listener{late}, nil)
	if !closed(t, late) {
		t.Error("a listener that was passed after Close is open")
	}
}

// authCase is a request to a tunnel with basic_auth and allow_cidrs.
type authCase struct {
	auth, networks []string
	header         http.Header
	status         int
}

// A login at one silo counts at the others, by host name and by 127.0.0.1 alike.
func TestHostRouterSharesCookies(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			for _, cookie := range []string{"session=1; Path=/; HttpOnly", "__Host-csrf=2; Path=/", "own=3; Domain=eu.acme.localhost"} {
				w.Header().Add("Set-Cookie", cookie)
			}
		}
		_, _ = io.WriteString(w, r.Header.Get("Cookie"))
	}))
	t.Cleanup(server.Close)
	router, at := tunnels.NewHostRouter(), listener(t)
	p, err := tunnels.New(tunnels.Config{Provider: tunnels.Local, HostRouter: router})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	router.Serve(t.Context(), []net.Listener{at}, func(line string) { t.Error(line) })
	upstream := server.Listener.Addr().String
	opened := open(t, p,
		tunnels.Spec{Name: "control", Hosts: []string{"acme.localhost"}, Upstream: upstream},
		tunnels.Spec{Name: "eu", Hosts: []string{"eu.acme.localhost"}, Upstream: upstream})

	for _, login := range []string{"http://acme.localhost", "http://eu.acme.localhost", opened[0].URL(), opened[1].URL()} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			if strings.Contains(address, "localhost") {
				address = at.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		transport := &http.Transport{DialContext: dial, DisableKeepAlives: true}
		client := &http.Client{Jar: jar, Transport: transport}
		get := func(url string) string {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			body, err := io.ReadAll(response.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(body)
		}
		get(login + "/login")
		others := []string{"http://acme.localhost/", "http://eu.acme.localhost/"}
		if strings.Contains(login, "127.0.0.1") {
			others = []string{opened[0].URL() + "/", opened[1].URL() + "/"}
		}
		for _, other := range others {
			if got := get(other); !strings.Contains(got, "session=1") {
				t.Errorf("logged in at %s, %s gets the cookies %q", login, other, got)
			}
		}
		if got := get(login + "/"); strings.Contains(login, "acme.localhost") && !strings.Contains(got, "__Host-csrf=2") {
			t.Errorf("%s gets back %q", login, got)
		}
	}
}

func TestLocalEnforcesBasicAuthAndNetworks(t *testing.T) {
	t.Parallel()
	as := func(user, password string) http.Header {
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth(user, password)
		return r.Header
	}
	for name, c := range map[string]authCase{
		"open":                         {nil, nil, nil, 200},
		"no credentials":               {[]string{"ada:lovelace"}, nil, nil, 401},
		"correct credentials":          {[]string{"bob:x", "ada:love:lace"}, nil, as("ada", "love:lace"), 200},
		"wrong password":               {[]string{"ada:lovelace"}, nil, as("ada", "lovelac"), 401},
		"wrong user":                   {[]string{"ada:lovelace"}, nil, as("bob", "lovelace"), 401},
		"another scheme":               {[]string{"ada:lovelace"}, nil, http.Header{"Authorization": {"Bearer ada:lovelace"}}, 401},
		"the silo's own":               {nil, []string{"127.0.0.0/8"}, http.Header{"Authorization": {"Bearer token"}}, 200},
		"allowed network":              {nil, []string{"10.0.0.0/8", "127.0.0.0/8"}, nil, 200},
		"other network":                {nil, []string{"10.0.0.0/8", "::1/128"}, nil, 403},
		"other network, with password": {[]string{"ada:lovelace"}, []string{"10.0.0.0/8"}, as("ada", "lovelace"), 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := silo(t, "eu")
			spec.BasicAuth, spec.AllowCIDRs = c.auth, c.networks
			spec.Hosts = []string{"eu.localhost"}
			router, at := tunnels.NewHostRouter(), listener(t)
			p, err := tunnels.New(tunnels.Config{Provider: tunnels.Local, HostRouter: router})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := p.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			router.Serve(t.Context(), []net.Listener{at}, func(line string) { t.Error(line) })
			tunnel := open(t, p, spec)[0]
			for _, address := range []string{strings.TrimPrefix(tunnel.URL(), "http://"), at.Addr().String()} {
				c.check(t, by(t, address, "eu.localhost", c.header))
			}
		})
	}
}

func (c authCase) check(t *testing.T, got reply) {
	t.Helper()
	if got.status != c.status || (got.header.Get("Silo") == "eu") != (c.status == http.StatusOK) {
		t.Errorf("%d of %q", got.status, got.header.Get("Silo"))
	}
	if realm := got.header.Get("WWW-Authenticate"); (realm == `Basic realm="silo eu", charset="UTF-8"`) != (c.status == http.StatusUnauthorized) {
		t.Errorf("challenge %q", realm)
	}
	if (got.header.Get("Silo-Error") == "denied") != (c.status != http.StatusOK) {
		t.Errorf("marked %q", got.header.Get("Silo-Error"))
	}
	// The tunnel's own password must not reach the silo; a header for the silo must.
	want := ""
	if c.status == http.StatusOK && c.auth == nil {
		want = c.header.Get("Authorization")
	}
	if seen := got.header.Get("Seen-Authorization"); seen != want {
		t.Errorf("the silo got Authorization %q, want %q", seen, want)
	}
}

func TestLocalRejectsAnInvalidNetwork(t *testing.T) {
	t.Parallel()
	spec := silo(t, "eu")
	spec.AllowCIDRs, spec.Listener = []string{"everywhere"}, listener(t)
	if _, err := other(t, tunnels.Local, newHistory()).Open(t.Context(), spec); err == nil || !closed(t, spec.Listener) {
		t.Errorf("opened: %v", err)
	}
}
