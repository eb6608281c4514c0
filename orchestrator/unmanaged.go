package orchestrator

import (
	"context"
	"errors"
	"time"

	"silo/plan"
	"silo/ports"
	"silo/proc"
	"silo/wait"
)

// A user starts and stops unmanaged silos (sentry.managed = false) in other terminals.
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

// watch releases an unmanaged silo's port, and probes it until it is ready.
func (s *Supervisor) watch(j *job) {
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
	last := probedEvent{}
	for interval := firstInterval; ; interval = min(2*interval, maxWatchInterval) {
		result := s.probeUnmanaged(j.ctx, j, placed)
		if j.ctx.Err() != nil || s.sendIfNew(result, &last) || !wait.Sleep(j.ctx, interval) {
			return
		}
	}
}

// probeUnmanaged probes a silo that any process may run.
func (s *Supervisor) probeUnmanaged(ctx context.Context, j *job, placed plan.Placed) probedEvent {
	err := checkUnmanaged(ctx, placed)
	result := probedEvent{launchID: j.launchID, at: time.Now()}
	if err != nil {
		result.reason = err.Error()
		return result
	}
	result.role = wrongMode(ctx, s.placement().Choice.Dialect, placed)
	result.wrongMode = result.role != ""
	if !result.wrongMode {
		result.ready, result.pid = true, holder(placed.HealthPort)
	}
	return result
}

func checkUnmanaged(ctx context.Context, placed plan.Placed) error {
	if placed.Ready.Off {
		return dial(ctx, placed.HealthAddr())
	}
	if err := checkHealth(ctx, placed); err != nil {
		return err
	}
	return checkWebpack(ctx, placed)
}

// holder returns the PID of the process that listens on a port, or 0 if it is unknown.
func holder(port int) int {
	if holders := ports.Holders(port); len(holders) > 0 {
		return holders[0].PID
	}
	return 0
}

// alreadyRuns reports whether the process that answers on a silo's port can be the silo.
// If the topology fixes the port, that includes a process that accepts requests and does
// not answer yet: a devserver listens seconds before its app is loaded. On another port,
// the process must have been started in this instance's environment.
func alreadyRuns(ctx context.Context, p plan.Plan, host Host, placed plan.Placed) bool {
	if dial(ctx, placed.HealthAddr()) != nil {
		return false
	}
	if !placed.PortFixed && !hasEnvironmentOf(holder(placed.HealthPort), host, placed.Name) {
		return false
	}
	if err := checkUnmanaged(ctx, placed); err != nil {
		return placed.PortFixed && errors.Is(err, errNoAnswer)
	}
	return wrongMode(ctx, p.Choice.Dialect, placed) == ""
}

// hasEnvironmentOf reports whether a process has the environment of an instance's silo.
func hasEnvironmentOf(pid int, host Host, silo string) bool {
	values, marked := proc.LookupEnv(pid, "SILO_INSTANCE", "SILO_NAME")
	return marked && values[0] == host.Dir.Key && values[1] == silo
}
