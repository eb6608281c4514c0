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
type refresh struct{ reply chan<- []look }

// look is a process that is worth one.
type look struct {
	*job
	ready bool // what is known of it so far
}

// Refresh looks at every silo once, bounded at 250 ms, and returns a snapshot
// that has what was found: health, and what each process tree uses. It is the
// only probing after a silo has become ready: nothing polls while nobody asks.
func (s *Supervisor) Refresh(ctx context.Context) *state.Snapshot {
	reply := make(chan []look, 1)
	select {
	case s.refreshes <- refresh{reply}:
	case <-s.ended:
		return s.Snapshot()
	}
	looks := <-reply
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var probes sync.WaitGroup
	for _, l := range looks {
		if placed := s.placed(l.name); !placed.Ready.Off {
			probes.Go(func() { s.reprobe(ctx, l, placed) })
		}
	}
	usage := s.usage(looks)
	probes.Wait()
	_ = s.ask(wantNothing, nil) // once this has passed, the probes' findings have too
	fresh := withUsage(s.Snapshot(), usage)
	fresh.Config.InStep = s.inStep()
	return fresh
}

// running are the jobs whose process is up.
func (s *Supervisor) running(c cluster) []look {
	var looks []look
	for _, silo := range c.silos {
		if silo.phase == state.Ready || silo.phase == state.Unready {
			looks = append(looks, look{s.jobs[silo.name], silo.phase == state.Ready})
		}
	}
	return looks
}

// reprobe tells what has changed: no news makes no snapshot.
func (s *Supervisor) reprobe(ctx context.Context, l look, placed Placed) {
	err := s.healthy(ctx, placed)
	if (err == nil) == l.ready {
		return
	}
	finding := probedEvent{name: l.name, incarnation: l.incarnation, ready: err == nil, at: time.Now()}
	if err != nil {
		finding.reason = err.Error()
	}
	s.send(finding)
}

// inStep tells whether the region config's file still holds what was written;
// nil where that cannot be told, or a monolith reads none.
func (s *Supervisor) inStep() *bool {
	if s.now().Monolith {
		return nil
	}
	_, same, err := sentry.Diff(s.now().Topology.Sentry.Config, s.now().block)
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
func (s *Supervisor) usage(looks []look) map[string]use {
	list := make([]*proc.Process, len(looks))
	for i, l := range looks {
		list[i] = l.process
	}
	uses := map[string]use{}
	for i, load := range proc.Loads(list) {
		lived := time.Since(looks[i].started).Seconds()
		uses[looks[i].name] = use{cpu: 100 * load.CPU.Seconds() / lived, rss: load.RSS}
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
