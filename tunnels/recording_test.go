package tunnels_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"silo/traffic"
	"silo/tunnels"
	"silo/tunnels/ngroktest"
	"silo/wait/waittest"
)

// recorder returns a Recording that identifies every caller as the region us.
func recorder() *tunnels.Recording {
	us := "us"
	return &tunnels.Recording{
		Log:    traffic.NewLog(traffic.DefaultLimit),
		Caller: func(net.Addr, net.Addr) traffic.Caller { return traffic.Caller{Silo: &us} },
	}
}

// only waits until the only exchange of a log has ended, and returns it.
func only(t *testing.T, log *traffic.Log) traffic.Exchange {
	t.Helper()
	limit := time.After(waittest.Limit)
	for {
		list, _, changed := log.Since(0, traffic.Filter{})
		if len(list) == 1 && list[0].State != traffic.Open {
			return list[0].Exchange
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("the log has %+v", list)
		}
	}
}

// replayed replays an exchange through its tunnel and compares the answers.
func replayed(t *testing.T, tunnel tunnels.Tunnel, e traffic.Exchange) {
	t.Helper()
	me := "me"
	again, err := tunnel.Replay(t.Context(), e, traffic.Caller{Program: &me})
	if err != nil || again.Status != e.Status || string(again.Response.Body) != string(e.Response.Body) || *again.ReplayOf != e.ID || again.Caller.Name() != "me" {
		t.Errorf("replayed %+v, %v", again, err)
	}
}

func TestLocalRecords(t *testing.T) {
	t.Parallel()
	record := recorder()
	p, err := tunnels.New(tunnels.Config{Provider: tunnels.Local, Recording: record})
	if err != nil {
		t.Fatal(err)
	}
	tunnel := open(t, p, silo(t, "eu"))[0]
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, tunnel.URL()+"/", strings.NewReader("a body"))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	e := only(t, record.Log)
	if e.Silo != "eu" || e.Caller.Name() != "us" || string(e.Request.Body) != "a body" {
		t.Errorf("got %+v", e)
	}
	replayed(t, tunnel, e)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNgrokRecords(t *testing.T) {
	t.Parallel()
	s, record := service(t, ngroktest.Options{}), recorder()
	p := provider(t, s, newHistory(), func(c *tunnels.Config) { c.Recording = record })
	tunnel := open(t, p, silo(t, "eu"))[0]
	if got := ask(t, s, "eu.acme.test", []byte("a body")); got.status != http.StatusOK {
		t.Fatalf("got %+v", got)
	}
	e := only(t, record.Log)
	if e.Silo != "eu" || e.Caller.Name() != "outside" || e.Caller.Address != "127.0.0.1" || string(e.Request.Body) != "a body" {
		t.Errorf("got %+v", e)
	}
	replayed(t, tunnel, e)
}

func TestExternalCannotReplay(t *testing.T) {
	t.Parallel()
	tunnel := open(t, other(t, tunnels.External, newHistory()), tunnels.Spec{Name: "eu", URL: "https://eu.example.com"})[0]
	if _, err := tunnel.Replay(t.Context(), traffic.Exchange{Method: http.MethodGet, Path: "/"}, traffic.Caller{}); err == nil {
		t.Error("Replay succeeded without a proxy")
	}
}
