package orchestrator

import (
	"time"

	"silo/state"
)

// event is an input of step: one of the types below. Events about a process carry its
// incarnation; outdated ones are dropped.
type event any

// request is an event whose sender waits for its effect. Run unwraps it.
type request struct {
	event event
	shown chan<- struct{} // closed once a snapshot shows the effect
}

// launchID identifies one launch of a silo, or one watch of an unmanaged one.
type launchID struct {
	name        string
	incarnation int
}

func (l launchID) id() launchID { return l }

type (
	// commandEvent starts, stops or restarts silos.
	commandEvent struct {
		names   []string
		command command
	}
	// applyEvent replaces the placement.
	applyEvent struct {
		placement *placement
		silos     []silo // all silos in order; for known ones, only the policies are used
		restart   []string
	}
	// debugEvent launches a debug session instead of the supervised process.
	debugEvent struct {
		name    string
		session *DebugSession
	}
	// clientGoneEvent reports that nothing is connected to a debug session anymore.
	clientGoneEvent struct {
		name    string
		session *DebugSession
	}
	// downEvent stops the instance, immediately if kill is set.
	downEvent struct{ kill bool }
	// launchedEvent reports a new process.
	launchedEvent struct {
		launchID

		pid         int
		processTime string
		at          time.Time
	}
	// launchFailedEvent reports that no process was started.
	launchFailedEvent struct {
		launchID

		reason string
	}
	// exitedEvent reports that a process exited without being stopped, and that its
	// children have ended.
	exitedEvent struct {
		launchID

		exit state.Exit
	}
	// stoppedEvent reports that a stopped process tree has ended.
	stoppedEvent struct {
		launchID

		exit   state.Exit
		killed bool
	}
	// probedEvent is the result of a probe.
	probedEvent struct {
		launchID

		round     int // of probing; onlyOnce outside a round
		ready     bool
		wrongMode bool   // the answers prove that it runs in another mode
		role      string // the proven mode
		reason    string // why it is not ready
		pid       int    // process that answers for an unmanaged silo; 0 if unknown
		at        time.Time
	}
	// roleEvent reports the mode in which a silo answers.
	roleEvent struct {
		launchID

		role string
	}
	// readyTimeoutEvent reports that ready.timeout has passed in a round of probing.
	readyTimeoutEvent struct {
		launchID

		round int
	}
	// rewrittenEvent reports that the region config was rewritten. before is what served
	// the ports of the silos that reload it, by name.
	rewrittenEvent struct{ before map[string]*serving }
	// notReloadedEvent reports that a silo did not reload the region config in time.
	notReloadedEvent struct {
		launchID

		round int
	}
	// backoffOverEvent reports the end of a backoff.
	backoffOverEvent struct {
		name    string
		backoff int
	}
)

// onlyOnce is the round of a single probe, such as that of `silo status`. Such a result
// does not end a round.
const onlyOnce = -1

type command int

const (
	commandNone command = iota // only waits for a snapshot
	commandStart
	commandStop
	commandRestart
)

// action is an output of step, which Run executes: one of the types below.
type action any

type (
	launchAction struct {
		launchID

		debug *DebugSession // what to launch instead of the silo's own command; may be nil
	}
	// endDebugAction reports the end of a debug session to its client.
	endDebugAction struct{ session *DebugSession }
	// stopAction stops a process tree. With kill, it also cuts short the grace period
	// of a stop in progress.
	stopAction struct {
		launchID

		kill bool
	}
	// probeAction starts a round of probing, which ends when the silo is ready or its
	// ready.timeout has passed. It replaces the earlier round.
	probeAction struct {
		launchID

		round  int
		before *serving // the round first waits until something else serves the port; may be nil
	}
	// watchAction probes an unmanaged silo until it is ready, and replaces any earlier
	// watch. See probeAction about before.
	watchAction struct {
		launchID

		before *serving
	}
	unwatchAction struct{ name string }
	// backoffAction sends a backoffOverEvent after a wait.
	backoffAction struct {
		name    string
		backoff int
		wait    time.Duration
	}
)
