package orchestrator

import (
	"context"
	"errors"
	"time"

	"silo/plan"
	"silo/ports"
	"silo/wait"
)

// A user starts and stops unmanaged silos (managed = false) in other terminals.
// The supervisor gives them ports and addresses, and waits until they answer. It never
// signals their processes.

// maxWatchInterval bounds the growing wait between probes of an unmanaged silo.
const maxWatchInterval = time.Second

// unwatch ends the watch for a silo.
func (s *Supervisor) unwatch(name string) {
	if j := s.jobs[name]; j != nil {
		j.cancel()
	}
}

// watch releases an unmanaged silo's port, and probes it until it is ready. See
// probeAction about before.
func (s *Supervisor) watch(j *job, before *serving) {
	close(j.launched)
	p := s.placement()
	placed, known := p.Find(j.name)
	if !known {
		return
	}
	if reserved := p.open[j.name].ports; reserved.Holds(j.name) {
		if err := reserved.Release(j.name); err != nil {
			p.Warn(err.Error())
		}
	}
	if before != nil && !s.loadRewritten(j.ctx, j, placed, 0, before) {
		return
	}
	last := probedEvent{}
	for interval := firstInterval; ; interval = min(2*interval, maxWatchInterval) {
		result, _ := s.probe(j.ctx, j, placed, true, probeTimeout)
		if j.ctx.Err() != nil || s.sendIfNew(result, &last) || !wait.Sleep(j.ctx, interval) {
			return
		}
	}
}

// holder returns the PID of the process that listens on a port, or 0 if it is unknown.
func holder(port int) int {
	if holders := ports.Holders(port); len(holders) > 0 {
		return holders[0].PID
	}
	return 0
}

// alreadyRuns reports whether the process that answers on a silo's port can be the silo. If the
// topology sets the port, that includes a process that accepts requests but does not answer
// yet: a devserver listens seconds before its app is loaded. On any other port, the process
// must have been started in this instance's environment.
func alreadyRuns(ctx context.Context, p plan.Plan, host Host, placed plan.Placed) bool {
	if dial(ctx, placed.HealthAddr()) != nil {
		return false
	}
	if !placed.PortFixed && siloOf(holder(placed.HealthPort), host.Dir.Key) != placed.Name {
		return false
	}
	err := checkHealth(ctx, placed, probeTimeout)
	if err == nil {
		err = checkWebpack(ctx, placed)
	}
	if err != nil {
		return placed.PortFixed && errors.Is(err, errNoAnswer)
	}
	return wrongMode(ctx, p.Choice.Dialect, placed) == ""
}
