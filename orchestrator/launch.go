package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"silo/ports"
	"silo/proc"
	"silo/state"
	"silo/topology"
	"silo/wait"
)

// job is one incarnation of a silo.
type job struct {
	launchID

	portError error // from releasePorts, which precedes the launch

	debug    *DebugSession // what it runs instead of the silo's own command; may be nil
	launched chan struct{} // closed when the launch has succeeded or failed
	process  *proc.Process // nil if there is none; valid once launched is closed
	stop     topology.Stop // as launched; valid once launched is closed
	started  time.Time     // valid once launched is closed

	ctx       context.Context //nolint:containedctx // the scope of the job's goroutines: ends when a stop begins
	cancel    context.CancelFunc
	stopping  bool               // owned by Run
	reprobing atomic.Bool        // a single probe is under way
	skipGrace context.CancelFunc // owned by Run; valid while stopping
	endRound  context.CancelFunc // owned by Run: of the latest round of probing after the first; may be nil
	askedMode int                // owned by Run: PID of the process that was asked for its mode, or 0
}

func newJob(ctx context.Context, id launchID) *job {
	j := &job{launchID: id, launched: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancel(ctx)
	return j
}

// execute starts actions. It never blocks: the goroutines that it starts send events,
// and Run waits for them.
func (s *Supervisor) execute(ctx context.Context, actions []action) {
	var launches []*job
	for _, a := range actions {
		switch a := a.(type) {
		case launchAction:
			j := newJob(ctx, a.launchID)
			j.debug = a.debug
			s.jobs[a.name] = j
			launches = append(launches, j)
		case watchAction:
			s.unwatch(a.name)
			j := newJob(ctx, a.launchID)
			s.jobs[a.name] = j
			s.goroutines.Go(func() { s.watch(j, a.before) })
		case probeAction:
			s.probeAgain(a) //nolint:contextcheck // ends with the job's context
		case unwatchAction:
			s.unwatch(a.name)
		case endDebugAction:
			close(a.session.over)
		case stopAction:
			s.stop(ctx, a)
		case backoffAction:
			s.goroutines.Go(func() {
				if wait.Sleep(ctx, a.wait) {
					s.send(backoffOverEvent{a.name, a.backoff})
				}
			})
		}
	}
	if len(launches) > 0 {
		s.goroutines.Go(func() { s.launchAll(ctx, launches) })
	}
}

// launchAll launches the first job, which is control if it is among them, and then
// the others in order, a few at a time.
func (s *Supervisor) launchAll(ctx context.Context, jobs []*job) {
	s.releasePorts(jobs) //nolint:contextcheck // takes a moment
	s.launch(ctx, jobs[0])
	var launches errgroup.Group
	launches.SetLimit(runtime.GOMAXPROCS(0))
	for _, j := range jobs[1:] {
		launches.Go(func() error { s.launch(ctx, j); return nil })
	}
	_ = launches.Wait() // no launch returns an error
}

// launch starts a silo's process and the goroutines that watch it.
func (s *Supervisor) launch(ctx context.Context, j *job) {
	defer close(j.launched)
	err := s.startProcess(j)
	if j.debug != nil {
		j.debug.begin(j.process, err)
	}
	if err != nil {
		s.send(launchFailedEvent{j.launchID, err.Error()})
		return
	}
	j.started = time.Now()
	s.send(launchedEvent{j.launchID, j.process.PID(), j.process.StartTime(), j.started})
	s.goroutines.Go(func() { s.reap(ctx, j) })
	if j.debug != nil {
		s.goroutines.Go(func() { s.probeDebugged(j.ctx, j, 0) })
		return
	}
	s.goroutines.Go(func() { s.probeUntilReady(j.ctx, j, 0, nil) })
}

// probeAgain starts a round of probing, and ends the round before.
func (s *Supervisor) probeAgain(a probeAction) {
	j := s.jobs[a.name]
	if j == nil || j.launchID != a.launchID {
		return
	}
	if j.endRound != nil {
		j.endRound()
	}
	var round context.Context
	round, j.endRound = context.WithCancel(j.ctx)
	if j.debug != nil {
		s.goroutines.Go(func() { s.probeDebugged(round, j, a.round) })
		return
	}
	s.goroutines.Go(func() { s.probeUntilReady(round, j, a.round, a.before) })
}

func (s *Supervisor) startProcess(j *job) error {
	p := s.placement()
	placed, known := p.Find(j.name)
	switch {
	case j.ctx.Err() != nil:
		return errors.New("stopped before it was started")
	case !known:
		return errors.New("removed from the topology")
	}
	r := p.open[j.name]
	if j.portError != nil {
		return j.portError
	}
	r.output.reset()
	marker := fmt.Sprintf("SILO_PROCESS=%s/%s/%d", p.Run.ID, j.name, j.incarnation) // inherited by its whole process tree
	spec := proc.Spec{
		Argv: placed.Argv, Dir: placed.Dir, Marker: marker, Output: r.output, DeathSignal: "TERM", TTY: placed.TTY,
	}
	env := p.Layout.Environ(j.name)
	if j.debug != nil {
		j.debug.attach(&spec)
		env = p.debugEnviron(j.name, j.debug.spec)
	}
	spec.Env = append(env, instanceMarker(p.Dir), marker)
	process, err := proc.Start(spec)
	if err == nil {
		j.process, j.stop = process, placed.Stop
	}
	return err
}

// releasePorts closes the listeners that reserve the ports of silos, all under one lock:
// taking it waits for the launches in progress. If an earlier process had the ports, it
// only checks that they are free.
func (s *Supervisor) releasePorts(jobs []*job) {
	open := s.placement().open
	var reused []*job
	proc.WithForkLock(func() {
		for _, j := range jobs {
			r, known := open[j.name]
			if known && r.ports.Holds(j.name) {
				j.portError = r.ports.Release(j.name)
			} else {
				reused = append(reused, j)
			}
		}
	})
	for _, j := range reused {
		j.portError = s.checkPorts(j.name)
	}
}

// checkPorts returns a ports.Conflicts if other processes hold the ports of silos that
// do not run.
func (s *Supervisor) checkPorts(names ...string) (err error) {
	p := s.placement()
	var wants []ports.Request
	for _, name := range names {
		if placed, known := p.Find(name); known && !p.open[name].ports.Holds(name) {
			wants = append(wants, ports.Request{Name: name, Port: placed.Port, Fixed: true, Span: placed.PortCount()})
		}
	}
	if len(wants) == 0 {
		return nil
	}
	proc.WithForkLock(func() { // otherwise a child could inherit this check's listeners
		var free *ports.Reservation
		if free, err = ports.Reserve(context.Background(), wants); err == nil {
			err = free.Close()
		}
	})
	return err
}

// reap waits until a process exits, and kills the descendants that it leaves behind. While a
// silo is being stopped, stop does that, so that they get the same grace period.
func (s *Supervisor) reap(ctx context.Context, j *job) {
	<-j.process.Done()
	if j.ctx.Err() != nil {
		return
	}
	j.cancel()
	j.process.Sweep(context.WithoutCancel(ctx))
	s.send(exitedEvent{j.launchID, exitOf(j.process.Exit())})
}

func exitOf(e proc.Exit) state.Exit {
	exit := state.Exit{At: e.At}
	if e.Signal != "" {
		exit.Signal = &e.Signal
	} else {
		exit.Code = &e.Code
	}
	return exit
}

// stop starts stopping a silo's process tree. A later stop with kill ends the grace
// period.
func (s *Supervisor) stop(ctx context.Context, a stopAction) {
	j := s.jobs[a.name]
	if j == nil || j.launchID != a.launchID {
		return
	}
	if !j.stopping {
		j.stopping = true
		j.cancel()
		var grace context.Context
		grace, j.skipGrace = context.WithCancel(context.WithoutCancel(ctx))
		s.goroutines.Go(func() { s.stopProcess(grace, j) })
	}
	if a.kill {
		j.skipGrace()
	}
}

// stopProcess signals a process tree and waits until it has ended.
func (s *Supervisor) stopProcess(grace context.Context, j *job) {
	defer j.skipGrace()
	<-j.launched
	if j.process == nil {
		return // launch has already sent an event
	}
	policy := j.stop
	if placed, known := s.placement().Find(j.name); known {
		policy = placed.Stop
	}
	result := j.process.Stop(grace, policy.Signal, policy.Grace, nil)
	s.send(stoppedEvent{j.launchID, exitOf(j.process.Exit()), result.Killed})
}
