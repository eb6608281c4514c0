package api

import (
	"context"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"silo/traffic"
)

// What a follower tells, by the lines of a watch and the clock.
func TestAFollowerTellsEachOnce(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	line := func(version, id uint64, state traffic.State) requestUpdate {
		return requestUpdate{version, traffic.Exchange{ID: id, State: state, Started: began}}
	}
	f := newFollower(5)
	for i, step := range []struct {
		line requestUpdate
		told bool
	}{
		{line(5, 1, traffic.Done), true},   // of a batch
		{line(5, 2, traffic.Open), false},  // it may end within the second
		{line(5, 1, traffic.Done), false},  // the stream broke off: the batch comes again
		{line(5, 2, traffic.Open), false},  // with it
		{line(8, 3, traffic.Broken), true}, // its last
		{line(8, 4, traffic.Open), false},
		{line(9, 4, traffic.Done), true},
	} {
		if told := f.take(step.line); told != step.told {
			t.Errorf("line %d: told: %v", i, told)
		}
	}
	if early := f.lasting(began.Add(lasting - 1)); len(early) > 0 || f.due(began) == nil {
		t.Errorf("before the second is over: %v", early)
	}
	if late := f.lasting(began.Add(lasting)); len(late) != 1 || late[0].ID != 2 {
		t.Errorf("after it: %v", late)
	}
	if f.take(line(9, 2, traffic.Open)) || f.due(began) != nil {
		t.Error("more of it became known, and it is told again")
	}
	if again := f.lasting(began.Add(time.Hour)); len(again) > 0 || f.due(began) != nil {
		t.Errorf("and never again: %v", again)
	}
	if !f.take(line(12, 2, traffic.Done)) {
		t.Error("its end is told")
	}
}

// What has made room in the log while it was open never ends for a follower.
func TestAFollowerForgetsWhatIsNotKept(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	const told, all = 1000, 5 * traffic.MaxExchanges
	f := newFollower(0)
	for id := range uint64(all) {
		f.take(requestUpdate{id, traffic.Exchange{ID: id, State: traffic.Open, Started: began}})
		if (id+1)%told == 0 {
			f.lasting(began.Add(lasting))
		}
	}
	if n := len(f.lasted) + len(f.open); n > 3*traffic.MaxExchanges {
		t.Errorf("%d are still awaited", n)
	}
	for id := uint64(all - traffic.MaxExchanges); id < all; id++ {
		if !f.lasted[id] && f.open[id].State == "" {
			t.Fatalf("%d may still end, and is forgotten", id)
		}
	}
}

func TestRequestsAreFollowed(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	pass(in.Traffic(), "us", "/before", http.StatusOK)
	stream := traffic.Exchange{Silo: "us", Path: "/stream", Started: time.Now().Add(-time.Minute)}
	in.Traffic().Begin(&stream)
	var told []uint64
	err := client.FollowRequests(t.Context(), traffic.Filter{}, 0, func(e traffic.Exchange) bool {
		told = append(told, e.ID)
		if e.ID == stream.ID && e.State == traffic.Open {
			pass(in.Traffic(), "us", "/after", http.StatusOK)
			stream.State = traffic.Done
			in.Traffic().End(&stream)
		}
		return len(told) < 4
	})
	must(t, err)
	if told[0] != 1 || told[1] != stream.ID || told[2]+told[3] != 3+stream.ID {
		t.Errorf("told: %v", told)
	}
}

// A reader who is hung up on, since he took nothing for too long, is told all the
// rest, and nothing twice.
func TestASlowFollowerMissesNothing(t *testing.T) {
	t.Parallel()
	i := launch(t, t.TempDir())
	s := newServer(i.Supervisor, i.options, i.dir.Logs(), patience{ask: time.Second, listen: 50 * time.Millisecond, pulse: 10 * time.Millisecond})
	hungUp := make(chan struct{})
	var once sync.Once
	s.http.ConnState = func(_ net.Conn, to http.ConnState) {
		if to == http.StateClosed {
			once.Do(func() { close(hungUp) })
		}
	}
	listener := make(pipes)
	s.serve(listener)
	c := &Client{dir: i.dir, http: &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return listener.dial(), nil },
	}}}
	const all = 100
	pass(i.Traffic(), "us", "/before", http.StatusOK)
	told := map[uint64]int{}
	err := c.FollowRequests(t.Context(), traffic.Filter{}, 0, func(e traffic.Exchange) bool {
		told[e.ID]++
		switch len(told) {
		case 1:
			for range all - 1 {
				pass(i.Traffic(), "us", "/after", http.StatusOK)
			}
		case 2:
			<-hungUp
		}
		return len(told) < all
	})
	must(t, err)
	for id, times := range told {
		if times != 1 {
			t.Errorf("request %d is told %d times", id, times)
		}
	}
	c.Close()
	must(t, s.Close(t.Context()))
	i.end(t)
}
