package orchestrator

import (
	"slices"
	"sync/atomic"

	"silo/state"
)

// board is where the supervisor's goroutine pins the latest snapshot, and where
// everybody else reads it without a lock.
type board struct {
	latest atomic.Pointer[publication]
	nudges chan struct{} // "something that a snapshot shows has changed elsewhere"
}

// publication is a snapshot with the news of the next one.
type publication struct {
	snapshot *state.Snapshot
	replaced chan struct{} // closed once there is a newer one
}

func newBoard() *board {
	b := &board{nudges: make(chan struct{}, 1)}
	b.latest.Store(&publication{replaced: make(chan struct{})})
	return b
}

// publish pins a snapshot. Only the supervisor's goroutine calls it.
func (b *board) publish(s *state.Snapshot) {
	old := b.latest.Swap(&publication{snapshot: s, replaced: make(chan struct{})})
	close(old.replaced)
}

// nudge asks for a new snapshot; it never blocks.
func (b *board) nudge() {
	select {
	case b.nudges <- struct{}{}:
	default:
	}
}

// upstream is where a silo's process listens; empty while it has none. Before
// its launch its port is held by a listener of silo's own, which would swallow a
// connection.
func (b *board) upstream(name string) string {
	s := b.latest.Load().snapshot
	if s == nil {
		return ""
	}
	i := slices.IndexFunc(s.Silos, func(silo state.Silo) bool { return silo.Name == name })
	if i < 0 || s.Silos[i].PID == nil && (s.IsManaged() || s.Silos[i].State == state.Planned || s.Silos[i].State == state.Stopped) {
		return ""
	}
	return s.Silos[i].Bind
}

// starting tells whether a silo is on its way up, and in what words, for the
// page that its tunnel shows meanwhile.
func (b *board) starting(name string) (string, bool) {
	s := b.latest.Load().snapshot
	if s == nil {
		return "its tunnel is open, its process comes next", true
	}
	for _, silo := range s.Silos {
		if silo.Name == name {
			return string(silo.State), silo.State == state.Planned || silo.State == state.Starting || silo.State == state.Backoff
		}
	}
	return "", false
}
