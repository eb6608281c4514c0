package tunnels_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"silo/tunnels"
	"silo/tunnels/ngroktest"
	"silo/wait/waittest"
)

func TestNgrokReconnectsAfterADrop(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	random := silo(t, "us")
	random.Domain = ""
	opened := open(t, provider(t, s, h), silo(t, "control"), random)
	h.await(t, "control", tunnels.Online)
	h.await(t, "us", tunnels.Online)
	url := opened[1].URL()

	s.DropSessions()
	for _, name := range []string{"control", "us"} {
		down := h.await(t, name, tunnels.Reconnecting)
		if down.Err == nil || down.Err.Class != tunnels.Transient || down.Attempt != 1 {
			t.Errorf("%s is down for %+v, attempt %d", name, down.Err, down.Attempt)
		}
		if up := h.await(t, name, tunnels.Online); up.Attempt != 0 {
			t.Errorf("%s is online with attempt %d", name, up.Attempt)
		}
	}
	if opened[1].URL() != url {
		t.Errorf("the address moved from %s to %s", url, opened[1].URL())
	}
	for i, name := range []string{"control", "us"} {
		if got := ask(t, s, strings.TrimPrefix(opened[i].URL(), "https://"), nil).header.Get("Silo"); got != name {
			t.Errorf("a request for %s: %q answered", name, got)
		}
	}
}

func TestNgrokReconnectsAfterAnOutage(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	open(t, provider(t, s, h), silo(t, "eu"))
	h.await(t, "eu", tunnels.Online)
	s.CloseListener()
	s.DropSessions()
	first := h.awaitCode(t, "eu", tunnels.Reconnecting, "unreachable")
	if again := h.awaitCode(t, "eu", tunnels.Reconnecting, "unreachable"); again.Attempt <= first.Attempt { // the end of the previous connection may be reported between the two
		t.Errorf("attempt %d comes after %d", again.Attempt, first.Attempt)
	}
	if err := s.ReopenListener(); err != nil {
		t.Fatal(err)
	}
	h.await(t, "eu", tunnels.Online)
	if got := ask(t, s, "eu.acme.test", nil).header.Get("Silo"); got != "eu" {
		t.Errorf("%q answered", got)
	}
}

func TestNgrokDetectsADeadConnectionByHeartbeat(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	open(t, provider(t, s, h, func(c *tunnels.Config) { c.Ngrok.Heartbeat = 500 * time.Millisecond }), silo(t, "eu"))
	h.await(t, "eu", tunnels.Online)
	// Before its first heartbeat, the SDK (v1.12.1, rawSession.Logger) has a data race
	// between a missed heartbeat and the end of the authentication.
	waittest.Until(t, "a heartbeat", func() bool { return s.Heartbeats() > 0 })
	s.Freeze()
	h.await(t, "eu", tunnels.Reconnecting)
	s.Thaw()
	h.await(t, "eu", tunnels.Online)
}

// The SDK gives up on every endpoint if one cannot be bound again.
func TestNgrokKeepsOtherEndpointsWhenOneIsRefused(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	opened := open(t, provider(t, s, h, withGrace(time.Nanosecond)), silo(t, "control"), silo(t, "eu"), silo(t, "us"))
	for _, name := range []string{"control", "eu", "us"} {
		h.await(t, name, tunnels.Online)
	}
	s.Occupy("eu.acme.test", true)
	s.DropSessions()
	dropped := time.Now()

	for _, name := range []string{"control", "us"} {
		if made := h.awaitCode(t, name, tunnels.Reconnecting, "disconnected"); strings.Contains(made.Err.Text, "already online") {
			t.Errorf("%s is down with eu's error: %+v", name, made.Err)
		}
	}
	lost := h.awaitCode(t, "eu", tunnels.Lost, "ERR_NGROK_334")
	if lost.Err.Class != tunnels.Conflict || !strings.Contains(lost.Err.Text, "eu.acme.test") {
		t.Errorf("lost for %+v", lost.Err)
	}
	for _, name := range []string{"control", "us"} {
		h.await(t, name, tunnels.Online)
		t.Logf("%s is online again %v after the drop", name, time.Since(dropped))
		if got := ask(t, s, name+".acme.test", nil).header.Get("Silo"); got != name {
			t.Errorf("a request for %s: %q answered", name, got)
		}
	}
	if state := opened[1].Status().State; state != tunnels.Lost {
		t.Errorf("eu is %s", state)
	}
	s.Occupy("eu.acme.test", false)
	h.await(t, "eu", tunnels.Online)
	if got := ask(t, s, "eu.acme.test", nil).header.Get("Silo"); got != "eu" {
		t.Errorf("%q answered", got)
	}
}

// The session's previous connection may hold the domain, if the service has not noticed
// yet that it ended.
func TestNgrokConflictIsTransientDuringTheGrace(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	open(t, provider(t, s, h, withGrace(time.Hour)), silo(t, "eu"))
	h.await(t, "eu", tunnels.Online)
	s.Occupy("eu.acme.test", true)
	s.DropSessions()
	first := h.awaitCode(t, "eu", tunnels.Reconnecting, "ERR_NGROK_334")
	if again := h.awaitCode(t, "eu", tunnels.Reconnecting, "ERR_NGROK_334"); first.Attempt < 2 || again.Attempt <= first.Attempt {
		t.Errorf("attempt %d, then %d", first.Attempt, again.Attempt)
	}
	s.Occupy("eu.acme.test", false)
	h.await(t, "eu", tunnels.Online)
	if strings.Contains(h.states("eu"), "lost") {
		t.Errorf("eu went %s", h.states("eu"))
	}
}

func TestNgrokLogsAccountAndWarnsOnce(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{Account: "ada " + token, Plan: "free", Deprecated: time.Date(2031, 2, 3, 0, 0, 0, 0, time.UTC)}), newHistory()
	var warned []string
	p := provider(t, s, h, func(c *tunnels.Config) {
		c.Warn = func(line string) {
			h.mu.Lock()
			defer h.mu.Unlock()
			warned = append(warned, line)
		}
	})
	open(t, p, silo(t, "eu"))
	h.await(t, "eu", tunnels.Online)
	s.DropSessions()
	h.await(t, "eu", tunnels.Reconnecting)
	h.await(t, "eu", tunnels.Online)
	h.mu.Lock()
	defer h.mu.Unlock()
	if logs := strings.Join(h.logs, "\n"); !strings.Contains(logs, "ngrok: connected to "+s.Addr()+", account ada (authtoken), plan free, region test") {
		t.Errorf("logged:\n%s", logs)
	}
	// The service repeats its warning on every connection.
	if len(warned) != 1 || !strings.Contains(warned[0], "from 2031-02-03 on: upgrade silo") {
		t.Errorf("warned of %q", warned)
	}
}

func TestNgrokReportsARevokedToken(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	open(t, provider(t, s, h), silo(t, "eu"))
	h.await(t, "eu", tunnels.Online)
	s.FailAuth("ERR_NGROK_107")
	s.DropSessions()
	h.awaitCode(t, "eu", tunnels.Lost, "ERR_NGROK_107")
	s.FailAuth("")
	h.await(t, "eu", tunnels.Online)
	h.mu.Lock()
	defer h.mu.Unlock()
	if logs := strings.Join(h.logs, "\n"); strings.Contains(logs, token) {
		t.Errorf("the authtoken is logged:\n%s", logs)
	}
}

func TestNgrokDoesNotRebindAStoppedEndpoint(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	opened := open(t, provider(t, s, h), silo(t, "control"), silo(t, "eu"))
	s.StopEndpoint("eu.acme.test", "stopped by an administrator", "")
	lost := h.awaitCode(t, "eu", tunnels.Lost, "stopped")
	if !strings.Contains(lost.Err.Text, "stopped by an administrator") {
		t.Errorf("lost for %+v", lost.Err)
	}
	if state := opened[0].Status().State; state != tunnels.Online {
		t.Errorf("control is %s", state)
	}

	// The SDK would bind it again, but not serve its clients.
	s.DropSessions()
	h.await(t, "control", tunnels.Reconnecting)
	h.await(t, "control", tunnels.Online)
	// The service may not have noticed yet that the previous connection has ended.
	waittest.Until(t, "the stopped endpoint is offline", func() bool {
		return ask(t, s, "eu.acme.test", nil).header.Get("Ngrok-Error-Code") == "ERR_NGROK_3200"
	})
	if got := ask(t, s, "control.acme.test", nil).header.Get("Silo"); got != "control" {
		t.Errorf("%q answered for control", got)
	}
}

func TestNgrokClosesWhileTheServiceIsFrozen(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	p := provider(t, s, h)
	opened := open(t, p, silo(t, "control"), silo(t, "eu"))
	s.Freeze()
	start := time.Now()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := opened[1].Close(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closing one: %v", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Errorf("closing all: %v", err)
	}
	if took := time.Since(start); took > prompt {
		t.Errorf("took %v", took)
	}
	if got := h.states("control") + ", " + h.states("eu"); got != "opening online, opening online" {
		t.Errorf("Close changed a status: %s", got)
	}
}

func TestNgrokClosesWhileDisconnected(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	p := provider(t, s, h, withGrace(time.Nanosecond))
	opened := open(t, p, silo(t, "control"), silo(t, "eu"))
	s.FailAuth("ERR_NGROK_108") // the SDK's backoff grows
	s.DropSessions()
	h.awaitCode(t, "eu", tunnels.Lost, "ERR_NGROK_108")
	if err := opened[1].Close(t.Context()); err != nil {
		t.Error(err)
	}
	start := time.Now()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(start); took > prompt {
		t.Errorf("took %v", took)
	}
}

func TestNgrokOpenEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for name, freeze := range map[string]func(*ngroktest.Service){
		"while connecting": func(s *ngroktest.Service) { s.Freeze() },
		"while binding":    func(s *ngroktest.Service) { s.DelayReplies(time.Minute / 60) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := service(t, ngroktest.Options{})
			p := provider(t, s, newHistory())
			freeze(s)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			_, err := tunnels.OpenAll(ctx, p, []tunnels.Spec{silo(t, "control"), silo(t, "eu")})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNgrokBoundsOpen(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	// Long enough for the first request on a busy machine.
	p := provider(t, s, newHistory(), withTimeout(3*time.Second))
	open(t, p, silo(t, "control"))
	s.Freeze()
	if _, err := p.Open(t.Context(), silo(t, "eu")); failure(t, err).Code != "no_answer" {
		t.Errorf("got %v", err)
	}
}

func TestNgrokOpensAfterAFailure(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	p := provider(t, s, newHistory())
	s.FailAuth("ERR_NGROK_108")
	if _, err := p.Open(t.Context(), silo(t, "eu")); failure(t, err).Class != tunnels.Conflict {
		t.Errorf("got %v", err)
	}
	s.FailAuth("")
	open(t, p, silo(t, "eu"))
}

func TestNgrokClosesOneTunnel(t *testing.T) {
	t.Parallel()
	s := service(t, ngroktest.Options{})
	opened := open(t, provider(t, s, newHistory()), silo(t, "control"), silo(t, "eu"))
	for range 2 {
		if err := opened[1].Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left := s.Endpoints(); len(left) != 1 || left[0].Host != "control.acme.test" || s.Sessions() != 1 {
		t.Errorf("endpoints left at the service: %v", left)
	}
}

// A client that does not read its answer blocks neither Close nor other tunnels.
func TestNgrokClosesDespiteAStalledClient(t *testing.T) {
	t.Parallel()
	for name, asked := range map[string]string{
		"plain":     "GET / HTTP/1.1\r\nHost: eu.acme.test\r\n\r\n",
		"not plain": "POST / HTTP/1.1\r\nHost: eu.acme.test\r\nContent-Length: 1\r\n\r\nx",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stuck := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				var sent atomic.Int64
				done := make(chan struct{})
				defer close(done)
				go func() { // until the client's buffers are full
					for before := int64(-1); before != sent.Load(); {
						before = sent.Load()
						select {
						case <-time.After(500 * time.Millisecond):
						case <-done:
							return
						}
					}
					close(stuck)
				}()
				for {
					n, err := w.Write(make([]byte, 64<<10))
					if err != nil {
						return
					}
					sent.Add(int64(n))
				}
			}))
			t.Cleanup(server.Close)
			s := service(t, ngroktest.Options{})
			spec := tunnels.Spec{Name: "eu", Domain: "eu.acme.test", Upstream: server.Listener.Addr().String}
			opened := open(t, provider(t, s, newHistory()), spec, silo(t, "us"))
			conn, err := net.Dial("tcp", s.PublicAddr())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			_, _ = io.WriteString(conn, asked)
			waittest.Receive(t, stuck, "a stalled answer")
			if err := opened[0].Close(t.Context()); err != nil {
				t.Error(err)
			}
			if got := ask(t, s, "us.acme.test", []byte("hello")); string(got.body) != "hello" {
				t.Errorf("the other tunnel answers %d %q", got.status, got.body)
			}
		})
	}
}
