package orchestrator

import (
	"slices"
	"time"

	"silo/state"
)

// cluster is the state of all silos. Run's goroutine owns it; only step changes it.
type cluster struct {
	silos    []silo
	stopping bool // regions end first, then control
	killing  bool // everything ends at once
	spent    int  // highest incarnation or backoff of removed silos: a silo that is added again continues from here
}

// step is the supervisor's entire decision logic: it returns the cluster after an
// event, and the actions to execute. It is pure.
func step(c cluster, now time.Time, e event) (cluster, []action) {
	c.silos = slices.Clone(c.silos)
	actions := c.react(e, now)
	c.forgetRemoved()
	actions = append(actions, c.drain()...)
	for i := range c.silos {
		c.silos[i].setKillAt(now)
	}
	return c, actions
}

// react applies an event to a cluster that is not shared.
func (c *cluster) react(e event, now time.Time) (actions []action) {
	switch e := e.(type) {
	case commandEvent:
		for i := range c.silos {
			if slices.Contains(e.names, c.silos[i].name) && !c.stopping {
				actions = append(actions, c.silos[i].obey(e.command)...)
			}
		}
	case debugEvent:
		if s := c.named(e.name); s != nil && !c.stopping {
			return s.lend(e.session)
		}
		return []action{endDebugAction{e.session}}
	case clientGoneEvent:
		if s := c.named(e.name); s != nil && !c.stopping { // drain stops it in its turn
			return s.takeBack(e.session)
		}
	case applyEvent:
		return c.apply(e)
	case rewrittenEvent:
		for i := range c.silos {
			if before := e.before[c.silos[i].name]; before != nil && !c.stopping {
				actions = append(actions, c.silos[i].reload(before)...)
			}
		}
	case downEvent:
		return c.goDown(e.kill)
	case interface{ id() launchID }:
		if s := c.named(e.id().name); s != nil && s.id() == e.id() { // outdated events are dropped
			return s.react(e, now, c.stopping)
		}
	case backoffOverEvent:
		if s := c.named(e.name); s != nil && s.phase == state.Backoff && s.backoff == e.backoff && !c.stopping {
			return []action{s.launch()}
		}
	}
	return actions
}

// apply changes the silos to those of another topology. Removed silos should be stopped
// by now; one that was started in the meantime stays until its process has ended.
func (c *cluster) apply(e applyEvent) (actions []action) {
	next := slices.Clone(e.silos)
	for i, s := range next {
		if known := c.named(s.name); known != nil {
			next[i] = *known
			next[i].policy, next[i].grace, next[i].removed = s.policy, s.grace, false
		} else {
			next[i].incarnation, next[i].backoff = c.spent, c.spent
		}
	}
	for _, s := range c.silos {
		if !slices.ContainsFunc(next, func(n silo) bool { return n.name == s.name }) {
			s.removed = true
			actions = append(actions, s.end(c.killing)...)
			next = append(next, s)
		}
	}
	c.silos = next
	for i := range c.silos {
		s := &c.silos[i]
		runs := s.alive || s.phase == state.Backoff || s.phase == state.Failed
		switch {
		case c.stopping:
		case slices.Contains(e.restart, s.name) && runs:
			s.everReady = false // the changed command may not work
			actions = append(actions, s.obey(commandRestart)...)
		case s.phase == state.Planned:
			actions = append(actions, s.obey(commandStart)...)
		}
	}
	return actions
}

// goDown starts stopping the instance. With kill, it also cuts short the grace period
// of stops in progress.
func (c *cluster) goDown(kill bool) (actions []action) {
	c.stopping = true
	for i := range c.silos {
		s := &c.silos[i]
		s.wanted = false // also ends a restart
		if kill && !c.killing && s.phase == state.Stopping && s.alive {
			actions = append(actions, stopAction{s.id(), true})
		}
	}
	c.killing = c.killing || kill
	return actions
}

// forgetRemoved drops removed silos that have ended.
func (c *cluster) forgetRemoved() {
	c.silos = slices.DeleteFunc(c.silos, func(s silo) bool {
		gone := s.removed && !s.alive
		if gone {
			c.spent = max(c.spent, s.incarnation, s.backoff)
		}
		return gone
	})
}

func (c *cluster) named(name string) *silo {
	for i := range c.silos {
		if c.silos[i].name == name {
			return &c.silos[i]
		}
	}
	return nil
}

// drain continues to stop an instance: regions first, control once all regions have
// ended, or all at once when killing.
func (c *cluster) drain() (actions []action) {
	if !c.stopping {
		return nil
	}
	for _, control := range []bool{false, true} {
		if control && !c.killing && slices.ContainsFunc(c.silos, func(s silo) bool { return !s.control && s.alive }) {
			break
		}
		for i := range c.silos {
			if s := &c.silos[i]; s.control == control {
				actions = append(actions, s.end(c.killing)...)
			}
		}
	}
	return actions
}

// done reports whether a stopping instance has ended.
func (c *cluster) done() bool {
	return c.stopping && !slices.ContainsFunc(c.silos, func(s silo) bool { return s.alive })
}
