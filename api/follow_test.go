package api

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"silo/traffic"
	"silo/wait/waittest"
)

func TestFollowerReportsEachOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var reported []traffic.Exchange
		f := newFollower(func(e traffic.Exchange) { reported = append(reported, e) })
		for i, step := range []struct {
			id     uint64
			state  traffic.State
			status int
			at     time.Duration // since the exchange began
			want   []uint64
		}{
			{1, traffic.Done, 200, 0, []uint64{1}},
			{2, traffic.Open, 0, 0, nil}, // may end within the second
			{3, traffic.Open, 0, 0, nil},
			{4, traffic.Broken, 0, 0, []uint64{4}},
			{2, traffic.Open, 200, longOpen - 1, nil}, // its response begins
			{3, traffic.Done, 200, longOpen - 1, []uint64{3}},
			{5, traffic.Done, 200, longOpen, []uint64{2, 5}},
			{2, traffic.Open, 200, time.Minute, nil}, // its caller is known
			{2, traffic.Done, 200, time.Hour, []uint64{2}},
			{6, traffic.Open, 0, time.Hour, []uint64{6}}, // began long ago
			{6, traffic.Done, 0, time.Hour, []uint64{6}},
		} {
			time.Sleep(time.Until(began.Add(step.at)))
			synctest.Wait()
			f.add(traffic.Exchange{ID: step.id, State: step.state, Status: step.status, Started: began})
			f.mu.Lock() // held for each report
			lines := reported
			reported = nil
			f.mu.Unlock()
			var ids []uint64
			for _, e := range lines {
				ids = append(ids, e.ID)
				if e.ID == 2 && e.Status != 200 {
					t.Errorf("line %d: reported before its update: %+v", i, e)
				}
			}
			if !slices.Equal(ids, step.want) {
				t.Errorf("line %d: reported %v, want %v", i, ids, step.want)
			}
		}
		f.add(traffic.Exchange{ID: 7, State: traffic.Open, Started: time.Now()})
		f.close()
		time.Sleep(longOpen)
		synctest.Wait()
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(reported) > 0 {
			t.Errorf("reported after close: %+v", reported)
		}
	})
}

// If the log drops an exchange that is still open, a follower never sees its end.
func TestFollowerForgets(t *testing.T) {
	t.Parallel()
	const all = 5 * traffic.MaxExchanges
	f := newFollower(func(traffic.Exchange) {})
	for id := range uint64(all) {
		f.add(traffic.Exchange{ID: id, State: traffic.Open})
	}
	if len(f.open) > 3*traffic.MaxExchanges {
		t.Errorf("%d are remembered", len(f.open))
	}
	for id := uint64(all - traffic.MaxExchanges); id < all; id++ {
		if f.open[id].State == "" {
			t.Fatalf("%d may still end but was forgotten", id)
		}
	}
}

func TestFollowRequests(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	pass(in.Traffic(), "us", "/before", http.StatusOK)
	stream := traffic.Exchange{Silo: "us", Path: "/stream", Started: time.Now().Add(-time.Minute)}
	in.Traffic().Begin(&stream)
	var ids []uint64
	err := client.FollowRequests(t.Context(), traffic.Filter{}, 0, func(e traffic.Exchange) bool {
		ids = append(ids, e.ID)
		if e.ID == stream.ID && e.State == traffic.Open {
			pass(in.Traffic(), "us", "/after", http.StatusOK)
			stream.State = traffic.Done
			in.Traffic().End(&stream)
		}
		return len(ids) < 4
	})
	must(t, err)
	if ids[0] != 1 || ids[1] != stream.ID || ids[2]+ids[3] != 3+stream.ID {
		t.Errorf("reported: %v", ids)
	}
}

// A reader that was disconnected because it was too slow gets everything that it missed,
// and nothing twice.
func TestSlowFollowerMissesNothing(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), timeouts{read: time.Second, write: 50 * time.Millisecond, heartbeat: 10 * time.Millisecond})
	disconnected := make(chan struct{})
	var once sync.Once
	s.http.ConnState = func(_ net.Conn, to http.ConnState) {
		if to == http.StateClosed {
			once.Do(func() { close(disconnected) })
		}
	}
	listener := make(pipes)
	s.serve(listener)
	c := &Client{dir: i.dir, http: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return listener.dial(), nil },
	}}}
	const all = 100
	pass(i.Traffic(), "us", "/before", http.StatusOK)
	reports := map[uint64]int{}
	err := c.FollowRequests(t.Context(), traffic.Filter{}, 0, func(e traffic.Exchange) bool {
		reports[e.ID]++
		switch len(reports) {
		case 1:
			for range all - 1 {
				pass(i.Traffic(), "us", "/after", http.StatusOK)
			}
		case 2:
			waittest.Receive(t, disconnected, "the disconnection")
		}
		return len(reports) < all
	})
	must(t, err)
	for id, times := range reports {
		if times != 1 {
			t.Errorf("request %d is reported %d times", id, times)
		}
	}
	c.Close()
	must(t, s.Close(t.Context()))
	i.end(t)
}
