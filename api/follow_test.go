package api

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"silo/traffic"
	"silo/wait/waittest"
)

func TestFollowerReportsEachOnce(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	line := func(version, id uint64, state traffic.State) requestUpdate {
		return requestUpdate{version, traffic.Exchange{ID: id, State: state, Started: began}}
	}
	f := newFollower(5)
	for i, step := range []struct {
		line requestUpdate
		want bool
	}{
		{line(5, 1, traffic.Done), true},   // one of two with this version
		{line(5, 2, traffic.Open), false},  // may end within the second
		{line(5, 1, traffic.Done), false},  // repeated after the stream broke off
		{line(5, 2, traffic.Open), false},  // repeated too
		{line(8, 3, traffic.Broken), true}, // the last of its version
		{line(8, 4, traffic.Open), false},
		{line(9, 4, traffic.Done), true},
	} {
		if got := f.add(step.line); got != step.want {
			t.Errorf("line %d: reported: %v", i, got)
		}
	}
	if early := f.takeLong(began.Add(longOpen - 1)); len(early) > 0 || f.nextLong(began) == nil {
		t.Errorf("reported early: %v", early)
	}
	if late := f.takeLong(began.Add(longOpen)); len(late) != 1 || late[0].ID != 2 {
		t.Errorf("reported after a second: %v", late)
	}
	if f.add(line(9, 2, traffic.Open)) || f.nextLong(began) != nil {
		t.Error("a change of an open exchange is reported")
	}
	if again := f.takeLong(began.Add(time.Hour)); len(again) > 0 || f.nextLong(began) != nil {
		t.Errorf("reported again: %v", again)
	}
	if !f.add(line(12, 2, traffic.Done)) {
		t.Error("its end is not reported")
	}
}

// An exchange that left the log while it was open never ends for a follower.
func TestFollowerForgets(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	const reported, all = 1000, 5 * traffic.MaxExchanges
	f := newFollower(0)
	for id := range uint64(all) {
		f.add(requestUpdate{id, traffic.Exchange{ID: id, State: traffic.Open, Started: began}})
		if (id+1)%reported == 0 {
			f.takeLong(began.Add(longOpen))
		}
	}
	if n := len(f.reported) + len(f.open); n > 3*traffic.MaxExchanges {
		t.Errorf("%d are remembered", n)
	}
	for id := uint64(all - traffic.MaxExchanges); id < all; id++ {
		if f.reported[id] == "" && f.open[id].State == "" {
			t.Fatalf("%d may still end and is forgotten", id)
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

// A reader that was disconnected because it was too slow gets all the rest, and
// nothing twice.
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
