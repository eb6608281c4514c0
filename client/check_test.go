package client

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"silo/proxy"
	"silo/state"
)

// newSentry starts a server that answers like a silo of a mode and logs requests.
func newSentry(t *testing.T, mode string, log string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(sentryHandler(mode, log))
	t.Cleanup(s.Close)
	return s
}

func sentryHandler(mode, log string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if log != "" {
			file, err := os.OpenFile(log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err == nil {
				_, _ = fmt.Fprintf(file, "GET 200 %s HTTP/1.1 2\n", r.RequestURI)
				_ = file.Close()
			}
		}
		has := map[string]string{"/api/0/users/me/": "CONTROL", "/api/0/organizations/": "REGION"}[r.URL.Path]
		switch {
		case r.URL.Path == "/_health/":
		case has == mode:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}
}

// region returns a snapshot of one region, us, which is one server directly and has
// another address.
func region(t *testing.T, direct *httptest.Server, address, provider string) *state.Snapshot {
	t.Helper()
	at, err := url.Parse(direct.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(at.Port())
	if err != nil {
		t.Fatal(err)
	}
	pid, inStep := 1, true
	return &state.Snapshot{
		Name: "acme", Provider: provider, Dialect: "dict", Config: state.Config{InStep: &inStep},
		Silos: []state.Silo{{Name: "us", Mode: state.Region, State: state.Ready, PID: &pid, Port: port, HealthPort: port, Bind: at.Host, URL: address}},
	}
}

func TestCheckAddress(t *testing.T) {
	t.Parallel()
	us := newSentry(t, "REGION", "")
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	header := func(name, value string, status int) string {
		return serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(name, value)
			w.WriteHeader(status)
		})
	}
	secure := httptest.NewTLSServer(sentryHandler("REGION", ""))
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	gone, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	for name, c := range map[string]struct {
		address, step, text, hint string
	}{
		"itself":          {us.URL, "", "", ""},
		"control":         {newSentry(t, "CONTROL", "").URL, Mode, "a CONTROL silo answers there", "leads to another silo"},
		"no listener":     {"http://" + gone.Addr().String(), Connect, "connection refused", "check url or domain of us"},
		"unknown name":    {"http://us.invalid.:80", DNS, "no DNS address for us.invalid", "check the name"},
		"no TLS":          {strings.Replace(us.URL, "http:", "https:", 1), TLS, "HTTP response to HTTPS client", "speaks TLS"},
		"unknown CA":      {secure.URL, TLS, "certificate", "SSL_CERT_FILE"},
		"ngrok's error":   {header("Ngrok-Error-Code", "ERR_NGROK_3200", 404), HTTP, "ngrok answers 404 instead of the silo: ERR_NGROK_3200", "err_ngrok_3200"},
		"ngrok's warning": {header("Ngrok-Error-Code", "ERR_NGROK_6024", 200), HTTP, "ngrok's browser warning answers", "silo tunnels"},
		"silo's tunnel":   {header(proxy.ErrorHeader, "down", 502), HTTP, "its tunnel answers 502 instead of the silo: silo us is down", "silo logs us"},
		"a rejected host": {
			serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }),
			HTTP, "/_health/ answers 400 Bad Request, not 200", "ALLOWED_HOSTS",
		},
		"closes": {serve(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), HTTP, "EOF", "check url or domain"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Check(t.Context(), region(t, us, c.address, "external"), CheckOptions{Timeout: 5 * time.Second})
			direct, way := r.Silos[0].Ways[0], r.Silos[0].Ways[1]
			if !direct.OK || direct.Mode == nil || *direct.Mode != "REGION" || *direct.Status != 200 {
				t.Errorf("direct: %+v", direct)
			}
			if way.OK != (c.step == "") || r.OK != way.OK || !strings.Contains(way.Error, c.text) || !strings.Contains(way.Hint, c.hint) {
				t.Errorf("address: %+v", way)
			}
			if last := way.Steps[len(way.Steps)-1]; c.step != "" && (last.Name != c.step || last.OK) {
				t.Errorf("the last step is %+v, of %+v", last, way.Steps)
			}
		})
	}
}

func TestCheckTimeout(t *testing.T) {
	t.Parallel()
	us := newSentry(t, "REGION", "")
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	r := Check(t.Context(), region(t, us, silent.URL, "external"), CheckOptions{Timeout: 200 * time.Millisecond})
	if way := r.Silos[0].Ways[1]; way.Error != "no answer in time" {
		t.Errorf("got %+v", way)
	}
}

// Two regions give the same answers, but only one logs the request.
func TestCheckMatchesLogs(t *testing.T) {
	t.Parallel()
	logs := t.TempDir()
	us := newSentry(t, "REGION", filepath.Join(logs, "us.log"))
	eu := newSentry(t, "REGION", filepath.Join(logs, "eu.log"))
	s := region(t, us, eu.URL, "external")
	other := region(t, eu, eu.URL, "external").Silos[0]
	other.Name = "eu"
	s.Silos = append(s.Silos, other)
	r := Check(t.Context(), s, CheckOptions{Timeout: 5 * time.Second, Logs: logs})
	if way := r.Silos[0].Ways[1]; way.OK || way.Error != "eu answers there" || way.Answered == nil || *way.Answered != "eu" {
		t.Errorf("us: %+v", way)
	}
	if way := r.Silos[1].Ways[1]; !way.OK || way.Answered == nil || *way.Answered != "eu" || way.Steps[len(way.Steps)-1].Name != Name {
		t.Errorf("eu: %+v", way)
	}
	if r.OK || r.Silos[0].OK || !r.Silos[1].OK {
		t.Errorf("report: %+v", r)
	}
}

func TestHealthCheck(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case requests <- r:
		default: // enough
		}
		w.WriteHeader(http.StatusTeapot)
	}))
	t.Cleanup(s.Close)
	snapshot := region(t, s, s.URL, "local")
	r := Check(t.Context(), snapshot, CheckOptions{Timeout: 5 * time.Second, HealthCheck: func(string) HealthCheck {
		return HealthCheck{Path: "/up?full=1", Status: http.StatusTeapot, Header: http.Header{"Authorization": {"Basic eDp5"}}}
	}})
	if !r.OK || r.Silos[0].Ways[0].Mode != nil || r.Silos[0].Ways[0].Answered != nil || *r.Silos[0].Ways[1].Answered != "us" {
		t.Errorf("got %+v", r)
	}
	close(requests)
	with, without := 0, 0
	for request := range requests {
		if request.URL.Path == "/up" && !strings.HasPrefix(request.URL.RawQuery, "full=1&silo-check=") {
			t.Errorf("requested %s", request.URL)
		}
		if request.Header.Get("Authorization") == "" {
			without++
		} else {
			with++
		}
	}
	if with != 3 || without != 3 {
		t.Errorf("%d requests with a password, %d without", with, without)
	}
}

func TestHealthCheckAny(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	odd := Check(t.Context(), region(t, s, s.URL, "local"), CheckOptions{Timeout: 5 * time.Second, HealthCheck: func(string) HealthCheck { return HealthCheck{Path: "/", Any: true} }})
	if !odd.OK {
		t.Errorf("got %+v", odd)
	}
}
