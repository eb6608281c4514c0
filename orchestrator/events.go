package orchestrator

import (
	"time"

	"silo/state"
)

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
		role        string // of another mode's answer
		holder      int    // the process that answers, of an unmanaged silo; 0: not told
		at          time.Time
	}
	// roleEvent tells in which mode a silo answers; empty: its answers do not say.
	roleEvent struct {
		name        string
		incarnation int
		role        string
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
func (roleEvent) isEvent()       {}
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
	// seekAction looks out for an unmanaged silo, in place of any look-out there is.
	seekAction struct {
		name        string
		incarnation int
	}
	// leaveAction ends the look-out for an unmanaged silo.
	leaveAction struct{ name string }
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
func (seekAction) isAction()   {}
func (leaveAction) isAction()  {}
func (stopAction) isAction()   {}
func (armAction) isAction()    {}
