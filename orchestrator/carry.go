package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"silo/proc"
	"silo/sentry"
	"silo/state"
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

// handover is how many silos' ports are let go of at once: enough that forks need
// not wait for one another often, few enough that nobody else takes one meanwhile.
const handover = 8

// launchAll launches the first, which is control where it is among them, and then
// the others in order, on as many goroutines as there are processors: a launch
// waits for its child's exec.
func (s *Supervisor) launchAll(ctx context.Context, launches []*job) {
	s.launchSome(ctx, launches[:1])
	var mu sync.Mutex // guards rest
	rest := launches[1:]
	atOnce := min(s.processors, len(rest))
	if len(rest) > handover {
		defer s.makeRoom(atOnce)()
	}
	next := func() (batch []*job) {
		mu.Lock()
		defer mu.Unlock()
		n := min(handover, len(rest))
		batch, rest = rest[:n], rest[n:]
		return batch
	}
	var hands sync.WaitGroup
	for range atOnce {
		hands.Go(func() {
			for batch := next(); len(batch) > 0; batch = next() {
				s.launchSome(ctx, batch)
			}
		})
	}
	hands.Wait()
}

// launchSome lets go of the ports of some silos and launches them one by one. A
// child has a copy of all that is open until it executes its program: what was
// closed while one was being born is still taken.
func (s *Supervisor) launchSome(ctx context.Context, batch []*job) {
	free, held := make([]error, len(batch)), make([]bool, len(batch))
	proc.BetweenBirths(func() {
		for i, j := range batch {
			if p := s.placed(j.name); p.held != nil && j.wanted.Err() == nil {
				held[i] = p.held.Holds(j.name)
				free[i] = p.held.Release(j.name)
			}
		}
	})
	for i, j := range batch {
		if !held[i] { // since its last process ended anybody may have come
			free[i] = s.vacant(j.name) //nolint:contextcheck // as ports.Reserve, it takes a moment
		}
		s.arrivals.giveWay()
		s.launch(ctx, j, free[i])
	}
}

// makeRoom lets other goroutines run beside so many that launch, until it is undone.
// Who waits for a child's exec keeps one of Go's processors meanwhile; that is only
// given to others when the runtime's monitor comes to look, which on a machine that
// is at work can be 10 ms.
func (s *Supervisor) makeRoom(launching int) (undo func()) {
	runtime.GOMAXPROCS(s.processors + launching)
	return func() {
		if os.Getenv("GOMAXPROCS") == "" {
			runtime.SetDefaultGOMAXPROCS() // which goes on to follow a container's limits
		} else {
			runtime.GOMAXPROCS(s.processors)
		}
	}
}

func (s *Supervisor) rearm(ctx context.Context, a armAction) {
	timer := time.NewTimer(a.after)
	defer timer.Stop()
	select {
	case <-timer.C:
		s.send(backoffEvent{a.name, a.backoff})
	case <-ctx.Done():
	}
}

// launch starts a silo's process, if its ports are free for it, and the goroutines
// that watch it.
func (s *Supervisor) launch(ctx context.Context, j *job, err error) {
	defer close(j.launched)
	var process *proc.Process
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
		Marker: mark, Output: placed.out, Death: "TERM", TTY: placed.TTY,
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
