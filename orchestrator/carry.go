package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/wait"
)

// job is one incarnation of a silo: its process, and the way to its end. Run's
// goroutine owns it but for what it says itself.
type job struct {
	launchAction
	placed   Placed        // as it was launched; valid once launched is closed
	process  *proc.Process // nil where there never was one; valid once launched is closed
	started  time.Time
	launched chan struct{}   // closed when the process is there, or never will be
	wanted   context.Context //nolint:containedctx // the job is the scope of its watchers
	unwant   context.CancelFunc
	stopping bool               // a stop is under way
	asked    int                // the process that was asked for its mode; 0: none
	hurry    context.CancelFunc // cuts its grace short
}

// carryOut turns actions into effects. It never blocks: what takes time is done
// in goroutines that send events back and that Run waits for.
func (s *Supervisor) carryOut(ctx context.Context, todo []action) {
	var launches []*job
	for _, a := range todo {
		switch a := a.(type) {
		case launchAction:
			j := &job{launchAction: a, launched: make(chan struct{})}
			j.wanted, j.unwant = context.WithCancel(ctx)
			s.jobs[a.name] = j
			launches = append(launches, j)
		case seekAction:
			s.seek(ctx, a)
		case leaveAction:
			s.forsake(a.name)
		case stopAction:
			s.stop(ctx, a)
		case armAction:
			s.workers.Go(func() { s.rearm(ctx, a) })
		}
	}
	if len(launches) > 0 {
		s.workers.Go(func() { s.launchAll(ctx, launches) })
	}
}

// launchAll launches the first job, which is control if it is among them, and then
// the others in order, a few at a time.
func (s *Supervisor) launchAll(ctx context.Context, jobs []*job) {
	s.launch(ctx, jobs[0])
	var launches errgroup.Group
	launches.SetLimit(runtime.GOMAXPROCS(0))
	for _, j := range jobs[1:] {
		launches.Go(func() error { s.launch(ctx, j); return nil })
	}
	_ = launches.Wait() // no launch returns an error
}

// releasePorts closes the listeners that reserve the ports of a silo. If an earlier
// process had the ports, it checks that they are free instead.
func (s *Supervisor) releasePorts(j *job) (err error) {
	placed := s.placed(j.name)
	if placed.held == nil || j.wanted.Err() != nil {
		return nil
	}
	if !placed.held.Holds(j.name) {
		return s.vacant(j.name)
	}
	proc.WithForkLock(func() { err = placed.held.Release(j.name) })
	return err
}

func (s *Supervisor) rearm(ctx context.Context, a armAction) {
	if wait.Sleep(ctx, a.after) {
		s.send(backoffEvent{a.name, a.backoff})
	}
}

// launch starts a silo's process, if its ports are free for it, and the goroutines
// that watch it.
func (s *Supervisor) launch(ctx context.Context, j *job) {
	defer close(j.launched)
	var process *proc.Process
	err := s.releasePorts(j) //nolint:contextcheck // it takes a moment, as ports.Reserve does
	if err == nil {
		process, err = s.startProcess(j)
	}
	if err != nil {
		s.send(unlaunchedEvent{j.name, j.incarnation, err.Error()})
		return
	}
	j.process, j.started = process, time.Now()
	s.send(launchedEvent{j.name, j.incarnation, process.PID(), process.StartTime(), time.Now()})
	s.workers.Go(func() { s.reap(ctx, j) })
	s.workers.Go(func() { s.watch(j.wanted, j) })
}

func (s *Supervisor) startProcess(j *job) (*proc.Process, error) {
	if j.wanted.Err() != nil {
		return nil, errors.New("stopped before it was started")
	}
	placed := s.placed(j.name)
	if placed.out == nil {
		return nil, errors.New("it is in the topology no more")
	}
	j.placed = placed
	placed.out.fresh()
	place := s.now()
	mark := place.processMarker(j.launchAction)
	return proc.Start(proc.Spec{
		Argv: placed.Argv, Dir: placed.Dir, Env: append(place.environ(placed), marker(place.Dir), mark),
		Marker: mark, Output: placed.out, DeathSignal: "TERM", TTY: placed.TTY,
	})
}

// reap waits for a process that ends by itself and clears away what it left. One
// that is being stopped is left to its stop: its workers may end later than it does,
// and have the same grace.
func (s *Supervisor) reap(ctx context.Context, j *job) {
	<-j.process.Done()
	if j.wanted.Err() != nil {
		return
	}
	j.unwant()
	j.process.Sweep(context.WithoutCancel(ctx))
	s.send(exitedEvent{j.name, j.incarnation, exitOf(j.process.Exit())})
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

// stop ends a silo's process tree in a goroutine of its own; a second stop of
// the same incarnation, with kill, cuts the first one's grace short.
func (s *Supervisor) stop(ctx context.Context, a stopAction) {
	j := s.jobs[a.name]
	if j == nil || j.incarnation != a.incarnation {
		return
	}
	if !j.stopping {
		j.stopping = true
		j.unwant()
		var grace context.Context
		// Only a second wish cuts the grace short, never the wish to end itself.
		grace, j.hurry = context.WithCancel(context.WithoutCancel(ctx))
		s.workers.Go(func() { s.end(grace, j) })
	}
	if a.kill {
		j.hurry()
	}
}

// end sees a process tree to its end.
func (s *Supervisor) end(grace context.Context, j *job) {
	defer j.hurry()
	<-j.launched
	if j.process == nil {
		return // launch has said so
	}
	how := j.placed.Stop
	if now := s.placed(j.name); now.out != nil { // or it is in the topology no more
		how = now.Stop
	}
	result := j.process.Stop(grace, how.Signal, how.Grace, nil)
	s.send(endedEvent{j.name, j.incarnation, exitOf(j.process.Exit()), result.Killed})
}

func (s *Supervisor) placed(name string) Placed {
	for _, p := range s.now().Placed {
		if p.Name == name {
			return p
		}
	}
	return Placed{}
}

// processMarker is the environment entry that one process of a run and all that
// it starts have in common.
func (p *Placement) processMarker(a launchAction) string {
	return fmt.Sprintf("SILO_PROCESS=%s/%s/%d", p.RunID, a.name, a.incarnation)
}

// environ is a silo's whole environment, secrets included. The addresses, one for
// each silo, are the same in all of them and are not made anew for each.
func (p *Placement) environ(placed Placed) []string {
	vars := p.variables(placed, nil)
	list := make([]string, 0, len(vars)+len(p.urls)+2)
	for _, v := range vars {
		list = append(list, v.Name+"="+v.Value)
	}
	if p.Colour && !slices.ContainsFunc(vars, decidesColour) {
		list = append(list, "FORCE_COLOR=1")
	}
	return append(list, p.urls...)
}

// decidesColour tells whether somebody has said already how a silo is to be coloured
// (https://force-color.org, https://no-color.org).
func decidesColour(v sentry.Var) bool {
	return v.Name == "FORCE_COLOR" || v.Name == "NO_COLOR" && v.Value != ""
}

// addresses are all silos' addresses by their variables.
func (p *Placement) addresses() map[string]string {
	urls := make(map[string]string, len(p.Placed))
	for _, s := range p.Placed {
		urls[sentry.URLVariable(s.Name)] = s.URL
	}
	return urls
}

// database is what the name of a silo's own database ends with; empty where it
// has the shared one, as a monolith always has.
func (p *Placement) database(s Placed) string {
	if !p.PerSilo() {
		return ""
	}
	return sentry.DatabaseSuffix(s.Name)
}

// Environment is a silo's whole environment as it is launched, or nil where
// there is no such silo.
func (p *Placement) Environment(name string) []sentry.Var {
	for _, s := range p.Placed {
		if s.Name == name {
			return p.variables(s, p.addresses())
		}
	}
	return nil
}

// variables are the environment with the given addresses.
func (p *Placement) variables(s Placed, urls map[string]string) []sentry.Var {
	return sentry.Environ(p.Environ, sentry.Launch{
		Mode: string(s.Mode), Silo: s.Silo, Port: s.Port,
		ConfigPath: p.Topology.Sentry.Config, Instance: p.Dir.Key, RunID: p.RunID,
		RPCSecret: p.Secrets.Accepted(), SubnetSecret: p.Secrets.Subnet, URLs: urls,
		SentryEnv: p.Topology.Sentry.Env, Root: p.Root, Database: p.database(s),
	}, p.Choice.Dialect)
}
