package tunnels_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"silo/tunnels"
)

func other(t *testing.T, kind string, h *history) tunnels.Provider {
	t.Helper()
	p, err := tunnels.New(tunnels.Config{Provider: kind, Changed: h.changed})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

func listener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closed(t *testing.T, l net.Listener) bool {
	t.Helper()
	err := l.Close()
	return errors.Is(err, net.ErrClosed)
}

func TestLocalServesOnTheGivenListener(t *testing.T) {
	t.Parallel()
	h := newHistory()
	p := other(t, tunnels.Local, h)
	spec := silo(t, "eu")
	spec.Listener = listener(t)
	free := silo(t, "us")
	opened := open(t, p, spec, free)
	if opened[0].URL() != "http://"+spec.Listener.Addr().String() {
		t.Errorf("url %s", opened[0].URL())
	}
	for i, name := range []string{"eu", "us"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, opened[i].URL()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Close = true
		request.Header.Set("X-Forwarded-For", "6.6.6.6")
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.Header.Get("Silo") != name || !strings.HasPrefix(response.Header.Get("Seen-Forwarded"), "127.0.0.1 ") {
			t.Errorf("asked %s: %v", name, response.Header)
		}
	}
	if err := opened[0].Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", spec.Listener.Addr().String()); err == nil {
		t.Error("the listener is still open")
	}
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	late := silo(t, "de")
	late.Listener = listener(t)
	if _, err := p.Open(t.Context(), late); err == nil || !closed(t, late.Listener) {
		t.Errorf("opened after Close: %v", err)
	}
	if got := h.states("eu"); got != "opening online" {
		t.Errorf("eu: states %s", got)
	}
}

func TestLocalReportsAFailedListener(t *testing.T) {
	t.Parallel()
	h := newHistory()
	spec := silo(t, "eu")
	spec.Listener = listener(t)
	open(t, other(t, tunnels.Local, h), spec)
	_ = spec.Listener.Close()
	if lost := h.await(t, "eu", tunnels.Lost); lost.Err.Code != "edge_failed" {
		t.Errorf("lost for %+v", lost.Err)
	}
}

func TestFixedAddresses(t *testing.T) {
	t.Parallel()
	at := func() string { return "127.0.0.1:8002" }
	cases := map[string]struct {
		kind string
		spec tunnels.Spec
		url  string
		want tunnels.State
	}{
		"external url":    {tunnels.External, tunnels.Spec{Name: "eu", URL: "https://eu.example.com:8443", Upstream: at}, "https://eu.example.com:8443", tunnels.Online},
		"external domain": {tunnels.External, tunnels.Spec{Name: "eu", Domain: "eu.example.com", Upstream: at}, "https://eu.example.com", tunnels.Online},
		"none":            {tunnels.None, tunnels.Spec{Name: "eu", Domain: "eu.example.com", Upstream: at}, "http://127.0.0.1:8002", tunnels.Unneeded},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			c.spec.Listener = listener(t)
			tunnel := open(t, other(t, c.kind, h), c.spec)[0]
			if tunnel.URL() != c.url || tunnel.Status().State != c.want || tunnel.Name() != "eu" {
				t.Errorf("%s is %s", tunnel.URL(), tunnel.Status().State)
			}
			if !closed(t, c.spec.Listener) {
				t.Error("the listener was left open")
			}
			if err := tunnel.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := other(t, tunnels.External, newHistory()).Open(t.Context(), tunnels.Spec{Name: "eu"}); err == nil {
		t.Error("opened an external tunnel without an address")
	}
}

func TestNewRefusesAnUnknownProvider(t *testing.T) {
	t.Parallel()
	if _, err := tunnels.New(tunnels.Config{Provider: "carrier pigeon"}); err == nil || !strings.Contains(err.Error(), "carrier pigeon") {
		t.Errorf("got %v", err)
	}
}

// fakeProvider fails for the silo "lost" and blocks for the silo "slow".
type fakeProvider struct{ closed chan string }

type fakeTunnel struct {
	tunnels.Tunnel
	name   string
	closed chan string
}

func (p fakeProvider) Open(ctx context.Context, spec tunnels.Spec) (tunnels.Tunnel, error) {
	switch spec.Name {
	case "lost":
		return nil, errors.New("refused")
	case "slow":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return fakeTunnel{name: spec.Name, closed: p.closed}, nil
}
func (p fakeProvider) Close(context.Context) error { return nil }

func (p fakeTunnel) Close(context.Context) error {
	p.closed <- p.name
	return nil
}

func TestOpenAllIsAllOrNothing(t *testing.T) {
	t.Parallel()
	p := fakeProvider{closed: make(chan string, 2)}
	specs := []tunnels.Spec{{Name: "control"}, {Name: "slow"}, {Name: "lost"}, {Name: "eu"}}
	opened, err := tunnels.OpenAll(t.Context(), p, specs)
	if opened != nil || err == nil || err.Error() != "open tunnel for lost: refused" {
		t.Errorf("got %v, %v", opened, err)
	}
	if len(p.closed) != 2 {
		t.Errorf("%d of 2 were closed", len(p.closed))
	}
}
