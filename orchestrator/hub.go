package orchestrator

import (
	"slices"
	"sync/atomic"

	"silo/state"
)

// snapshotHub publishes the latest snapshot. One goroutine writes; any may read,
// without a lock.
type snapshotHub struct {
	latest atomic.Pointer[publication]
	nudges chan struct{} // requests for a new snapshot
}

// publication is a snapshot and the signal that it is outdated.
type publication struct {
	snapshot *state.Snapshot // nil before the first one
	replaced chan struct{}   // closed once there is a newer one
}

func newSnapshotHub() *snapshotHub {
	h := &snapshotHub{nudges: make(chan struct{}, 1)}
	h.latest.Store(&publication{replaced: make(chan struct{})})
	return h
}

// publish replaces the latest snapshot.
func (h *snapshotHub) publish(s *state.Snapshot) {
	old := h.latest.Swap(&publication{snapshot: s, replaced: make(chan struct{})})
	close(old.replaced)
}

// nudge requests a new snapshot. It never blocks.
func (h *snapshotHub) nudge() {
	select {
	case h.nudges <- struct{}{}:
	default:
	}
}

// silos returns the silos of the latest snapshot; nil before the first one.
func (h *snapshotHub) silos() []state.Silo {
	if s := h.latest.Load().snapshot; s != nil {
		return s.Silos
	}
	return nil
}

func (h *snapshotHub) find(name string) *state.Silo {
	silos := h.silos()
	if i := slices.IndexFunc(silos, func(s state.Silo) bool { return s.Name == name }); i >= 0 {
		return &silos[i]
	}
	return nil
}

// upstream returns the address that a silo's process listens on, or "" if there is no
// process: before the launch, a listener that accepts nothing holds the port.
func (h *snapshotHub) upstream(name string) string {
	silo := h.find(name)
	if silo == nil {
		return ""
	}
	unmanaged := !h.latest.Load().snapshot.Manages(*silo)
	if silo.PID != nil || unmanaged && silo.State != state.Planned && silo.State != state.Stopped {
		return silo.Bind
	}
	return ""
}

// starting reports whether a silo is being started, and its phase, for the page that
// its tunnel shows in the meantime.
func (h *snapshotHub) starting(name string) (string, bool) {
	if h.latest.Load().snapshot == nil {
		return "its tunnel is open, its process is not started yet", true
	}
	silo := h.find(name)
	if silo == nil {
		return "", false
	}
	return string(silo.State), silo.State == state.Planned || silo.State == state.Starting || silo.State == state.Backoff
}
