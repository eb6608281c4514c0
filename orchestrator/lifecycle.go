package orchestrator

import (
	"cmp"
	"slices"
	"time"

	"silo/state"
	"silo/topology"
)

// silo is the state of one silo in a cluster.
type silo struct {
	name      string
	control   bool
	unmanaged bool // a user starts and stops it
	policy    topology.Restart
	grace     time.Duration // between the stop signal and the kill

	phase       state.Phase
	wanted      bool // it should be running
	alive       bool // a process or a launch exists; for an unmanaged silo, a watch
	incarnation int  // number of launches, or of watches
	everReady   bool // from then on, the restart policy applies

	restarts int         // number of automatic restarts
	recent   []time.Time // automatic restarts within policy.Window
	attempt  int         // backoffs since it was last ready
	backoff  int         // number of the latest backoff timer

	debug     *DebugSession // runs the silo, or is about to; nil: the supervised process does
	debugging bool          // the current launch is that of debug

	round     int      // number of the latest round of probing of this process
	probing   bool     // a round is under way
	rewritten *serving // the region config was rewritten while it started: see probeAction.before

	pid         int
	processTime string
	startedAt   time.Time
	readyAt     time.Time
	killAt      time.Time // while stopping
	exit        *state.Exit
	reason      string
	removed     bool   // no longer in the topology
	quit        bool   // exited on its own and is not restarted
	failing     bool   // becomes failed when its stop is over
	timedOut    bool   // because it was not ready in time
	role        string // mode in which it answers; empty if unknown
}

func (s *silo) id() launchID { return launchID{s.name, s.incarnation} }

// react applies an event about the current launch.
func (s *silo) react(e event, now time.Time, instanceStopping bool) []action {
	switch e := e.(type) {
	case launchedEvent:
		s.pid, s.processTime, s.startedAt = e.pid, e.processTime, e.at
	case launchFailedEvent:
		s.alive, s.pid = false, 0
		return s.exited(now, e.reason, true, instanceStopping)
	case exitedEvent:
		if s.alive {
			s.alive, s.pid, s.exit = false, 0, &e.exit
			return s.exited(now, describeExit(e.exit), isFailure(e.exit), instanceStopping)
		}
	case stoppedEvent:
		if s.alive {
			s.alive, s.pid, s.exit = false, 0, &e.exit
			return s.stopped(e.killed)
		}
	case probedEvent:
		if !instanceStopping {
			return s.probed(e)
		}
	case roleEvent:
		if s.alive {
			s.role = e.role
		}
	case readyTimeoutEvent:
		if !instanceStopping && e.round == s.round && !s.debugging {
			return s.overdue()
		}
	case notReloadedEvent:
		if !instanceStopping && e.round == s.round && s.phase == state.Unready && !s.debugging {
			return s.obey(commandRestart)
		}
	}
	return nil
}

// obey executes a command.
func (s *silo) obey(c command) []action {
	switch c {
	case commandNone:
	case commandStop:
		return s.end(false)
	case commandRestart:
		actions := s.end(false)
		s.wanted, s.attempt, s.recent = true, 0, nil
		if s.alive {
			return actions // stopped launches it again
		}
		return append(actions, s.launch())
	case commandStart:
		s.wanted = true
		if !s.alive && s.phase != state.Backoff {
			s.attempt, s.recent = 0, nil
			return []action{s.launch()}
		}
		if s.phase == state.Unready && !s.unmanaged && !s.probing {
			return s.probeAgain(s.reason, nil)
		}
	}
	return nil
}

// launch begins the next incarnation. An unmanaged silo is watched instead.
func (s *silo) launch() action {
	s.incarnation++
	s.alive, s.wanted = true, true
	s.phase = state.Starting
	s.pid, s.processTime = 0, ""
	s.startedAt, s.readyAt = time.Time{}, time.Time{}
	s.reason, s.quit, s.failing, s.timedOut = "", false, false, false
	s.role = ""
	s.round, s.probing, s.rewritten = 0, !s.unmanaged, nil
	if s.unmanaged {
		return watchAction{launchID: s.id()}
	}
	s.debugging = s.debug != nil
	return launchAction{s.id(), s.debug}
}

// lend stops the supervised process, and then launches that of a debug session.
func (s *silo) lend(session *DebugSession) []action {
	if s.unmanaged || s.debug != nil {
		return []action{endDebugAction{session}}
	}
	s.debug = session
	return s.obey(commandRestart)
}

// takeBack ends a debug session whose client is gone.
func (s *silo) takeBack(session *DebugSession) (actions []action) {
	if s.debug != session {
		return nil
	}
	if !s.debugging { // the supervised process is being stopped
		s.wanted = s.wanted && !session.spec.Stop
		return s.endDebug()
	}
	if s.phase != state.Stopping {
		actions = s.end(false)
		s.wanted = !session.spec.Stop
	}
	return actions
}

// endDebug ends the debug session, if there is one. Its process has ended.
func (s *silo) endDebug() []action {
	if s.debug == nil {
		return nil
	}
	over := endDebugAction{s.debug}
	s.debug, s.debugging = nil, false
	return []action{over}
}

// end stops a live silo, or keeps a dead one stopped.
func (s *silo) end(kill bool) []action {
	s.wanted = false
	switch {
	case s.alive && s.unmanaged:
		s.alive, s.pid, s.reason = false, 0, ""
		s.phase = state.Stopped
		return []action{unwatchAction{s.name}}
	case s.alive && s.phase != state.Stopping:
		s.phase = state.Stopping
		if !s.failing { // the reason for not being ready no longer matters
			s.reason = ""
		}
		return []action{stopAction{s.id(), kill}}
	case !s.alive && s.phase != state.Failed:
		s.phase = state.Stopped
	}
	return nil
}

// stopped handles the end of a stop.
func (s *silo) stopped(killed bool) (actions []action) {
	s.phase = state.Stopped
	if s.debugging || !s.wanted {
		actions = s.endDebug()
	}
	switch {
	case s.wanted:
		return append(actions, s.launch())
	case s.failing:
		s.phase = state.Failed
	case killed:
		s.reason = "had to be killed"
	}
	return actions
}

// exited handles the end of a process that was not stopped. The restart policy decides
// what happens next.
func (s *silo) exited(now time.Time, reason string, failed, instanceStopping bool) []action {
	if s.phase == state.Stopping { // the exit was seen before the stop was over
		return s.stopped(false)
	}
	s.reason, s.wanted = reason, false
	switch {
	case s.debugging:
		return s.debugged(instanceStopping)
	case instanceStopping: // control, while the regions stop
		s.phase = state.Stopped
		return nil
	case !s.everReady: // the user should see why the first start failed
		s.phase = state.Failed
		return nil
	case s.policy.Policy == "no", s.policy.Policy == "on-failure" && !failed:
		s.phase, s.quit = state.Stopped, true
		if failed {
			s.phase = state.Failed
		}
		return nil
	}
	return s.backOff(now)
}

// debugged handles the end of a debug session's process: the supervised one is launched
// again.
func (s *silo) debugged(instanceStopping bool) []action {
	again := !s.debug.spec.Stop && !instanceStopping
	actions := s.endDebug()
	s.phase, s.reason = state.Stopped, ""
	if again {
		actions = append(actions, s.launch())
	}
	return actions
}

// backOff waits before an automatic restart, or gives up after too many of them.
func (s *silo) backOff(now time.Time) []action {
	s.recent = slices.DeleteFunc(slices.Clone(s.recent), func(t time.Time) bool { return now.Sub(t) > s.policy.Window })
	if len(s.recent) >= s.policy.Max {
		s.phase = state.Failed
		s.reason += "; gave up after " + plural(len(s.recent), "restart") + " in " + s.policy.Window.String()
		return nil
	}
	s.recent = append(s.recent, now)
	wait := backoff(s.policy, s.attempt)
	s.restarts++
	s.backoff++
	s.attempt++
	s.phase, s.wanted = state.Backoff, true
	return []action{backoffAction{s.name, s.backoff, wait}}
}

// backoff doubles the policy's first wait with each attempt, up to its maximum.
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

// probed handles the result of a probe.
func (s *silo) probed(e probedEvent) []action {
	switch {
	case s.phase == state.Stopping, !s.alive, e.round != s.round && e.round != onlyOnce:
	case e.wrongMode:
		s.role = e.role
		return s.fail(wrongModeReason(e.role))
	case e.round == onlyOnce && s.probing: // the round decides
	case e.ready && (s.phase == state.Starting || s.phase == state.Unready):
		return s.becomeReady(e)
	case e.ready && s.unmanaged && e.pid != s.pid:
		s.setUnmanagedProcess(e)
	case !e.ready && s.phase == state.Ready:
		return s.probeAgain(e.reason, nil)
	case !e.ready:
		s.reason = e.reason
	}
	return nil
}

// becomeReady makes a silo ready, unless it has to load a region config that was
// rewritten while it started.
func (s *silo) becomeReady(e probedEvent) []action {
	if s.readyAt.IsZero() {
		s.readyAt = e.at
	}
	s.phase, s.everReady, s.reason, s.attempt = state.Ready, true, "", 0
	s.probing, s.timedOut = false, false
	s.setUnmanagedProcess(e)
	if before := s.rewritten; before != nil {
		s.rewritten = nil
		return s.probeAgain(reloadingReason, before)
	}
	return nil
}

// probeAgain makes a silo unready, and probes it until it is ready. See probeAction
// about before.
func (s *silo) probeAgain(reason string, before *serving) []action {
	if s.unmanaged { // each watch is an incarnation
		s.launch()
		s.phase, s.reason = state.Unready, reason
		return []action{watchAction{s.id(), before}}
	}
	s.phase, s.reason, s.timedOut = state.Unready, reason, false
	s.round++
	s.probing = true
	return []action{probeAction{s.id(), s.round, before}}
}

// reload waits until a silo has reloaded the rewritten region config.
func (s *silo) reload(before *serving) []action {
	switch {
	case !s.alive, s.debugging: // a debugger may hold its process
	case s.phase == state.Ready, s.phase == state.Unready:
		return s.probeAgain(reloadingReason, before)
	case s.phase == state.Starting: // it may have read the file before
		s.rewritten = cmp.Or(s.rewritten, before)
	}
	return nil
}

// overdue handles a silo that was not ready in time. One that has never been ready is
// stopped; another one may still recover.
func (s *silo) overdue() []action {
	switch s.phase {
	case state.Starting:
		s.timedOut = true
		return s.fail(timeoutReason(s.reason))
	case state.Unready:
		s.timedOut, s.probing = true, false
		s.reason = timeoutReason(s.reason)
	case state.Planned, state.Ready, state.Backoff, state.Stopping, state.Stopped, state.Failed:
	}
	return nil
}

// setUnmanagedProcess records the process that answers for an unmanaged silo.
func (s *silo) setUnmanagedProcess(e probedEvent) {
	if s.unmanaged {
		s.pid, s.startedAt, s.readyAt = e.pid, e.at, e.at
		s.role = ""
	}
}

// setKillAt sets the time at which a stopping silo is killed.
func (s *silo) setKillAt(now time.Time) {
	switch {
	case s.phase != state.Stopping:
		s.killAt = time.Time{}
	case s.killAt.IsZero():
		s.killAt = now.Add(s.grace)
	}
}

// fail stops a process that cannot become ready.
func (s *silo) fail(reason string) []action {
	if s.debugging { // its user decides
		s.reason = reason
		return nil
	}
	actions := s.end(false)
	s.reason, s.failing = reason, true
	if s.unmanaged { // there is no process to stop
		s.phase = state.Failed
	}
	return actions
}
