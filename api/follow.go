package api

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"silo/traffic"
)

// longOpen is how long an exchange is open before it is reported, such as a stream
// or a request that stopped in a debugger.
const longOpen = time.Second

// FollowRequests passes the latest n exchanges that match the filter to see, and then new
// ones. It passes each once it has ended, and also, in its current state, once it has been
// open for a second. It returns when see returns false (nil), when ctx ends, or when the
// instance ends (ErrNotRunning). A slow reader continues where it stopped. Calls of see do
// not overlap, but may come from several goroutines.
func (c *Client) FollowRequests(ctx context.Context, filter traffic.Filter, n int, see func(traffic.Exchange) bool) error {
	list, version, err := c.Requests(ctx, filter, n)
	if err != nil {
		return err
	}
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	f := newFollower(func(e traffic.Exchange) {
		if watching.Err() == nil && !see(e) {
			cancel()
		}
	})
	defer f.close()
	for _, e := range list {
		f.add(e)
	}
	for {
		err := c.watchRequests(watching, version, filter, func(change traffic.Change) bool {
			version = change.Version
			f.add(change.Exchange)
			return true
		})
		if watching.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, ErrNotRunning) || c.hasEnded(ctx) {
			return err
		}
	}
}

// watchRequests passes changes after a version to see, until see returns false
// (nil), ctx ends, or the stream does (ErrNotRunning).
func (c *Client) watchRequests(ctx context.Context, since uint64, filter traffic.Filter, see func(traffic.Change) bool) error {
	return watch(ctx, c, fmt.Sprintf("/v1/requests/watch?since=%d&%s", since, encodeFilter(filter)), see)
}

// follower reports each exchange when it has ended, and before that if it is open
// for longOpen.
type follower struct {
	mu     sync.Mutex // guards the rest, and serializes report
	report func(traffic.Exchange)
	open   map[uint64]traffic.Exchange // the latest state of each
}

func newFollower(report func(traffic.Exchange)) *follower {
	return &follower{report: report, open: map[uint64]traffic.Exchange{}}
}

// add adds a change of an exchange.
func (f *follower) add(e traffic.Exchange) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.State != traffic.Open {
		delete(f.open, e.ID)
		f.report(e)
		return
	}
	_, known := f.open[e.ID]
	f.open[e.ID] = e
	switch left := time.Until(e.Started.Add(longOpen)); {
	case known:
	case left > 0:
		time.AfterFunc(left, func() { f.reportOpen(e.ID) })
	default:
		f.report(e)
	}
	if len(f.open) > 2*traffic.MaxExchanges { // the log does not report the end of exchanges that it has dropped
		maps.DeleteFunc(f.open, func(id uint64, _ traffic.Exchange) bool { return id+traffic.MaxExchanges < e.ID })
	}
}

// reportOpen reports an exchange unless it has ended.
func (f *follower) reportOpen(id uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, open := f.open[id]; open {
		f.report(e)
	}
}

// close ends all reports.
func (f *follower) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.open)
}
