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
	policy  topology.Restart
	grace   time.Duration // between the request to end and the kill

	phase       state.Phase
	wanted      bool // it is to run
	alive       bool // a process of this incarnation is there, or being started
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
	leaving     bool // gone from the topology: forgotten once it has ended
	quit        bool // it ended by itself, though without a failure
	doomed      bool // its stop ends in failed
	timedOut    bool // because it was not ready in time
}

// event is what the supervisor's goroutine is told. An event about a process
// carries the incarnation it speaks of; a stale one is dropped.
type event interface{ isEvent() }

type (
	// wantEvent asks for silos to run (up), to rest, or to be stopped and started again.
	wantEvent struct {
		names []string
		want  want
		seen  chan<- struct{} // closed once a snapshot shows it, or nil
	}
	// applyEvent tells that another topology counts now: silos that are gone, that
	// are new, and that have to be started again.
	applyEvent struct {
		place *Placement // what the supervisor goes by from then on
		order []silo     // all silos, in their new order; one that is known is only given its policy
		again []string
		seen  chan<- struct{}
	}
	// downEvent asks for the end of the instance.
	downEvent struct{ kill bool }
	// launchedEvent tells that the process is there.
	launchedEvent struct {
		name        string
		incarnation int
		pid         int
		processTime string
		at          time.Time
	}
	// exitedEvent tells that the process ended by itself, and that nothing of its tree is left.
	exitedEvent struct {
		name        string
		incarnation int
		exit        state.Exit
	}
	// unlaunchedEvent tells that there never was a process.
	unlaunchedEvent struct {
		name        string
		incarnation int
		reason      string
	}
	// probedEvent tells what a probe of the silo's own port found.
	probedEvent struct {
		name        string
		incarnation int
		ready       bool
		fatal       bool // the answer proves that this can never become ready
		reason      string
		at          time.Time
	}
	// overdueEvent tells that ready.timeout has run out.
	overdueEvent struct {
		name        string
		incarnation int
	}
	// endedEvent tells that a stop has come to its end: nothing of the tree is left.
	endedEvent struct {
		name        string
		incarnation int
		exit        state.Exit
		killed      bool
	}
	// backoffEvent tells that a backoff is over.
	backoffEvent struct {
		name    string
		backoff int
	}
)

func (wantEvent) isEvent()       {}
func (applyEvent) isEvent()      {}
func (downEvent) isEvent()       {}
func (launchedEvent) isEvent()   {}
func (exitedEvent) isEvent()     {}
func (unlaunchedEvent) isEvent() {}
func (probedEvent) isEvent()     {}
func (overdueEvent) isEvent()    {}
func (endedEvent) isEvent()      {}
func (backoffEvent) isEvent()    {}

type want int

const (
	wantUp want = iota
	wantRest
	wantAgain
	wantNothing
)

// action is what the supervisor is to do; data, so that step stays pure.
type action interface{ isAction() }

type (
	launchAction struct {
		name        string
		incarnation int
	}
	// stopAction ends a process tree; kill cuts a stop that is under way short.
	stopAction struct {
		name        string
		incarnation int
		kill        bool
	}
	armAction struct {
		name    string
		backoff int
		after   time.Duration
	}
)

func (launchAction) isAction() {}
func (stopAction) isAction()   {}
func (armAction) isAction()    {}

// step is the whole of the supervisor's judgement: what one event makes of a
// cluster, and what is to be done about it. It is pure.
func step(c cluster, e event, now time.Time) (cluster, []action) {
	c.silos = slices.Clone(c.silos)
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
	return c, todo
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
			todo = append(todo, s.ask(wantAgain, c.stopping)...)
		case s.phase == state.Planned:
			todo = append(todo, s.ask(wantUp, c.stopping)...)
		}
	}
	return todo
}

// leave forgets silos that are gone from the topology and have ended.
func (c *cluster) leave() {
	for _, s := range c.silos {
		if s.leaving && !s.alive {
			c.spent = max(c.spent, s.incarnation, s.backoff)
		}
	}
	c.silos = slices.DeleteFunc(c.silos, func(s silo) bool { return s.leaving && !s.alive })
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
	return c.stopping && !slices.ContainsFunc(c.silos, func(s silo) bool { return s.alive })
}

// ask carries out a wish for one silo.
func (s *silo) ask(w want, stopping bool) []action {
	if stopping {
		return nil
	}
	switch w {
	case wantRest:
		return s.end(false)
	case wantAgain:
		s.wanted = true
		s.attempt, s.recent = 0, nil
		if s.alive {
			todo := s.end(false)
			s.wanted = true // settle starts it again
			return todo
		}
		return []action{s.launch()}
	case wantNothing:
	case wantUp:
		s.wanted = true
		if s.alive || s.phase == state.Backoff {
			return nil
		}
		s.attempt, s.recent = 0, nil
		return []action{s.launch()}
	}
	return nil
}

// launch makes the next incarnation.
func (s *silo) launch() action {
	s.incarnation++
	s.alive, s.wanted = true, true
	s.phase = state.Starting
	s.pid, s.processTime = 0, ""
	s.startedAt, s.readyAt = time.Time{}, time.Time{}
	s.reason, s.quit, s.doomed, s.timedOut = "", false, false, false
	return launchAction{s.name, s.incarnation}
}

// end asks a silo to rest: a live one is stopped, one in backoff just stays down.
func (s *silo) end(kill bool) []action {
	s.wanted = false
	switch {
	case s.alive && s.phase != state.Stopping:
		s.phase = state.Stopping
		return []action{stopAction{s.name, s.incarnation, kill}}
	case !s.alive && s.phase != state.Failed:
		s.phase = state.Stopped
	}
	return nil
}

// settle is the end of a stop that silo asked for.
func (s *silo) settle(killed bool) []action {
	s.phase = state.Stopped
	switch {
	case s.wanted:
		return []action{s.launch()}
	case s.doomed:
		s.phase = state.Failed
	case killed:
		s.reason = "had to be killed"
	}
	return nil
}

// rest is the end of a process that silo did not ask to end: the restart policy
// decides what comes next.
func (s *silo) rest(now time.Time, reason string, failed, stopping bool) []action {
	s.reason = reason
	switch {
	case s.phase == state.Stopping:
		return s.settle(false)
	case stopping: // control, while it waits for the regions to end
		s.phase, s.wanted = state.Stopped, false
		return nil
	case !s.everReady: // the first start's failure is the user's to see, not to be retried away
		s.phase, s.wanted = state.Failed, false
		return nil
	case s.policy.Policy == "no", s.policy.Policy == "on-failure" && !failed:
		s.wanted, s.quit = false, true
		s.phase = state.Stopped
		if failed {
			s.phase = state.Failed
		}
		return nil
	}
	s.recent = slices.DeleteFunc(slices.Clone(s.recent), func(t time.Time) bool { return now.Sub(t) > s.policy.Window })
	if len(s.recent) >= s.policy.Max {
		s.phase, s.wanted = state.Failed, false
		s.reason = reason + "; gave up after " + plural(len(s.recent), "restart") + " in " + s.policy.Window.String()
		return nil
	}
	s.recent = append(s.recent, now)
	s.restarts++
	s.backoff++
	s.phase = state.Backoff
	after := backoff(s.policy, s.attempt)
	s.attempt++
	return []action{armAction{s.name, s.backoff, after}}
}

// backoff doubles from the policy's first wait up to its longest.
func backoff(p topology.Restart, attempt int) time.Duration {
	wait := p.Backoff
	for range attempt {
		if wait >= p.BackoffMax {
			break
		}
		wait *= 2
	}
	return min(wait, p.BackoffMax)
}

// wrongMode is the reason of a silo whose answers are plainly another mode's.
const wrongMode = "it answers as a silo of another mode"

// probed takes a probe's finding.
func (s *silo) probed(e probedEvent) []action {
	switch {
	case s.phase == state.Stopping, !s.alive:
		return nil
	case e.fatal:
		return s.giveUp(wrongMode)
	case e.ready && (s.phase == state.Starting || s.phase == state.Unready):
		if s.readyAt.IsZero() {
			s.readyAt = e.at
		}
		s.phase, s.everReady, s.reason = state.Ready, true, ""
		s.attempt = 0
	case !e.ready && s.phase == state.Ready:
		s.phase, s.reason = state.Unready, e.reason
	case !e.ready:
		s.reason = e.reason
	}
	return nil
}

// countDown sets the time of the kill for a silo that is stopping.
func (s *silo) countDown(now time.Time) {
	switch {
	case s.phase != state.Stopping:
		s.killAt = time.Time{}
	case s.killAt.IsZero():
		s.killAt = now.Add(s.grace)
	}
}

// giveUp stops a process that is there and of no use.
func (s *silo) giveUp(reason string) []action {
	todo := s.end(false)
	s.reason, s.doomed = reason, true
	return todo
}
