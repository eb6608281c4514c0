package tunnels_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"silo/tunnels"
	"silo/tunnels/ngroktest"
	"silo/wait/waittest"
)

// fromEnv returns a number from the environment, or a default.
func fromEnv(t *testing.T, name string, fallback int) int {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		return fallback
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// load sends requests to silos repeatedly and counts their outcomes.
type load struct {
	passed, failed, hung atomic.Int64
	last                 atomic.Value // the last failure
}

// run sends requests for host until ctx ends, on its own connections.
func (l *load) run(ctx context.Context, s *ngroktest.Service, host, want string) {
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	for ctx.Err() == nil {
		switch err := l.ask(ctx, transport, s, host, want); {
		case err == nil:
			l.passed.Add(1)
		case ctx.Err() != nil:
		case strings.Contains(err.Error(), context.DeadlineExceeded.Error()):
			l.hung.Add(1)
		default:
			l.failed.Add(1)
			l.last.Store(err.Error())
			<-time.After(5 * time.Millisecond)
		}
	}
}

// errNotTheSilo is returned for an answer that did not come from the silo.
var errNotTheSilo = errors.New("not the silo's answer")

// await waits until n more requests have succeeded.
func (l *load) await(t *testing.T, n int64) {
	t.Helper()
	before, bound := l.passed.Load(), time.After(waittest.Limit)
	for l.passed.Load() < before+n {
		select {
		case <-time.After(time.Millisecond):
		case <-bound:
			t.Fatalf("%d requests succeeded, the last failure was %v", l.passed.Load()-before, l.last.Load())
		}
	}
}

func (l *load) ask(ctx context.Context, transport http.RoundTripper, s *ngroktest.Service, host, want string) error {
	ctx, cancel := context.WithTimeout(ctx, waittest.Limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.PublicAddr()+"/", strings.NewReader("body"))
	if err != nil {
		return err
	}
	request.Host = host
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if got := response.Header.Get("Silo"); response.StatusCode != http.StatusOK || got != want {
		return fmt.Errorf("%w: %s %s from %q", errNotTheSilo, response.Status, response.Header.Get("Ngrok-Error-Code"), got)
	}
	return nil
}

// Requests that are in flight when the session breaks may fail, but none hangs, and
// every tunnel reconnects each time.
func TestNgrokReconnectsAfterEveryDrop(t *testing.T) {
	t.Parallel()
	s, h := service(t, ngroktest.Options{}), newHistory()
	names := []string{"control", "us", "eu"}
	specs := make([]tunnels.Spec, len(names))
	for i, name := range names {
		specs[i] = silo(t, name)
	}
	open(t, provider(t, s, h), specs...)
	for _, name := range names {
		h.await(t, name, tunnels.Online)
	}
	ctx, stop := context.WithCancel(t.Context())
	var loads load
	var loading sync.WaitGroup
	for i := range 9 {
		loading.Go(func() { loads.run(ctx, s, specs[i%len(specs)].Domain, names[i%len(names)]) })
	}
	var dropped, away []time.Duration
	for i := range fromEnv(t, "SILO_NGROK_DROPS", 10) {
		outage := i%2 == 1
		if outage { // the service is also unreachable for a while
			s.CloseListener()
		}
		s.DropSessions()
		for _, name := range names {
			h.await(t, name, tunnels.Reconnecting)
		}
		if outage {
			<-time.After(time.Duration(50+10*(i%40)) * time.Millisecond)
			if err := s.ReopenListener(); err != nil {
				t.Fatal(err)
			}
		}
		back := time.Now()
		for _, name := range names {
			h.await(t, name, tunnels.Online)
		}
		if outage {
			away = append(away, time.Since(back))
		} else {
			dropped = append(dropped, time.Since(back))
		}
		loads.await(t, 3*int64(len(names)))
	}
	stop()
	loading.Wait()
	slices.Sort(dropped)
	slices.Sort(away)
	t.Logf("reconnected after a drop: median %v, slowest %v; after an outage: median %v, slowest %v; %d requests succeeded, %d failed, %d hung",
		dropped[len(dropped)/2], dropped[len(dropped)-1], away[len(away)/2], away[len(away)-1], loads.passed.Load(), loads.failed.Load(), loads.hung.Load())
	if loads.hung.Load() > 0 || loads.passed.Load() == 0 {
		t.Errorf("%d requests hung, %d succeeded", loads.hung.Load(), loads.passed.Load())
	}
	for _, name := range names {
		if got := ask(t, s, name+".acme.test", nil).header.Get("Silo"); got != name {
			t.Errorf("a request for %s: %q answered", name, got)
		}
	}
}
