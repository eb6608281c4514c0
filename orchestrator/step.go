package orchestrator

import (
	"slices"
	"time"

	"silo/state"
	"silo/topology"
)

// cluster is the state of all silos. One goroutine owns it; step is the only
// way from one to the next.
type cluster struct {
	silos    []silo
	stopping bool // the instance is to end: regions first, then control
	killing  bool // and without grace
	spent    int  // incarnations and backoffs of silos that have left: one that comes back counts on from here
}

// silo is one silo's part of a cluster.
type silo struct {
	name    string
	control bool
	loose   bool // unmanaged: somebody else starts and ends it
	policy  topology.Restart
	grace   time.Duration // between the request to end and the kill

	phase       state.Phase
	wanted      bool // it is to run
	alive       bool // a process of this incarnation is there, or being started; of a loose one: looked out for
	incarnation int  // counts the processes that were started
	everReady   bool // the restart policy applies only from then on

	restarts int         // automatic ones, in all
	recent   []time.Time // automatic ones within the policy's window
	attempt  int         // doublings of the backoff since it was last ready
	backoff  int         // tells one backoff timer from an earlier one

	pid         int
	processTime string
	startedAt   time.Time
	readyAt     time.Time
	killAt      time.Time // of one that is stopping
	exit        *state.Exit
	reason      string
	leaving     bool   // gone from the topology: forgotten once it has ended
	quit        bool   // it ended by itself, though without a failure
	doomed      bool   // its stop ends in failed
	timedOut    bool   // because it was not ready in time
	role        string // the mode that its answers tell; empty: none
}

// step is the supervisor's whole decision logic. It returns the cluster after an
// event and the actions to execute. It is pure.
func step(c cluster, now time.Time, e event) (cluster, []action) {
	c.silos = slices.Clone(c.silos)
	return c, c.take(e, now)
}

// take carries one event out on a cluster that nobody else sees.
func (c *cluster) take(e event, now time.Time) []action {
	var todo []action
	switch e := e.(type) {
	case wantEvent:
		for i := range c.silos {
			if slices.Contains(e.names, c.silos[i].name) {
				todo = append(todo, c.silos[i].ask(e.want, c.stopping)...)
			}
		}
	case applyEvent:
		todo = append(todo, c.apply(e)...)
	case downEvent:
		c.stopping = true
		for i := range c.silos { // a restart that is half done is not gone on with
			c.silos[i].wanted = false
		}
		if e.kill && !c.killing {
			c.killing = true
			todo = append(todo, c.cutShort()...)
		}
	case launchedEvent:
		if s := c.find(e.name, e.incarnation); s != nil {
			s.pid, s.processTime, s.startedAt = e.pid, e.processTime, e.at
		}
	case unlaunchedEvent:
		if s := c.find(e.name, e.incarnation); s != nil {
			s.alive, s.pid = false, 0
			todo = append(todo, s.rest(now, e.reason, true, c.stopping)...)
		}
	case exitedEvent:
		if s := c.find(e.name, e.incarnation); s != nil && s.alive {
			s.alive, s.pid = false, 0
			s.exit = &e.exit
			todo = append(todo, s.rest(now, describe(e.exit), failure(e.exit), c.stopping)...)
		}
	case endedEvent:
		if s := c.find(e.name, e.incarnation); s != nil && s.alive {
			s.alive, s.pid = false, 0
			s.exit = &e.exit
			todo = append(todo, s.settle(e.killed)...)
		}
	case probedEvent:
		if s := c.find(e.name, e.incarnation); s != nil && !c.stopping {
			todo = append(todo, s.probed(e)...)
		}
	case roleEvent:
		if s := c.find(e.name, e.incarnation); s != nil && s.alive {
			s.role = e.role
		}
	case overdueEvent:
		if s := c.find(e.name, e.incarnation); s != nil && s.phase == state.Starting && !c.stopping {
			s.timedOut = true
			todo = append(todo, s.giveUp(late(s.reason))...)
		}
	case backoffEvent:
		if s := c.named(e.name); s != nil && s.phase == state.Backoff && s.backoff == e.backoff && !c.stopping {
			todo = append(todo, s.launch())
		}
	}
	c.leave()
	todo = append(todo, c.drain()...)
	for i := range c.silos {
		c.silos[i].countDown(now)
	}
	return todo
}

// apply makes the cluster that of another topology. Silos that are gone should
// rest by now; one that was started meanwhile stays until its process has ended.
func (c *cluster) apply(e applyEvent) []action {
	var todo []action
	next := slices.Clone(e.order)
	for i, s := range next {
		if known := c.named(s.name); known != nil {
			next[i] = *known
			next[i].policy, next[i].grace, next[i].leaving = s.policy, s.grace, false
		} else {
			next[i].incarnation, next[i].backoff = c.spent, c.spent
		}
	}
	for _, s := range c.silos {
		if !slices.ContainsFunc(next, func(n silo) bool { return n.name == s.name }) {
			s.leaving = true
			todo = append(todo, s.end(c.killing)...)
			next = append(next, s)
		}
	}
	c.silos = next
	for i := range c.silos {
		s := &c.silos[i]
		runs := s.alive || s.phase == state.Backoff || s.phase == state.Failed
		switch {
		case slices.Contains(e.again, s.name) && runs:
			s.everReady = false // what is launched otherwise has yet to show that it can be
			todo = append(todo, s.ask(wantAgain, c.stopping)...)
		case s.phase == state.Planned:
			todo = append(todo, s.ask(wantUp, c.stopping)...)
		}
	}
	return todo
}

// leave forgets silos that are gone from the topology and have ended.
func (c *cluster) leave() {
	gone := false
	for i := range c.silos {
		if s := &c.silos[i]; s.leaving && !s.alive {
			c.spent, gone = max(c.spent, s.incarnation, s.backoff), true
		}
	}
	if gone { // seldom: there is no need to move hundreds of silos at each event
		c.silos = slices.DeleteFunc(c.silos, func(s silo) bool { return s.leaving && !s.alive })
	}
}

// find is the silo whose present process an event speaks of, or nil for a stale one.
func (c *cluster) find(name string, incarnation int) *silo {
	if s := c.named(name); s != nil && s.incarnation == incarnation {
		return s
	}
	return nil
}

func (c *cluster) named(name string) *silo {
	for i := range c.silos {
		if c.silos[i].name == name {
			return &c.silos[i]
		}
	}
	return nil
}

// drain carries a stopping instance on: regions first, control once no region
// is left, everything at once when killing.
func (c *cluster) drain() []action {
	if !c.stopping {
		return nil
	}
	var todo []action
	regions := false
	for i := range c.silos {
		if s := &c.silos[i]; !s.control {
			todo = append(todo, s.end(c.killing)...)
			regions = regions || s.alive
		}
	}
	for i := range c.silos {
		if s := &c.silos[i]; s.control && (!regions || c.killing) {
			todo = append(todo, s.end(c.killing)...)
		}
	}
	return todo
}

// cutShort turns every stop that is under way into a kill.
func (c *cluster) cutShort() []action {
	var todo []action
	for _, s := range c.silos {
		if s.phase == state.Stopping && s.alive {
			todo = append(todo, stopAction{s.name, s.incarnation, true})
		}
	}
	return todo
}

// done tells that a stopping instance has nothing left.
func (c *cluster) done() bool {
	if !c.stopping {
		return false
	}
	for i := range c.silos {
		if c.silos[i].alive {
			return false
		}
	}
	return true
}
