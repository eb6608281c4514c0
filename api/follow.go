package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"silo/traffic"
)

// longOpen is how long an exchange is open before it is reported, such as a stream
// or a request that stopped in a debugger.
const longOpen = time.Second

// FollowRequests passes the latest n exchanges that match the filter to see, and then new ones:
// each once it has ended, and one that has been open for a second also before that, in its state
// then. It returns when see returns false (nil), when ctx ends, or when the instance ends
// (ErrNotRunning). A slow reader continues where it stopped.
func (c *Client) FollowRequests(ctx context.Context, filter traffic.Filter, n int, see func(traffic.Exchange) bool) error {
	list, version, err := c.Requests(ctx, filter, n)
	if err != nil {
		return err
	}
	f := newFollower(version)
	for _, e := range list {
		if f.add(requestUpdate{version, e}) && !see(e) {
			return nil
		}
	}
	for {
		more, err := c.followStream(ctx, f, filter, see)
		if !more || !errors.Is(err, ErrNotRunning) || c.hasEnded(ctx) {
			return err
		}
	}
}

// watchRequests passes exchanges that begin, change or end after a version to see,
// until see returns false (nil), ctx ends, or the stream does (ErrNotRunning).
func (c *Client) watchRequests(ctx context.Context, since uint64, filter traffic.Filter, see func(requestUpdate) bool) error {
	return watch(ctx, c, fmt.Sprintf("/v1/requests/watch?since=%d&%s", since, encodeFilter(filter)), see)
}

// followStream follows one stream to its end. more reports whether see wants more.
func (c *Client) followStream(ctx context.Context, f *follower, filter traffic.Filter, see func(traffic.Exchange) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	updates, ended, since := make(chan requestUpdate), make(chan error, 1), f.version
	go func() {
		defer close(updates)
		ended <- c.watchRequests(ctx, since, filter, func(u requestUpdate) bool {
			select {
			case updates <- u:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	defer func() {
		cancel()
		for range updates { // until the goroutine has ended
			continue
		}
	}()
	for {
		var report []traffic.Exchange
		select {
		case u, ok := <-updates:
			if !ok {
				return true, <-ended
			}
			if f.add(u) {
				report = []traffic.Exchange{u.Request}
			}
		case <-f.nextLong(time.Now()):
			report = f.takeLong(time.Now())
		}
		for _, e := range report {
			if !see(e) {
				return false, nil
			}
		}
	}
}

// follower decides which exchanges to report. Each is reported once when it has
// ended, although a stream that broke off may repeat some.
type follower struct {
	version  uint64                      // all up to it has been added
	open     map[uint64]traffic.Exchange // not yet reported
	reported map[uint64]traffic.State    // as last reported
	newest   uint64                      // the highest ID
}

func newFollower(version uint64) *follower {
	return &follower{version: version, open: map[uint64]traffic.Exchange{}, reported: map[uint64]traffic.State{}}
}

// add adds one line of a watch and reports whether to report its exchange now.
func (f *follower) add(u requestUpdate) bool {
	e := u.Request
	f.version, f.newest = u.Version, max(f.newest, e.ID)
	before := f.reported[e.ID]
	if e.State == traffic.Open {
		if before == "" {
			f.open[e.ID] = e
		}
		return false
	}
	delete(f.open, e.ID)
	f.reported[e.ID] = e.State
	f.prune()
	return before == "" || before == traffic.Open
}

// nextLong returns a channel that receives when an exchange has been open for
// long, or nil if none is open.
func (f *follower) nextLong(now time.Time) <-chan time.Time {
	if len(f.open) == 0 {
		return nil
	}
	first := now
	for _, e := range f.open {
		if e.Started.Before(first) {
			first = e.Started
		}
	}
	return time.After(first.Add(longOpen).Sub(now))
}

// takeLong returns the exchanges that have been open for long. They are not
// reported again until they end.
func (f *follower) takeLong(now time.Time) []traffic.Exchange {
	var list []traffic.Exchange
	for id, e := range f.open {
		if !e.Started.Add(longOpen).After(now) {
			list = append(list, e)
			delete(f.open, id)
			f.reported[id] = traffic.Open
		}
	}
	f.prune()
	slices.SortFunc(list, func(a, b traffic.Exchange) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// prune forgets exchanges that the log no longer keeps: their end is never sent.
func (f *follower) prune() {
	if len(f.reported) > 2*traffic.MaxExchanges {
		maps.DeleteFunc(f.reported, func(id uint64, _ traffic.State) bool { return id+traffic.MaxExchanges < f.newest })
	}
}
