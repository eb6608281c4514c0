package orchestrator

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"silo/plan"
	"silo/state"
	"silo/traffic"
	"silo/wait/waittest"
)

// withEU returns the tables of another region and of an isolation.
func withEU(isolation string) string {
	return fmt.Sprintf("[region.eu]\nid = 2\nport = 0\nenv = { %s = \"plain\" }\n[isolation]\nregions = %q\n", standInEnv, isolation)
}

// call makes one silo call another, and returns the status of the answer.
func (f *fixture) call(t *testing.T, from, to string) int {
	t.Helper()
	silos := map[string]state.Silo{}
	for _, s := range f.Snapshot().Silos {
		silos[s.Name] = s
	}
	response, err := http.Get("http://" + silos[from].Bind + "/call?url=" + url.QueryEscape(silos[to].URL+"/from/"+from))
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

// passed waits until the latest exchange that matches a filter has ended, and returns it.
func (f *fixture) passed(t *testing.T, filter traffic.Filter) traffic.Exchange {
	t.Helper()
	timeout := time.After(waittest.Limit)
	for {
		_, _, changed := f.Traffic().Since(0, traffic.Filter{})
		list, _ := f.Traffic().List(filter, 1)
		if len(list) == 1 && list[0].State != traffic.Open {
			return list[0]
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("no exchange has ended within %v: %+v", waittest.Limit, list)
		}
	}
}

func TestCallersAreRecorded(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", withEU("warn"))
	must(t, b.Await(t.Context()))
	for _, c := range []struct {
		from, to string
		crossing bool
	}{{"control", "us", false}, {"eu", "control", false}, {"eu", "us", true}, {"us", "eu", true}, {"us", "us", false}} {
		if status := b.call(t, c.from, c.to); status != http.StatusNotFound { // the stand-in has no such path
			t.Errorf("%s → %s: status %d", c.from, c.to, status)
		}
		e := b.passed(t, traffic.Filter{Path: "/from/" + c.from, Silos: []string{c.to}})
		if e.Caller.Name() != c.from || e.Caller.PID == nil || e.Crossing != c.crossing || e.Blocked {
			t.Errorf("%s → %s: %+v, caller %s", c.from, c.to, e, e.Caller.Name())
		}
	}
	// This process does not belong to a silo.
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections() // not before the caller was looked up
	response, err := client.Get(b.us().URL + "/_health/")
	must(t, err)
	_, _ = io.Copy(io.Discard, response.Body) // otherwise Close would close the connection
	must(t, response.Body.Close())
	if e := b.passed(t, traffic.Filter{Path: "/_health/"}); e.Caller.Silo != nil || e.Caller.PID == nil || *e.Caller.PID != os.Getpid() || *e.Caller.Program == "" {
		t.Errorf("this process is %+v in %+v", e.Caller, e)
	}
	calls := map[string]int64{}
	for _, c := range b.Traffic().Calls() {
		calls[c.From+" "+c.To] = c.Requests
	}
	if calls["control us"] != 1 || calls["eu us"] != 1 || calls["us us"] != 1 {
		t.Errorf("counted %v", calls)
	}
}

func TestIsolation(t *testing.T) {
	t.Parallel()
	for isolation, want := range map[string]struct {
		status            int
		crossing, blocked bool
	}{"off": {404, false, false}, "block": {403, true, true}} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			b := start(t, "plain", withEU(isolation))
			must(t, b.Await(t.Context()))
			if status := b.call(t, "control", "us"); status != http.StatusNotFound {
				t.Errorf("control gets %d", status)
			}
			if status := b.call(t, "eu", "us"); status != want.status {
				t.Errorf("eu gets %d", status)
			}
			e := b.passed(t, traffic.Filter{Path: "/from/eu"})
			if e.Caller.Name() != "eu" || e.Crossing != want.crossing || e.Blocked != want.blocked {
				t.Errorf("got %+v", e)
			}
			// The caller of a replay is the user, not the region.
			if again, err := b.Replay(t.Context(), e.ID, ""); err != nil || again.Status != 404 || again.Crossing {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestCallerThatHasClosedItsConnectionIsGone(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux distinguishes callers that are gone")
	}
	b := start(t, "plain", "")
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = listener.Close() }()
	client, err := net.Dial("tcp4", listener.Addr().String())
	must(t, err)
	server, err := listener.Accept()
	must(t, err)
	defer func() { _ = server.Close() }()
	observer := b.placement().traffic
	if c := observer.caller(server.LocalAddr(), server.RemoteAddr()); c.Gone || c.PID == nil {
		t.Errorf("before its end the caller is %+v", c)
	}
	must(t, client.Close())
	waittest.Until(t, "the caller is gone", func() bool { // a child of another test may have a copy of the connection
		return observer.caller(server.LocalAddr(), server.RemoteAddr()).Gone
	})
	// A caller on another machine cannot be identified, but is not gone.
	far := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	if c := observer.caller(server.LocalAddr(), far); c.Gone || c.PID != nil {
		t.Errorf("a caller on another machine is %+v", c)
	}
}

// A caller that does not wait for the answer may have exited before it is looked up.
func TestIsolationBlocksCallerThatDoesNotWait(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", withEU("block"))
	must(t, b.Await(t.Context()))
	eu, us := b.Snapshot().Silos[2], b.us()
	for range 10 {
		response, err := http.Get("http://" + eu.Bind + "/fire?at=" + strings.TrimPrefix(us.URL, "http://"))
		must(t, err)
		must(t, response.Body.Close())
		b.passed(t, traffic.Filter{Path: "/fired"})
	}
	if lines := b.Tail("us", 100); slices.Contains(lines, "fired") {
		t.Errorf("%d of 10 requests were forwarded", len(lines)-1)
	}
}

func TestReplayGoesToAnotherSilo(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.us().URL+"/_health/?a=1", http.NoBody)
	must(t, err)
	request.Header.Set("Authorization", "Bearer secret")
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	_, _ = io.Copy(io.Discard, response.Body)
	must(t, response.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	first := b.passed(t, traffic.Filter{Path: "/_health/"})
	for to, want := range map[string]string{"": "us", "control": "control"} {
		again, err := b.Replay(t.Context(), first.ID, to)
		must(t, err)
		if again.Silo != want || *again.ReplayOf != first.ID || again.Status != 200 || string(again.Response.Body) != "ok" ||
			again.Path != "/_health/?a=1" || again.Request.Header.Get("Authorization") != "Bearer secret" || again.Caller.Name() != "silo" {
			t.Errorf("to %q: %+v", to, again)
		}
	}
	must(t, b.Stop("us"))
	b.until(t, "stopped", func() bool { return b.us().State == state.Stopped })
	if again, err := b.Replay(t.Context(), first.ID, "us"); err != nil || again.Fault == nil || *again.Fault != "down" {
		t.Errorf("to a stopped silo: %+v, %v", again, err)
	}
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	log := b.Traffic()
	begun := traffic.Exchange{Silo: "us", Method: "GET", Path: "/"}
	log.Begin(&begun)
	open := begun.ID
	cut, upgraded, plain := open+1, open+2, open+3
	for _, e := range []traffic.Exchange{
		{Silo: "us", Method: "GET", Path: "/", Request: traffic.Message{Truncated: true}},
		{Silo: "us", Method: "GET", Path: "/", Status: http.StatusSwitchingProtocols},
		{Silo: "us", Method: "GET", Path: "/"},
	} {
		log.Begin(&e)
		e.State = traffic.Done
		log.End(&e)
	}
	for id, words := range map[uint64]string{open: "has not ended", cut: "only part", upgraded: "another protocol"} {
		var refused *UnrepeatableError
		if _, err := b.Replay(t.Context(), id, ""); !errors.As(err, &refused) || refused.ID != id || !strings.Contains(err.Error(), words) {
			t.Errorf("%d: %v", id, err)
		}
	}
	if _, err := b.Replay(t.Context(), 4711, ""); !errors.Is(err, ErrNotKept) {
		t.Errorf("got %v", err)
	}
	var unknown *plan.UnknownSiloError
	if _, err := b.Replay(t.Context(), plain, "nosuch"); !errors.As(err, &unknown) {
		t.Errorf("got %v", err)
	}
}
