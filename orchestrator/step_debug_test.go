package orchestrator

import (
	"slices"
	"testing"

	"silo/state"
)

// debugWorld is the part of world that concerns debug sessions.
type debugWorld struct {
	processes map[string]*DebugSession // by silo: the session of its process; nil: the supervised process
	latest    map[string]*DebugSession // by silo
	over      map[*DebugSession]bool
}

// launchDebug records which session a launch belongs to.
func (w *world) launchDebug(a launchAction) {
	if a.debug != nil && w.debugs.over[a.debug] {
		w.t.Fatalf("%s is launched for a debug session that is over", a.name)
	}
	w.debugs.processes[a.name] = a.debug
}

// endDebug ends a session. It must be called once, after the session's process has ended.
func (w *world) endDebug(session *DebugSession) {
	if w.debugs.over[session] {
		w.t.Fatal("a debug session ends twice")
	}
	for name, of := range w.debugs.processes {
		if of == session && w.live[name] != 0 {
			w.t.Fatalf("the debug session of %s ends before its process", name)
		}
	}
	w.debugs.over[session] = true
}

// checkDebugs checks the invariants of debugged silos.
func (w *world) checkDebugs() {
	for _, s := range w.c.silos {
		switch of := w.debugs.processes[s.name]; {
		case s.debug != nil && (!s.alive || w.debugs.over[s.debug]):
			w.t.Fatalf("%s has a debug session without a process", s.name)
		case s.debugging != (s.debug != nil && s.alive && of == s.debug):
			w.t.Fatalf("%s: debugging is %v", s.name, s.debugging)
		case w.live[s.name] != 0 && (of != nil) != s.debugging:
			w.t.Fatalf("%s: the process belongs to %v", s.name, of)
		}
	}
}

// checkReturn checks that the supervised process is started again after the process of a
// debug session has exited on its own.
func (w *world) checkReturn(name string, stopping bool, of *DebugSession) {
	s := w.c.named(name)
	if of == nil || stopping || w.down || s == nil {
		return
	}
	if returned := s.alive && !s.debugging; returned == of.spec.Stop || !w.debugs.over[of] {
		w.t.Fatalf("%s is %s after its debug session with stop = %v", name, s.phase, of.spec.Stop)
	}
}

// A session gets its process once the supervised one has ended, and then gives way again.
func TestDebugTakesTurns(t *testing.T) {
	t.Parallel()
	c := cluster{silos: []silo{{name: "us", phase: state.Planned}}}
	next := func(e event, want ...action) {
		t.Helper()
		var got []action
		if c, got = step(c, epoch, e); !slices.Equal(got, want) {
			t.Fatalf("after %T: got %v, want %v", e, got, want)
		}
	}
	session := &DebugSession{}
	first, second, third := launchID{"us", 1}, launchID{"us", 2}, launchID{"us", 3}
	next(commandEvent{names: []string{"us"}, command: commandStart}, launchAction{first, nil})
	next(launchedEvent{launchID: first, pid: 7})
	next(debugEvent{"us", session}, stopAction{first, false})
	next(stoppedEvent{launchID: first}, launchAction{second, session})
	next(launchedEvent{launchID: second, pid: 8})
	next(exitedEvent{second, exitCode(1)}, endDebugAction{session}, launchAction{third, nil})
	next(clientGoneEvent{"us", session})
}
