package api

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"silo/traffic"
)

// lasting is how long an exchange is open until it is worth a word by itself: a
// stream, a debugger.
const lasting = time.Second

// FollowRequests hands over the latest n exchanges that filter lets through and
// goes on with those that are still to come: each once it has ended, and one that
// stays open for a second once before that, as it stands. It ends when see returns
// false (nil), when ctx ends, or with the instance (ErrNotRunning). A reader who
// takes long is caught up with from where he was.
func (c *Client) FollowRequests(ctx context.Context, filter traffic.Filter, n int, see func(traffic.Exchange) bool) error {
	list, version, err := c.Requests(ctx, filter, n)
	if err != nil {
		return err
	}
	f := newFollower(version)
	for _, e := range list {
		if f.take(requestUpdate{version, e}) && !see(e) {
			return nil
		}
	}
	for {
		more, err := c.followOn(ctx, f, filter, see)
		if !more || !errors.Is(err, ErrNotRunning) || c.ending(ctx) {
			return err
		}
	}
}

// followOn follows one stream to its end. more: see wants to see more.
func (c *Client) followOn(ctx context.Context, f *follower, filter traffic.Filter, see func(traffic.Exchange) bool) (more bool, err error) {
	ctx, leave := context.WithCancel(ctx)
	updates, ended, since := make(chan requestUpdate), make(chan struct{}), f.version
	var broke error // why the stream has ended
	go func() {
		defer close(ended)
		broke = c.watchUpdates(ctx, since, filter, func(u requestUpdate) bool {
			select {
			case updates <- u:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	defer func() { leave(); <-ended }()
	for {
		var told []traffic.Exchange
		select {
		case u := <-updates:
			if f.take(u) {
				told = append(told, u.Request)
			}
		case <-f.due(time.Now()):
			told = f.lasting(time.Now())
		case <-ended:
			return true, broke
		}
		for _, e := range told {
			if !see(e) {
				return false, nil
			}
		}
	}
}

// follower knows which exchanges are still to be told.
type follower struct {
	version uint64                      // all up to it was taken
	open    map[uint64]traffic.Exchange // not told yet
	lasted  map[uint64]bool             // told while they were open, and may still end
	newest  uint64                      // ID of all taken
	batch   map[uint64]bool             // ended and told since version: they may come again
}

func newFollower(version uint64) *follower {
	return &follower{version: version, open: map[uint64]traffic.Exchange{}, lasted: map[uint64]bool{}, batch: map[uint64]bool{}}
}

// take takes one line of a watch, and tells whether it is to be told now.
func (f *follower) take(u requestUpdate) bool {
	again := f.batch[u.Request.ID]
	f.newest = max(f.newest, u.Request.ID)
	if u.Version != f.version {
		f.version = u.Version
		clear(f.batch)
	}
	if u.Request.State == traffic.Open {
		if !f.lasted[u.Request.ID] {
			f.open[u.Request.ID] = u.Request // what is known of it by now
		}
		return false
	}
	delete(f.open, u.Request.ID)
	delete(f.lasted, u.Request.ID)
	f.batch[u.Request.ID] = true
	return !again
}

// due is a channel that says when an exchange has been open for long; nil: none is.
func (f *follower) due(now time.Time) <-chan time.Time {
	var first *time.Time
	for _, e := range f.open {
		if at := e.Started.Add(lasting); first == nil || at.Before(*first) {
			first = &at
		}
	}
	if first == nil {
		return nil
	}
	return time.After(first.Sub(now))
}

// lasting are the exchanges that have been open for long by now. They are not told
// again until they end.
func (f *follower) lasting(now time.Time) []traffic.Exchange {
	var list []traffic.Exchange
	for id, e := range maps.All(f.open) {
		if !e.Started.Add(lasting).After(now) {
			list = append(list, e)
			delete(f.open, id)
			f.lasted[id] = true
		}
	}
	f.forget()
	slices.SortFunc(list, func(a, b traffic.Exchange) int { return cmp.Compare(a.ID, b.ID) })
	return list
}

// forget drops what is not kept any more, once that is much: nothing is told of its
// end.
func (f *follower) forget() {
	if len(f.lasted) > 2*traffic.MaxExchanges {
		maps.DeleteFunc(f.lasted, func(id uint64, _ bool) bool { return id+traffic.MaxExchanges < f.newest })
	}
}
