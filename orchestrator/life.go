package orchestrator

import (
	"slices"
	"time"

	"silo/state"
	"silo/topology"
)

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
			if s.loose {
				return append(todo, s.launch())
			}
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

// launch makes the next incarnation: of a loose silo, the wait for it.
func (s *silo) launch() action {
	s.incarnation++
	s.alive, s.wanted = true, true
	s.phase = state.Starting
	s.pid, s.processTime = 0, ""
	s.startedAt, s.readyAt = time.Time{}, time.Time{}
	s.reason, s.quit, s.doomed, s.timedOut = "", false, false, false
	s.role = ""
	if s.loose {
		return seekAction{s.name, s.incarnation}
	}
	return launchAction{s.name, s.incarnation}
}

// end asks a silo to rest: a live one is stopped, one in backoff just stays down.
func (s *silo) end(kill bool) []action {
	s.wanted = false
	switch {
	case s.alive && s.loose: // its process is somebody else's
		s.alive, s.pid, s.reason = false, 0, ""
		s.phase = state.Stopped
		return []action{leaveAction{s.name}}
	case s.alive && s.phase != state.Stopping:
		s.phase = state.Stopping
		if !s.doomed { // what it lacked to be ready is of no interest any more
			s.reason = ""
		}
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
	if s.phase == state.Stopping { // the end that was asked for, and why stays as it was
		return s.settle(false)
	}
	s.reason = reason
	switch {
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
		s.role = e.role
		return s.giveUp(foreign(e.role))
	case e.ready && (s.phase == state.Starting || s.phase == state.Unready):
		if s.readyAt.IsZero() {
			s.readyAt = e.at
		}
		s.phase, s.everReady, s.reason = state.Ready, true, ""
		s.attempt = 0
		s.appear(e)
	case e.ready && s.loose && e.holder != s.pid:
		s.appear(e)
	case !e.ready && s.phase == state.Ready && s.loose: // the look-out had ended
		wait := s.launch()
		s.phase, s.reason = state.Unready, e.reason
		return []action{wait}
	case !e.ready && s.phase == state.Ready:
		s.phase, s.reason = state.Unready, e.reason
	case !e.ready:
		s.reason = e.reason
	}
	return nil
}

// appear notes which process a loose silo is found to be.
func (s *silo) appear(e probedEvent) {
	if s.loose {
		s.pid, s.startedAt, s.readyAt = e.holder, e.at, e.at
		s.role = ""
	}
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
	if s.loose { // nothing is left to end
		s.phase = state.Failed
	}
	return todo
}
