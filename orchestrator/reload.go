package orchestrator

import (
	"context"
	"maps"
	"time"

	"silo/plan"
	"silo/ports"
	"silo/proc"
	"silo/sentry"
	"silo/wait"
)

// A devserver reloads when the region config changes. uWSGI (py-autoreload) looks at the
// file every second, stops its workers, executes itself under the same PID, opens its
// port again, and answers once the app is loaded. For a second or two after the write,
// the old process still answers, so a successful probe proves nothing. What proves the
// reload is another process or another socket on the port.
//
// A devserver can miss a change: uWSGI first looks at the file up to a second after the
// app is loaded, and compares whole seconds. A silo that has not reloaded in time is
// restarted.

const (
	// reloadTimeout is how long a devserver may take to begin its reload: uWSGI needs one
	// second to see the change, and gives its workers two to end.
	reloadTimeout = 10 * time.Second
	// observeTime is how long silo watches a process that may or may not reload.
	observeTime = 3 * time.Second
	// reloadInterval is the interval between two checks of what serves a port.
	reloadInterval = 50 * time.Millisecond
)

// serving identifies the process and the socket that serve a silo's port.
type serving struct {
	socket    string         // the kernel's name of the listening socket; empty if unknown
	processes map[int]string // start times of the processes that have the socket open, by PID
}

// replacedBy reports whether a later observation shows another socket or a new process.
func (v *serving) replacedBy(now *serving) bool {
	if now.socket != "" && now.socket != v.socket {
		return true
	}
	for pid, start := range now.processes {
		if v.processes[pid] != start {
			return true
		}
	}
	return false
}

// observe returns the socket and the processes that currently serve a silo's port.
func observe(j *job, port int) *serving {
	v := &serving{socket: ports.Socket(port), processes: map[int]string{}}
	select {
	case <-j.launched:
	default:
		return v // no process yet
	}
	if j.process == nil {
		for _, holder := range ports.Holders(port) {
			v.processes[holder.PID], _ = proc.StartTime(holder.PID) // it may have ended
		}
		return v
	}
	for _, info := range j.process.Tree() {
		if ports.Listens(port, info.PID) {
			v.processes[info.PID] = info.StartTime
		}
	}
	return v
}

// rewrite writes the region config of a placement. It returns the change, and the silos
// that reload it. Silos that reload are unready before rewrite returns.
func (s *Supervisor) rewrite(ctx context.Context, p *placement) (sentry.Change, []string, error) {
	if p.Monolith {
		return sentry.Change{}, nil, nil
	}
	before := map[string]*serving{}
	if _, same, err := sentry.Diff(p.Topology.Sentry.Config, p.block); err == nil && !same {
		before = s.observeReloading()
	}
	change, err := p.writeConfig(ctx)
	if err != nil || !change.Changed {
		return change, nil, err
	}
	var names []string
	for _, placed := range s.placement().Placed {
		if before[placed.Name] != nil && sentry.Reloads(placed.Argv) == sentry.ReloadsAlways {
			names = append(names, placed.Name)
		}
	}
	return change, names, s.request(rewrittenEvent{before})
}

// WriteConfig writes the region config again. It returns the change, and the silos that
// reload it; Await waits until they are ready.
func (s *Supervisor) WriteConfig(ctx context.Context) (sentry.Change, []string, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	return s.rewrite(ctx, s.placement())
}

// observeReloading returns what serves the ports of the running silos that reload the
// region config.
func (s *Supervisor) observeReloading() map[string]*serving {
	p, jobs := s.placement(), s.liveJobs()
	before := map[string]*serving{}
	for name, j := range jobs {
		if placed, known := p.Find(name); known && sentry.Reloads(placed.Argv) != sentry.ReloadsNever {
			before[name] = observe(j, placed.HealthPort)
		}
	}
	return before
}

// liveJobs returns the jobs of the silos that have a process or a watch.
func (s *Supervisor) liveJobs() map[string]*job {
	reply := make(chan map[string]*job, 1)
	query := func(c cluster) {
		live := maps.Clone(s.jobs)
		maps.DeleteFunc(live, func(name string, j *job) bool {
			silo := c.named(name)
			return silo == nil || !silo.alive || j.stopping || j.debug != nil
		})
		reply <- live
	}
	select {
	case s.queries <- query:
		return <-reply
	case <-s.ended:
		return nil
	}
}

// awaitReload waits until another process or socket serves a silo's port than before, or
// none does. It returns false if ctx ends or the time is over.
func awaitReload(ctx context.Context, j *job, placed plan.Placed, before *serving, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		if before.replacedBy(observe(j, placed.HealthPort)) {
			return true
		}
		if err := dial(ctx, placed.HealthAddr()); err != nil && ctx.Err() == nil {
			return true
		}
		if !wait.Sleep(ctx, reloadInterval) {
			return false
		}
	}
}

// loadRewritten waits until a silo has begun to reload the region config. It returns
// false if the round is over: ctx has ended, or the silo has to be restarted.
func (s *Supervisor) loadRewritten(ctx context.Context, j *job, placed plan.Placed, round int, before *serving) bool {
	timeout := observeTime
	restarts := j.process != nil && sentry.Reloads(placed.Argv) == sentry.ReloadsAlways
	if restarts {
		timeout = reloadTimeout
	}
	if awaitReload(ctx, j, placed, before, timeout) || ctx.Err() == nil && !restarts {
		return true
	}
	if ctx.Err() == nil {
		s.placement().Warn(j.name + " has not reloaded the region config: restarting it")
		s.send(notReloadedEvent{j.launchID, round})
	}
	return false
}
