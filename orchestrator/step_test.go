package orchestrator

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"silo/state"
	"silo/topology"
)

// world is the model that step is held against: which processes there are, and
// which stops and timers are under way.
type world struct {
	c        cluster
	live     map[string]int // silo → incarnation of its live process
	stops    map[string]int // silo → incarnation that is being stopped
	timers   map[string]int // silo → backoff that is armed
	launched map[string]int // silo → incarnation last launched
	now      time.Time
	down     bool
	loose    bool           // the silos are somebody else's
	seeks    map[string]int // silo → incarnation that is looked out for
	steps    *int           // taken, of all worlds
	t        *rapid.T
}

// leastSteps is how many steps the random histories of one run of the tests take
// together, at the least.
const leastSteps = 100_000

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newWorld(t *rapid.T, steps *int) *world {
	w := &world{steps: steps, live: map[string]int{}, stops: map[string]int{}, timers: map[string]int{}, launched: map[string]int{}, now: epoch, t: t}
	policies := []string{"no", "on-failure", "always"}
	w.loose, w.seeks = rapid.Bool().Draw(t, "unmanaged"), map[string]int{}
	for i, name := range []string{"control", "us", "eu"} {
		w.c.silos = append(w.c.silos, silo{
			unmanaged: w.loose, name: name, control: i == 0, phase: state.Planned,
			policy: topology.Restart{
				Policy: rapid.SampledFrom(policies).Draw(t, "policy"), Max: rapid.IntRange(0, 3).Draw(t, "max"),
				Backoff: time.Second, BackoffMax: 4 * time.Second, Window: time.Minute,
			},
		})
	}
	return w
}

func (w *world) tell(e event) {
	before := w.c
	*w.steps++
	var todo []action
	w.c, todo = step(w.c, w.now, e)
	if &before.silos[0] == &w.c.silos[0] {
		w.t.Fatal("step changed the cluster it was given")
	}
	for _, a := range todo {
		w.carry(a)
	}
	w.forget()
	w.hold()
}

// carry does what an action asks for, and refuses what must never be asked for.
func (w *world) carry(a action) {
	if _, seeks := a.(watchAction); w.loose != seeks {
		if _, leaves := a.(unwatchAction); w.loose != leaves {
			w.t.Fatalf("%T of silos that are unmanaged: %v", a, w.loose)
		}
	}
	switch a := a.(type) {
	case watchAction:
		w.seek(a)
	case unwatchAction:
		if w.seeks[a.name] == 0 {
			w.t.Fatalf("%s is left, and was not looked out for", a.name)
		}
		delete(w.seeks, a.name)
	case launchAction:
		if _, twice := w.live[a.name]; twice {
			w.t.Fatalf("%s is launched while a process of it lives", a.name)
		}
		if w.down {
			w.t.Fatalf("%s is launched while the instance is going down", a.name)
		}
		if a.incarnation <= w.launched[a.name] {
			w.t.Fatalf("%s: incarnation %d follows %d", a.name, a.incarnation, w.launched[a.name])
		}
		w.launched[a.name], w.live[a.name] = a.incarnation, a.incarnation
	case stopAction:
		if a.incarnation != w.live[a.name] {
			w.t.Fatalf("%s: a stop of incarnation %d, which does not live", a.name, a.incarnation)
		}
		if w.down && !w.c.killing && a.name == "control" {
			for region := range w.live {
				if region != "control" && w.stops["control"] == 0 {
					w.t.Fatalf("control is stopped while %s lives", region)
				}
			}
		}
		w.stops[a.name] = a.incarnation
	case backoffAction:
		w.timers[a.name] = a.backoff
	}
}

// seek is the wait for a silo that is not the supervisor's to start.
func (w *world) seek(a watchAction) {
	if w.down {
		w.t.Fatalf("%s is looked out for while the instance is going down", a.name)
	}
	if a.incarnation <= w.launched[a.name] {
		w.t.Fatalf("%s: incarnation %d follows %d", a.name, a.incarnation, w.launched[a.name])
	}
	w.launched[a.name], w.seeks[a.name] = a.incarnation, a.incarnation
}

// hold checks what is true of every cluster.
func (w *world) hold() {
	for _, s := range w.c.silos {
		_, lives := w.live[s.name]
		if s.unmanaged {
			_, lives = w.seeks[s.name]
		}
		if s.alive != lives {
			w.t.Fatalf("%s: alive is %v, and lives is %v", s.name, s.alive, lives)
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
		if s.phase == state.Stopping && w.stops[s.name] != s.incarnation {
			w.t.Fatalf("%s is stopping, but nobody stops it", s.name)
		}
		if s.unmanaged && (s.pid != 0) != (s.phase == state.Ready) {
			w.t.Fatalf("%s is %s as process %d", s.name, s.phase, s.pid)
		}
		if s.unmanaged && (s.phase == state.Stopping || s.phase == state.Backoff || s.restarts > 0) {
			w.t.Fatalf("%s is %s after %d restarts, and nobody's to restart", s.name, s.phase, s.restarts)
		}
		if len(s.recent) > s.policy.Max {
			w.t.Fatalf("%s: %d restarts within the window are above %d", s.name, len(s.recent), s.policy.Max)
		}
	}
}

// end is the end of a live process: by itself, or by the stop that is under way.
func (w *world) end(name string, exit state.Exit) {
	incarnation := w.live[name]
	delete(w.live, name)
	stopped := w.stops[name] == incarnation && incarnation != 0
	delete(w.stops, name)
	if stopped && rapid.Bool().Draw(w.t, "told as the stop's end") {
		w.tell(stoppedEvent{name, incarnation, exit, rapid.Bool().Draw(w.t, "killed")})
		w.tell(exitedEvent{name, incarnation, exit}) // the reaper has its word, too
		return
	}
	w.tell(exitedEvent{name, incarnation, exit})
	w.tell(stoppedEvent{name, incarnation, exit, false})
}

func exitCode(code int) state.Exit { return state.Exit{Code: &code} }

func TestStepHoldsItsPromises(t *testing.T) {
	t.Parallel()
	steps := 0
	for steps < leastSteps {
		rapid.Check(t, func(t *rapid.T) { newWorld(t, &steps).play(t) })
	}
	t.Logf("%d steps", steps)
}

// play has anything happen, in any order.
func (w *world) play(t *rapid.T) {
	name := rapid.SampledFrom([]string{"control", "us", "eu"})
	t.Repeat(map[string]func(*rapid.T){
		"want": func(t *rapid.T) {
			wish := rapid.SampledFrom([]command{commandStart, commandStop, commandRestart}).Draw(t, "want")
			w.tell(commandEvent{names: []string{name.Draw(t, "silo")}, command: wish})
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
				w.tell(launchFailedEvent{n, inc, "no such program"})
			}
		},
		"launched": func(t *rapid.T) {
			if n := name.Draw(t, "silo"); w.live[n] != 0 {
				w.tell(launchedEvent{n, w.live[n], 1000 + w.live[n], "1", w.now})
			}
		},
		"probe": func(t *rapid.T) {
			n := name.Draw(t, "silo")
			w.tell(probedEvent{name: n, incarnation: w.launched[n], ready: rapid.Bool().Draw(t, "ready"), wrongMode: rapid.IntRange(0, 9).Draw(t, "fatal") == 0, reason: "r", at: w.now, pid: rapid.IntRange(1, 3).Draw(t, "pid")})
		},
		"apply": func(t *rapid.T) {
			var order []silo
			for _, n := range []string{"control", "us", "eu"} {
				if n == "control" || rapid.Bool().Draw(t, "has "+n) {
					order = append(order, silo{unmanaged: w.loose, name: n, control: n == "control", phase: state.Planned, policy: topology.Restart{Policy: "always", Max: 3, Backoff: time.Second, BackoffMax: time.Second, Window: time.Minute}})
				}
			}
			w.tell(applyEvent{silos: order, restart: rapid.SliceOf(name).Draw(t, "again")})
		},
		"overdue":      func(t *rapid.T) { n := name.Draw(t, "silo"); w.tell(readyTimeoutEvent{n, w.launched[n]}) },
		"stale":        func(t *rapid.T) { n := name.Draw(t, "silo"); w.stale(n) },
		"backoff over": func(t *rapid.T) { w.ring(name.Draw(t, "silo")) },
		"time passes":  func(t *rapid.T) { w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "s")) * time.Second) },
		"down": func(t *rapid.T) {
			if rapid.IntRange(0, 7).Draw(t, "rarely") == 0 {
				w.down = true
				w.tell(downEvent{kill: rapid.Bool().Draw(t, "kill")})
			}
		},
	})
	w.finish()
}

// stale tells of a process that is gone: nothing may come of it.
func (w *world) stale(name string) {
	if w.launched[name] < 2 {
		return
	}
	old := w.launched[name] - 1
	if w.c.named(name) == nil {
		return
	}
	before := *w.c.named(name)
	w.tell(exitedEvent{name, old, exitCode(1)})
	w.tell(probedEvent{name: name, incarnation: old, ready: true})
	if w.c.named(name) == nil {
		return // it had left before
	}
	after := *w.c.named(name)
	if before.phase != after.phase || before.restarts != after.restarts {
		w.t.Fatalf("%s: word of incarnation %d changed incarnation %d", name, old, w.launched[name])
	}
}

// forget checks that who has left the cluster has ended.
func (w *world) forget() {
	for name := range w.launched {
		if w.c.named(name) == nil {
			if w.live[name] != 0 || w.seeks[name] != 0 {
				w.t.Fatalf("%s is forgotten while its process lives", name)
			}
		}
	}
}

// ring lets an armed timer ring, also one that has been overtaken.
func (w *world) ring(name string) {
	if backoff, armed := w.timers[name]; armed {
		delete(w.timers, name)
		w.tell(backoffOverEvent{name, backoff})
	}
}

// finish takes the instance down: every stop comes to its end, and then all is.
func (w *world) finish() {
	w.down = true
	w.tell(downEvent{})
	for range 10 {
		for _, name := range []string{"us", "eu", "control"} {
			if w.stops[name] != 0 && w.live[name] != 0 {
				w.end(name, exitCode(0))
			}
		}
	}
	if !w.c.done() {
		w.t.Fatalf("the instance never ends: %+v", w.c)
	}
	for _, s := range w.c.silos {
		if s.phase != state.Stopped && s.phase != state.Failed {
			w.t.Fatalf("%s is %s at the end", s.name, s.phase)
		}
	}
}

func TestStopDuringBackoffWins(t *testing.T) {
	t.Parallel()
	c := cluster{silos: []silo{{
		name: "us", phase: state.Planned,
		policy: topology.Restart{Policy: "on-failure", Max: 5, Backoff: time.Second, BackoffMax: 8 * time.Second, Window: time.Minute},
	}}}
	c, _ = step(c, epoch, commandEvent{names: []string{"us"}, command: commandStart})
	c, _ = step(c, epoch, probedEvent{name: "us", incarnation: 1, ready: true, at: epoch})
	c, todo := step(c, epoch, exitedEvent{"us", 1, exitCode(1)})
	if c.silos[0].phase != state.Backoff || len(todo) != 1 {
		t.Fatalf("a crash of a ready silo is in %s, with %v", c.silos[0].phase, todo)
	}
	c, _ = step(c, epoch, commandEvent{names: []string{"us"}, command: commandStop})
	c, todo = step(c, epoch, backoffOverEvent{"us", 1})
	if c.silos[0].phase != state.Stopped || len(todo) != 0 {
		t.Fatalf("a stopped silo is %s after its backoff, with %v", c.silos[0].phase, todo)
	}
}

func TestBackoffDoublesUpToItsLongest(t *testing.T) {
	t.Parallel()
	p := topology.Restart{Backoff: 500 * time.Millisecond, BackoffMax: 3 * time.Second}
	var got []time.Duration
	for attempt := range 5 {
		got = append(got, backoff(p, attempt))
	}
	want := []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 3 * time.Second, 3 * time.Second}
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// The reaper's word of the end may come before the stop's.
func TestASiloThatIsGivenUpKeepsTheReason(t *testing.T) {
	t.Parallel()
	signal := "TERM"
	killed := state.Exit{Signal: &signal}
	for _, order := range [][]event{
		{exitedEvent{"us", 1, killed}, stoppedEvent{"us", 1, killed, false}},
		{stoppedEvent{"us", 1, killed, true}, exitedEvent{"us", 1, killed}},
	} {
		c := cluster{silos: []silo{{name: "us", phase: state.Planned}}}
		for _, e := range append([]event{commandEvent{names: []string{"us"}, command: commandStart}, readyTimeoutEvent{"us", 1}}, order...) {
			c, _ = step(c, epoch, e)
		}
		if s := c.silos[0]; s.phase != state.Failed || s.reason != "not ready in time" || !s.timedOut {
			t.Errorf("it is %s: %s", s.phase, s.reason)
		}
	}
}
