package orchestrator

import (
	"context"
	"errors"
	"sync"
	"time"

	"silo/proc"
	"silo/sentry"
	"silo/state"
)

// refresh asks Run for the processes that are worth a look.
type refresh struct{ reply chan<- []*job }

// Refresh looks at every silo once, bounded at 250 ms, and returns a snapshot
// that has what was found: health, and what each process tree uses. It is the
// only probing after a silo has become ready: nothing polls while nobody asks.
func (s *Supervisor) Refresh(ctx context.Context) *state.Snapshot {
	reply := make(chan []*job, 1)
	select {
	case s.refreshes <- refresh{reply}:
	case <-s.ended:
		return s.Snapshot()
	}
	jobs := <-reply
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var probes sync.WaitGroup
	for _, j := range jobs {
		if placed := s.placed(j.name); !placed.Ready.Off {
			probes.Go(func() { s.reprobe(ctx, j, placed) })
		}
	}
	usage := s.usage(jobs)
	probes.Wait()
	_ = s.ask(wantNothing, nil) // once this has passed, the probes' findings have too
	fresh := withUsage(s.Snapshot(), usage)
	fresh.Config.InStep = s.inStep()
	return fresh
}

// running are the jobs whose process is up, for a look at it.
func (s *Supervisor) running(c cluster) []*job {
	var jobs []*job
	for _, silo := range c.silos {
		if silo.phase == state.Ready || silo.phase == state.Unready {
			jobs = append(jobs, s.jobs[silo.name])
		}
	}
	return jobs
}

func (s *Supervisor) reprobe(ctx context.Context, j *job, placed Placed) {
	finding := probedEvent{name: j.name, incarnation: j.incarnation, ready: true}
	if err := s.healthy(ctx, placed); err != nil {
		finding.ready, finding.reason = false, err.Error()
	}
	finding.at = time.Now()
	s.send(finding)
}

// inStep tells whether the region config's file still holds what was written;
// nil where that cannot be told, or a monolith reads none.
func (s *Supervisor) inStep() *bool {
	if s.place.Monolith {
		return nil
	}
	_, same, err := sentry.Diff(s.place.Topology.Sentry.Config, s.block)
	if err != nil && !errors.Is(err, sentry.ErrMissing) && !errors.Is(err, sentry.ErrMarkers) {
		return nil
	}
	return &same
}

// use is what one silo's process tree uses.
type use struct {
	cpu float64 // per cent of one core, since its start
	rss int64   // bytes
}

// usage measures all trees in one look at the process table.
func (s *Supervisor) usage(jobs []*job) map[string]use {
	uses := map[string]use{}
	for _, j := range jobs {
		cpu, rss := proc.Usage(j.process.Tree())
		uses[j.name] = use{cpu: 100 * cpu.Seconds() / time.Since(j.started).Seconds(), rss: rss}
	}
	return uses
}

// withUsage is a copy of a snapshot that has the measured use.
func withUsage(s *state.Snapshot, uses map[string]use) *state.Snapshot {
	measured := *s
	measured.Silos = make([]state.Silo, len(s.Silos))
	for i, silo := range s.Silos {
		if u, ok := uses[silo.Name]; ok && silo.PID != nil {
			silo.CPUPercent, silo.RSSBytes = &u.cpu, &u.rss
		}
		measured.Silos[i] = silo
	}
	return &measured
}
