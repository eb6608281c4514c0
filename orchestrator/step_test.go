package orchestrator

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"silo/state"
	"silo/topology"
)

// world is the model that step is tested against. It contains the processes, stops and
// timers that should exist.
type world struct {
	c         cluster
	live      map[string]int // by silo: incarnation of its process
	stops     map[string]int // by silo: incarnation that is being stopped
	timers    map[string]int // by silo: current backoff
	launched  map[string]int // by silo: last incarnation
	now       time.Time
	down      bool
	unmanaged bool           // the silos are unmanaged
	watches   map[string]int // by silo: incarnation that is watched
	debugs    debugWorld
	rounds    map[string]int // by silo: round of probing that is under way
	steps     *int           // of all worlds
	t         *rapid.T
}

// minSteps is the number of random steps of one test run.
const minSteps = 100_000

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *rapid.T, steps *int) *world {
	w := &world{steps: steps, live: map[string]int{}, stops: map[string]int{}, timers: map[string]int{}, launched: map[string]int{}, rounds: map[string]int{}, now: epoch, t: t}
	policies := []string{"no", "on-failure", "always"}
	w.unmanaged, w.watches = rapid.Bool().Draw(t, "unmanaged"), map[string]int{}
	w.debugs = debugWorld{processes: map[string]*DebugSession{}, latest: map[string]*DebugSession{}, over: map[*DebugSession]bool{}}
	for i, name := range []string{"control", "us", "eu"} {
		w.c.silos = append(w.c.silos, silo{
			unmanaged: w.unmanaged, name: name, control: i == 0, phase: state.Planned,
			policy: topology.Restart{
				Policy: rapid.SampledFrom(policies).Draw(t, "policy"), Max: rapid.IntRange(0, 3).Draw(t, "max"),
				Backoff: time.Second, BackoffMax: 4 * time.Second, Window: time.Minute,
			},
		})
	}
	return w
}

func (w *world) step(e event) {
	before := w.c
	*w.steps++
	var todo []action
	w.c, todo = step(w.c, w.now, e)
	if &before.silos[0] == &w.c.silos[0] {
		w.t.Fatal("step changed its argument")
	}
	for _, a := range todo {
		w.execute(a)
	}
	w.checkRemoved()
	w.check()
	w.checkDebugs()
}

// execute applies an action to the model, and fails on forbidden ones.
func (w *world) execute(a action) {
	if over, ends := a.(endDebugAction); ends {
		w.endDebug(over.session)
		return
	}
	if _, watches := a.(watchAction); w.unmanaged != watches {
		if _, unwatches := a.(unwatchAction); w.unmanaged != unwatches {
			w.t.Fatalf("%T for silos with unmanaged = %v", a, w.unmanaged)
		}
	}
	switch a := a.(type) {
	case watchAction:
		w.watch(a)
	case unwatchAction:
		if w.watches[a.name] == 0 {
			w.t.Fatalf("%s is unwatched without a watch", a.name)
		}
		delete(w.watches, a.name)
	case launchAction:
		if _, twice := w.live[a.name]; twice {
			w.t.Fatalf("%s is launched while one of its processes is alive", a.name)
		}
		if w.down {
			w.t.Fatalf("%s is launched while the instance stops", a.name)
		}
		if a.incarnation <= w.launched[a.name] {
			w.t.Fatalf("%s: incarnation %d follows %d", a.name, a.incarnation, w.launched[a.name])
		}
		w.launched[a.name], w.live[a.name] = a.incarnation, a.incarnation
		w.launchDebug(a)
		w.rounds[a.name] = 0 // it begins with the process
	case probeAction:
		if a.incarnation != w.live[a.name] {
			w.t.Fatalf("%s: incarnation %d is probed and has no process", a.name, a.incarnation)
		}
		w.rounds[a.name] = a.round
	case stopAction:
		if a.incarnation != w.live[a.name] {
			w.t.Fatalf("%s: a stop of incarnation %d, which has no process", a.name, a.incarnation)
		}
		if w.down && !w.c.killing && a.name == "control" {
			for region := range w.live {
				if region != "control" && w.stops["control"] == 0 {
					w.t.Fatalf("control is stopped while %s is alive", region)
				}
			}
		}
		w.stops[a.name] = a.incarnation
	case backoffAction:
		w.timers[a.name] = a.backoff
	}
}

// watch begins the watch for an unmanaged silo.
func (w *world) watch(a watchAction) {
	if w.down {
		w.t.Fatalf("%s is watched while the instance stops", a.name)
	}
	if a.incarnation <= w.launched[a.name] {
		w.t.Fatalf("%s: incarnation %d follows %d", a.name, a.incarnation, w.launched[a.name])
	}
	w.launched[a.name], w.watches[a.name] = a.incarnation, a.incarnation
}

// check checks the invariants of a cluster.
func (w *world) check() {
	for _, s := range w.c.silos {
		_, lives := w.live[s.name]
		if s.unmanaged {
			_, lives = w.watches[s.name]
		}
		if s.alive != lives {
			w.t.Fatalf("%s: alive is %v, but the model has %v", s.name, s.alive, lives)
		}
		switch s.phase {
		case state.Starting, state.Ready, state.Unready, state.Stopping:
			if !lives {
				w.t.Fatalf("%s is %s without a process", s.name, s.phase)
			}
		case state.Planned, state.Stopped, state.Failed, state.Backoff:
			if lives {
				w.t.Fatalf("%s is %s with a process", s.name, s.phase)
			}
		}
		waits := s.phase == state.Starting || s.phase == state.Unready && !s.timedOut
		if round, probed := w.rounds[s.name]; waits && !s.unmanaged && !w.down && (!probed || round != s.round) {
			w.t.Fatalf("%s is %s in round %d of probing, and round %d is under way (%v)", s.name, s.phase, s.round, round, probed)
		}
		if s.phase == state.Stopping && w.stops[s.name] != s.incarnation {
			w.t.Fatalf("%s is stopping without a stop", s.name)
		}
		if s.unmanaged && (s.pid != 0) != (s.phase == state.Ready) {
			w.t.Fatalf("%s is %s as process %d", s.name, s.phase, s.pid)
		}
		if s.unmanaged && (s.phase == state.Stopping || s.phase == state.Backoff || s.restarts > 0) {
			w.t.Fatalf("the unmanaged silo %s is %s after %d restarts", s.name, s.phase, s.restarts)
		}
		if len(s.recent) > s.policy.Max {
			w.t.Fatalf("%s: %d restarts within the window, more than %d", s.name, len(s.recent), s.policy.Max)
		}
	}
}

// end ends a process, by itself or because of a stop.
func (w *world) end(name string, exit state.Exit) {
	incarnation := w.live[name]
	delete(w.live, name)
	delete(w.rounds, name)
	stopped := w.stops[name] == incarnation && incarnation != 0
	delete(w.stops, name)
	defer w.checkReturn(name, stopped, w.debugs.processes[name])
	if stopped && rapid.Bool().Draw(w.t, "stop ends first") {
		w.step(stoppedEvent{launchID{name, incarnation}, exit, rapid.Bool().Draw(w.t, "killed")})
		w.step(exitedEvent{launchID{name, incarnation}, exit}) // reap may send its event too
		return
	}
	w.step(exitedEvent{launchID{name, incarnation}, exit})
	w.step(stoppedEvent{launchID{name, incarnation}, exit, false})
}

func exitCode(code int) state.Exit { return state.Exit{Code: &code} }

func TestStepInvariants(t *testing.T) {
	t.Parallel()
	steps := 0
	for steps < minSteps {
		rapid.Check(t, func(t *rapid.T) { newWorld(t, &steps).play(t) })
	}
	t.Logf("%d steps", steps)
}

// play generates random events.
func (w *world) play(t *rapid.T) {
	name := rapid.SampledFrom([]string{"control", "us", "eu"})
	t.Repeat(map[string]func(*rapid.T){
		"want": func(t *rapid.T) {
			c := rapid.SampledFrom([]command{commandStart, commandStop, commandRestart}).Draw(t, "want")
			w.step(commandEvent{names: []string{name.Draw(t, "silo")}, command: c})
		},
		"exit": func(t *rapid.T) {
			if n := name.Draw(t, "silo"); w.live[n] != 0 {
				w.end(n, exitCode(rapid.IntRange(0, 1).Draw(t, "code")))
			}
		},
		"launch fails": func(t *rapid.T) {
			n := name.Draw(t, "silo")
			if s := w.c.named(n); s != nil && !s.unmanaged && s.alive && s.pid == 0 {
				inc := w.live[n]
				delete(w.live, n)
				delete(w.stops, n)
				delete(w.rounds, n)
				defer w.checkReturn(n, s.phase == state.Stopping, w.debugs.processes[n])
				w.step(launchFailedEvent{launchID{n, inc}, "no such program"})
			}
		},
		"launched": func(t *rapid.T) {
			if n := name.Draw(t, "silo"); w.live[n] != 0 {
				w.step(launchedEvent{launchID{n, w.live[n]}, 1000 + w.live[n], "1", w.now})
			}
		},
		"probe": func(t *rapid.T) {
			round, ready := rapid.IntRange(onlyOnce, 3).Draw(t, "round"), rapid.Bool().Draw(t, "ready")
			w.probe(name.Draw(t, "silo"), probedEvent{round: round, ready: ready, wrongMode: rapid.IntRange(0, 9).Draw(t, "fatal") == 0, reason: "r", at: w.now, pid: rapid.IntRange(1, 3).Draw(t, "pid")})
		},
		"rewritten": func(t *rapid.T) {
			before := map[string]*serving{}
			for _, n := range rapid.SliceOf(name).Draw(t, "reloading") {
				before[n] = &serving{}
			}
			w.step(rewrittenEvent{before})
		},
		"not reloaded": func(t *rapid.T) {
			n := name.Draw(t, "silo")
			if round, probed := w.rounds[n]; probed && round > 0 && w.debugs.processes[n] == nil {
				delete(w.rounds, n)
				w.step(notReloadedEvent{launchID{n, w.live[n]}, round})
			}
		},
		"apply": func(t *rapid.T) {
			var order []silo
			for _, n := range []string{"control", "us", "eu"} {
				if n == "control" || rapid.Bool().Draw(t, "has "+n) {
					order = append(order, silo{unmanaged: w.unmanaged, name: n, control: n == "control", phase: state.Planned, policy: topology.Restart{Policy: "always", Max: 3, Backoff: time.Second, BackoffMax: time.Second, Window: time.Minute}})
				}
			}
			w.step(applyEvent{silos: order, restart: rapid.SliceOf(name).Draw(t, "again")})
		},
		"debug": func(t *rapid.T) {
			n := name.Draw(t, "silo")
			session := &DebugSession{spec: DebugSpec{Stop: rapid.Bool().Draw(t, "stop")}}
			w.step(debugEvent{n, session})
			if !w.debugs.over[session] {
				w.debugs.latest[n] = session
			}
		},
		"client gone": func(t *rapid.T) {
			if n := name.Draw(t, "silo"); w.debugs.latest[n] != nil {
				w.step(clientGoneEvent{n, w.debugs.latest[n]})
			}
		},
		"overdue":      func(t *rapid.T) { w.overdue(name.Draw(t, "silo")) },
		"wait":         func(*rapid.T) { w.awaitReady() },
		"stale":        func(t *rapid.T) { n := name.Draw(t, "silo"); w.stale(n) },
		"backoff over": func(t *rapid.T) { w.backoffOver(name.Draw(t, "silo")) },
		"time passes":  func(t *rapid.T) { w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "s")) * time.Second) },
		"down": func(t *rapid.T) {
			if rapid.IntRange(0, 7).Draw(t, "rarely") == 0 {
				w.down = true
				w.step(downEvent{kill: rapid.Bool().Draw(t, "kill")})
			}
		},
	})
	w.finish()
}

// probe sends the result of a probe. It ends the round of which it is a final result.
func (w *world) probe(name string, e probedEvent) {
	e.launchID = launchID{name, w.launched[name]}
	round, probed := w.rounds[name]
	e.wrongMode = e.wrongMode && w.debugs.processes[name] == nil // its mode is not checked
	switch {
	case w.unmanaged:
		e.round = 0 // each watch is an incarnation
	case e.round == onlyOnce:
		e.wrongMode = false // only a round checks the mode
	case probed && e.round == round && (e.ready || e.wrongMode):
		delete(w.rounds, name)
	case !probed || e.round > round:
		return // there is no such round yet
	}
	w.step(e)
}

// overdue ends a round of probing by its timeout.
func (w *world) overdue(name string) {
	if round, probed := w.rounds[name]; probed && w.debugs.processes[name] == nil { // a debug session has no timeout
		delete(w.rounds, name)
		w.step(readyTimeoutEvent{launchID{name, w.live[name]}, round})
	}
}

// awaitReady checks that a wait for ready ends: once all that is under way has happened,
// and every round of probing has succeeded or timed out, all silos are ready or have
// failed, or the user stopped them.
func (w *world) awaitReady() {
	if w.down {
		return // nothing waits for ready any more
	}
	for range 30 {
		for _, s := range w.c.silos {
			switch round, probed := w.rounds[s.name]; {
			case s.phase == state.Backoff:
				w.backoffOver(s.name)
			case s.phase == state.Stopping:
				w.end(s.name, exitCode(0))
			case s.unmanaged && s.alive && s.phase != state.Ready:
				w.probe(s.name, probedEvent{ready: true, at: w.now, pid: 1})
			case probed && (w.debugs.processes[s.name] != nil || rapid.Bool().Draw(w.t, "in time")):
				w.probe(s.name, probedEvent{round: round, ready: true, at: w.now})
			case probed:
				w.overdue(s.name)
			}
		}
	}
	for _, s := range w.c.silos {
		waits := s.phase == state.Starting || s.phase == state.Backoff || s.phase == state.Stopping || s.phase == state.Unready && !s.timedOut
		if waits {
			w.t.Fatalf("%s stays %s: %+v", s.name, s.phase, s)
		}
	}
}

// stale sends outdated events: they must have no effect.
func (w *world) stale(name string) {
	if w.launched[name] < 2 {
		return
	}
	old := w.launched[name] - 1
	if w.c.named(name) == nil {
		return
	}
	before := *w.c.named(name)
	w.step(exitedEvent{launchID{name, old}, exitCode(1)})
	w.step(probedEvent{launchID: launchID{name, old}, ready: true})
	if w.c.named(name) == nil {
		return // it was removed
	}
	after := *w.c.named(name)
	if before.phase != after.phase || before.restarts != after.restarts {
		w.t.Fatalf("%s: an event of incarnation %d changed incarnation %d", name, old, w.launched[name])
	}
}

// checkRemoved checks that removed silos have ended.
func (w *world) checkRemoved() {
	for name := range w.launched {
		if w.c.named(name) == nil {
			if w.live[name] != 0 || w.watches[name] != 0 {
				w.t.Fatalf("%s is removed while its process is alive", name)
			}
		}
	}
}

// backoffOver ends a backoff, even an outdated one.
func (w *world) backoffOver(name string) {
	if backoff, armed := w.timers[name]; armed {
		delete(w.timers, name)
		w.step(backoffOverEvent{name, backoff})
	}
}

// finish stops the instance: first every stop ends, and then the instance.
func (w *world) finish() {
	w.down = true
	w.step(downEvent{})
	for range 10 {
		for _, name := range []string{"us", "eu", "control"} {
			if w.stops[name] != 0 && w.live[name] != 0 {
				w.end(name, exitCode(0))
			}
		}
	}
	if !w.c.done() {
		w.t.Fatalf("the instance does not end: %+v", w.c)
	}
	for name, session := range w.debugs.latest {
		if !w.debugs.over[session] {
			w.t.Fatalf("the debug session of %s never ends", name)
		}
	}
	for _, s := range w.c.silos {
		if s.phase != state.Stopped && s.phase != state.Failed {
			w.t.Fatalf("%s is %s at the end", s.name, s.phase)
		}
	}
}
