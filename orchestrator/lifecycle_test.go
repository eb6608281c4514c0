package orchestrator

import (
	"slices"
	"testing"
	"time"

	"silo/state"
	"silo/topology"
)

// oneSilo is a cluster of the ready silo us.
func oneSilo(policy topology.Restart) cluster {
	c := cluster{silos: []silo{{name: "us", phase: state.Planned, policy: policy}}}
	c, _ = step(c, epoch, commandEvent{names: []string{"us"}, command: commandStart})
	c, _ = step(c, epoch, probedEvent{launchID: launchID{"us", 1}, ready: true, at: epoch})
	return c
}

// crash ends the silo's process, and returns the wait before its restart; 0 if it is not
// restarted.
func crash(c *cluster, now time.Time) (wait time.Duration) {
	var actions []action
	*c, actions = step(*c, now, exitedEvent{launchID{"us", c.silos[0].incarnation}, exitCode(1)})
	if len(actions) == 0 {
		return 0
	}
	backoff, ok := actions[0].(backoffAction)
	if !ok {
		return 0
	}
	*c, _ = step(*c, now, backoffOverEvent{"us", backoff.backoff})
	return backoff.wait
}

var restartPolicy = topology.Restart{Policy: "on-failure", Max: 5, Backoff: time.Second, BackoffMax: 8 * time.Second, Window: time.Minute}

func TestStopDuringBackoff(t *testing.T) {
	t.Parallel()
	c := oneSilo(restartPolicy)
	c, actions := step(c, epoch, exitedEvent{launchID{"us", 1}, exitCode(1)})
	if c.silos[0].phase != state.Backoff || len(actions) != 1 {
		t.Fatalf("after a crash the silo is %s, with %v", c.silos[0].phase, actions)
	}
	c, _ = step(c, epoch, commandEvent{names: []string{"us"}, command: commandStop})
	c, actions = step(c, epoch, backoffOverEvent{"us", 1})
	if c.silos[0].phase != state.Stopped || len(actions) != 0 {
		t.Fatalf("a stopped silo is %s after its backoff, with %v", c.silos[0].phase, actions)
	}
}

func TestBackoffDoubles(t *testing.T) {
	t.Parallel()
	c := oneSilo(restartPolicy)
	var waits []time.Duration
	for range 5 {
		waits = append(waits, crash(&c, epoch))
	}
	if want := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second}; !slices.Equal(waits, want) {
		t.Errorf("waited %v, want %v", waits, want)
	}
	// Once a silo is ready again, the wait starts from the beginning.
	c = oneSilo(restartPolicy)
	crash(&c, epoch)
	crash(&c, epoch)
	c, _ = step(c, epoch, probedEvent{launchID: launchID{"us", 3}, ready: true, at: epoch})
	if wait := crash(&c, epoch); wait != time.Second {
		t.Errorf("after it was ready again, a silo waits %v", wait)
	}
	// The wait reaches a maximum exactly even if that is not a multiple of the first wait.
	p := topology.Restart{Backoff: 500 * time.Millisecond, BackoffMax: 3 * time.Second}
	if got := backoff(p, 3); got != 3*time.Second {
		t.Errorf("fourth wait: got %v", got)
	}
}

func TestRestartLimit(t *testing.T) {
	t.Parallel()
	for limit := range 3 {
		policy := restartPolicy
		policy.Max = limit
		c := oneSilo(policy)
		for i := range limit {
			if crash(&c, epoch) == 0 {
				t.Fatalf("limit %d: crash %d is not restarted", limit, i+1)
			}
		}
		if crash(&c, epoch) != 0 || c.silos[0].phase != state.Failed || c.silos[0].restarts != limit {
			t.Errorf("limit %d: after %d restarts the silo is %s", limit, c.silos[0].restarts, c.silos[0].phase)
		}
		if want := "exited with code 1; gave up after " + plural(limit, "restart") + " in 1m0s"; c.silos[0].reason != want {
			t.Errorf("limit %d: the reason is %q, want %q", limit, c.silos[0].reason, want)
		}
	}
}

// Only restarts within the window count.
func TestRestartWindow(t *testing.T) {
	t.Parallel()
	policy := restartPolicy
	policy.Max = 1
	for after, restarted := range map[time.Duration]bool{time.Minute: false, time.Minute + 1: true} {
		c := oneSilo(policy)
		crash(&c, epoch)
		if got := crash(&c, epoch.Add(after)) != 0; got != restarted {
			t.Errorf("%v after the first crash: restarted %v", after, got)
		}
	}
}

func TestRestartPolicies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		policy string
		code   int
		want   state.Phase
		quit   bool
	}{
		{"no", 0, state.Stopped, true},
		{"no", 1, state.Failed, true},
		{"on-failure", 0, state.Stopped, true},
		{"on-failure", 1, state.Backoff, false},
		{"always", 0, state.Backoff, false},
		{"always", 1, state.Backoff, false},
	} {
		policy := restartPolicy
		policy.Policy = test.policy
		c, _ := step(oneSilo(policy), epoch, exitedEvent{launchID{"us", 1}, exitCode(test.code)})
		if s := c.silos[0]; s.phase != test.want || s.quit != test.quit {
			t.Errorf("%s, exit %d: the silo is %s, quit %v", test.policy, test.code, s.phase, s.quit)
		}
	}
}

// A silo that is removed and added again ignores events of its former processes.
func TestReturningSiloContinuesCounting(t *testing.T) {
	t.Parallel()
	for _, former := range []struct{ incarnations, backoffs int }{{1, 3}, {4, 0}} {
		c := oneSilo(restartPolicy)
		c.silos[0].incarnation, c.silos[0].backoff = former.incarnations, former.backoffs
		added := applyEvent{silos: []silo{{name: "us", phase: state.Planned, policy: restartPolicy}}}
		c, _ = step(c, epoch, commandEvent{names: []string{"us"}, command: commandStop})
		c, _ = step(c, epoch, stoppedEvent{launchID{"us", former.incarnations}, exitCode(0), false})
		c, _ = step(c, epoch, applyEvent{})
		c, actions := step(c, epoch, added)
		s := c.silos[0]
		if len(actions) != 1 || s.incarnation <= former.incarnations || s.backoff < former.backoffs {
			t.Errorf("after %+v the silo counts from incarnation %d and backoff %d: %v", former, s.incarnation, s.backoff, actions)
		}
	}
}

// A silo whose first start fails is not restarted. A start with a changed command counts
// as a first start.
func TestNoRestartBeforeReady(t *testing.T) {
	t.Parallel()
	c := oneSilo(restartPolicy)
	known := c.silos[0]
	c, _ = step(c, epoch, applyEvent{silos: []silo{known}, restart: []string{"us"}})
	c, _ = step(c, epoch, stoppedEvent{launchID{"us", 1}, exitCode(0), false})
	c, actions := step(c, epoch, exitedEvent{launchID{"us", 2}, exitCode(1)})
	if c.silos[0].phase != state.Failed || len(actions) != 0 {
		t.Errorf("the silo is %s, with %v", c.silos[0].phase, actions)
	}
}

// The events of an exit and of a stop can arrive in either order.
func TestTimeoutKeepsReason(t *testing.T) {
	t.Parallel()
	signal := "TERM"
	exit := state.Exit{Signal: &signal}
	for _, order := range [][]event{
		{exitedEvent{launchID{"us", 1}, exit}, stoppedEvent{launchID{"us", 1}, exit, false}},
		{stoppedEvent{launchID{"us", 1}, exit, true}, exitedEvent{launchID{"us", 1}, exit}},
	} {
		c := cluster{silos: []silo{{name: "us", phase: state.Planned}}}
		for _, e := range append([]event{commandEvent{names: []string{"us"}, command: commandStart}, readyTimeoutEvent{launchID{"us", 1}, 0}}, order...) {
			c, _ = step(c, epoch, e)
		}
		if s := c.silos[0]; s.phase != state.Failed || s.reason != "not ready in time" || !s.timedOut {
			t.Errorf("the silo is %s: %s", s.phase, s.reason)
		}
	}
}

func TestKillEndsGrace(t *testing.T) {
	t.Parallel()
	c := cluster{silos: []silo{{name: "control", control: true, phase: state.Planned}, {name: "us", phase: state.Planned, grace: time.Minute}}}
	c, _ = step(c, epoch, commandEvent{names: []string{"control", "us"}, command: commandStart})
	c, actions := step(c, epoch, downEvent{})
	if want := []action{stopAction{launchID{"us", 1}, false}}; !slices.Equal(actions, want) || !c.silos[1].killAt.Equal(epoch.Add(time.Minute)) {
		t.Errorf("down: %v, kill at %v", actions, c.silos[1].killAt)
	}
	c, actions = step(c, epoch, downEvent{kill: true})
	if want := []action{stopAction{launchID{"us", 1}, true}, stopAction{launchID{"control", 1}, true}}; !slices.Equal(actions, want) {
		t.Errorf("kill: %v, want %v", actions, want)
	}
	if c, actions = step(c, epoch, downEvent{kill: true}); len(actions) != 0 || c.done() {
		t.Errorf("a second kill: %v, done %v", actions, c.done())
	}
}

func TestProbeInterval(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		since, configured time.Duration
		silos             int
		want              time.Duration
	}{
		{0, 100 * time.Millisecond, 3, 10 * time.Millisecond},
		{500 * time.Millisecond, 100 * time.Millisecond, 3, 10 * time.Millisecond},
		{2 * time.Second, 100 * time.Millisecond, 3, 40 * time.Millisecond},
		{time.Minute, 100 * time.Millisecond, 3, 100 * time.Millisecond},
		{0, 100 * time.Millisecond, 100, 50 * time.Millisecond},
		{0, 5 * time.Millisecond, 3, 5 * time.Millisecond},
	} {
		if got := probeInterval(test.since, test.configured, test.silos); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}

func TestInstanceState(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		silo               silo
		starting, degraded bool
	}{
		{silo{phase: state.Ready}, false, false},
		{silo{phase: state.Starting}, true, true},
		{silo{phase: state.Starting, everReady: true}, false, true},
		{silo{phase: state.Stopping, everReady: true}, false, true},
		{silo{phase: state.Unready}, false, true},
		{silo{phase: state.Failed}, false, true},
		{silo{phase: state.Stopped}, false, false}, // stopped by the user
		{silo{phase: state.Stopped, quit: true}, false, true},
	} {
		if isStarting(test.silo) != test.starting || isDegraded(state.Silo{}, test.silo) != test.degraded {
			t.Errorf("%+v: starting %v, degraded %v", test.silo, isStarting(test.silo), isDegraded(state.Silo{}, test.silo))
		}
	}
	for tunnel, degraded := range map[state.TunnelState]bool{state.TunnelOnline: false, state.TunnelLost: true, state.TunnelReconnecting: true} {
		if isDegraded(state.Silo{Tunnel: state.Tunnel{State: tunnel}}, silo{phase: state.Ready}) != degraded {
			t.Errorf("a tunnel that is %s", tunnel)
		}
	}
}

// A silo that does not reload a rewritten region config in time is restarted.
func TestNotReloadedIsRestarted(t *testing.T) {
	t.Parallel()
	c := oneSilo(restartPolicy)
	before := &serving{socket: "socket:[1]"}
	c, actions := step(c, epoch, rewrittenEvent{map[string]*serving{"us": before}})
	if want := []action{probeAction{launchID{"us", 1}, 1, before}}; c.silos[0].phase != state.Unready || !slices.Equal(actions, want) {
		t.Fatalf("the silo is %s, with %v", c.silos[0].phase, actions)
	}
	c, _ = step(c, epoch, probedEvent{launchID: launchID{"us", 1}, ready: true}) // of the round before
	if c.silos[0].phase != state.Unready {
		t.Fatalf("the silo is %s by a probe from before the write", c.silos[0].phase)
	}
	c, actions = step(c, epoch, notReloadedEvent{launchID{"us", 1}, 1})
	if want := []action{stopAction{launchID{"us", 1}, false}}; !slices.Equal(actions, want) || !c.silos[0].wanted || c.silos[0].restarts != 0 {
		t.Fatalf("the silo gets %v: %+v", actions, c.silos[0])
	}
}

// A silo that was starting while the region config was rewritten may have read the old
// one: its first ready is not enough.
func TestRewriteWhileStarting(t *testing.T) {
	t.Parallel()
	c := cluster{silos: []silo{{name: "us", phase: state.Planned}}}
	before := &serving{}
	for _, e := range []event{
		commandEvent{names: []string{"us"}, command: commandStart},
		rewrittenEvent{map[string]*serving{"us": before}},
		probedEvent{launchID: launchID{"us", 1}, ready: true, at: epoch},
	} {
		c, _ = step(c, epoch, e)
	}
	if s := c.silos[0]; s.phase != state.Unready || !s.everReady {
		t.Fatalf("the silo is %s", s.phase)
	}
	c, _ = step(c, epoch, probedEvent{launchID: launchID{"us", 1}, round: 1, ready: true, at: epoch})
	if s := c.silos[0]; s.phase != state.Ready {
		t.Fatalf("the silo is %s", s.phase)
	}
}

// A silo that has been ready and stays unready too long is overdue, and probed again by
// the next start.
func TestUnreadyTooLong(t *testing.T) {
	t.Parallel()
	c := oneSilo(restartPolicy)
	c, _ = step(c, epoch, probedEvent{launchID: launchID{"us", 1}, round: onlyOnce, reason: "r"})
	c, _ = step(c, epoch, readyTimeoutEvent{launchID{"us", 1}, 1})
	if s := c.silos[0]; s.phase != state.Unready || !s.timedOut || s.reason != "not ready in time: r" {
		t.Fatalf("got %+v", s)
	}
	c, actions := step(c, epoch, commandEvent{names: []string{"us"}, command: commandStart})
	if want := []action{probeAction{launchID{"us", 1}, 2, nil}}; !slices.Equal(actions, want) || c.silos[0].timedOut {
		t.Fatalf("got %v: %+v", actions, c.silos[0])
	}
}

func TestReplacedBy(t *testing.T) {
	t.Parallel()
	old := &serving{"socket:[1]", map[int]string{10: "1", 11: "2"}}
	for name, test := range map[string]struct {
		now  serving
		want bool
	}{
		"the same":        {serving{"socket:[1]", map[int]string{10: "1", 11: "2"}}, false},
		"a worker ended":  {serving{"socket:[1]", map[int]string{10: "1"}}, false},
		"nothing":         {serving{"", map[int]string{}}, false},
		"another socket":  {serving{"socket:[2]", map[int]string{10: "1"}}, true},
		"another process": {serving{"", map[int]string{10: "1", 12: "3"}}, true},
		"a reused PID":    {serving{"socket:[1]", map[int]string{10: "1", 11: "9"}}, true},
	} {
		if got := old.replacedBy(&test.now); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
