package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"silo/state"
	"silo/wait"
)

// jsonLines is the type of a stream of JSON values, one per line.
const jsonLines = "application/jsonl"

const (
	// watchInterval is the minimum time between two updates of a watch. It limits the
	// snapshots sent in a burst of changes.
	watchInterval = 50 * time.Millisecond
	// lastLineInterval is how often last lines are read while silos start or stop.
	lastLineInterval = 250 * time.Millisecond
)

// stream is a response of JSON Lines.
type stream struct {
	mu      sync.Mutex // guards the fields below: heartbeats have their own goroutine
	w       http.ResponseWriter
	started bool
}

// write writes one line per value and flushes them. Without values it writes an
// empty line, which JSON decoders skip.
func (o *stream) write(values ...any) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.started = true
	if len(values) == 0 {
		if _, err := io.WriteString(o.w, "\n"); err != nil {
			return err
		}
	}
	for _, value := range values {
		if err := json.NewEncoder(o.w).Encode(value); err != nil {
			return err
		}
	}
	return http.NewResponseController(o.w).Flush()
}

// stream responds with the lines that produce writes. The context of produce ends when the client
// disconnects, or when the instance ends if untilEnd is set. An error before the first line becomes
// the response.
//
// A heartbeat, an empty line, detects clients that disconnected after sending more than one
// request: net/http notices the EOF only if no other byte precedes it.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, untilEnd bool, produce func(context.Context, *stream) error) {
	w.Header().Set("Content-Type", jsonLines)
	ctx, cancel := context.WithCancel(r.Context())
	out := &stream{w: w}
	var end <-chan struct{}
	if untilEnd {
		end = s.supervisor.Ended()
	}
	var heartbeats sync.WaitGroup
	heartbeats.Go(func() {
		defer cancel()
		tick := time.NewTicker(s.timeouts.heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if out.write() != nil {
					return
				}
			case <-end:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	err := produce(ctx, out)
	left := ctx.Err() != nil
	cancel()
	heartbeats.Wait()
	if err != nil && !out.started && !left {
		writeError(w, err)
	}
}

// repeat calls update now, when the returned channel closes or the returned interval passes (0:
// none), and once more when the instance has ended, but at most every watchInterval. It returns
// when ctx is done or update fails.
func repeat(ctx context.Context, ended <-chan struct{}, update func() (changed <-chan struct{}, interval time.Duration, err error)) error {
	for last := false; ; {
		changed, interval, err := update()
		if err != nil || last {
			return err
		}
		var tick <-chan time.Time
		if interval > 0 {
			tick = time.After(interval)
		}
		select {
		case <-changed:
		case <-tick:
		case <-ended:
			last = true
		case <-ctx.Done():
			return ctx.Err()
		}
		if !wait.Sleep(ctx, watchInterval) {
			return ctx.Err()
		}
	}
}

// watch streams an Update now and after each change, until the client disconnects or the instance
// has ended. The last Update has the state stopped.
func (s *Server) watch(w http.ResponseWriter, r *http.Request) {
	s.stream(w, r, false, func(ctx context.Context, out *stream) error {
		return repeat(ctx, s.supervisor.Ended(), func() (<-chan struct{}, time.Duration, error) {
			snapshot, replaced := s.supervisor.Next()
			interval := time.Duration(0)
			if snapshot.State == state.InstanceStarting || snapshot.State == state.InstanceStopping {
				interval = lastLineInterval
			}
			return replaced, interval, out.write(s.update(snapshot))
		})
	})
}

func (s *Server) update(snapshot *state.Snapshot) Update {
	u := Update{Snapshot: snapshot, LastLines: map[string]string{}}
	for _, silo := range snapshot.Silos {
		if silo.State == state.Starting || silo.State == state.Stopping {
			u.LastLines[silo.Name] = s.supervisor.LastLine(silo.Name)
		}
	}
	return u
}
