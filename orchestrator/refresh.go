package orchestrator

import (
	"context"
	"errors"
	"net/http"
	"slices"
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
	pid   int
	told  <-chan struct{} // closed once it has told its mode; nil: nobody asks now
}

// Refresh looks at every silo once, bounded at 250 ms, and returns a snapshot
// that has what was found: health, and what each process tree uses. It is the
// only probing after a silo has become ready: nothing polls while nobody asks.
func (s *Supervisor) Refresh(ctx context.Context) *state.Snapshot {
	looks, ok := s.looks()
	if !ok {
		return s.Snapshot()
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	var probes sync.WaitGroup
	for _, l := range looks {
		if placed := s.placed(l.name); !placed.Ready.Off || l.process == nil {
			probes.Go(func() { s.reprobe(ctx, l, placed) })
		}
	}
	usage := s.usage(slices.Clone(looks))
	probes.Wait()
	_ = s.ask(wantNothing, nil) // once this has passed, the probes' findings have too
	return s.measured(usage)
}

// Measure is Refresh without a probe, for when all silos have just been probed.
func (s *Supervisor) Measure() *state.Snapshot {
	looks, ok := s.looks()
	if !ok {
		return s.Snapshot()
	}
	return s.measured(s.usage(looks))
}

// looks are the processes worth one; false: the instance has ended.
func (s *Supervisor) looks() ([]look, bool) {
	reply := make(chan []look, 1)
	select {
	case s.refreshes <- refresh{reply}:
		return <-reply, true
	case <-s.ended:
		return nil, false
	}
}

func (s *Supervisor) measured(usage map[string]use) *state.Snapshot {
	fresh := withUsage(s.Snapshot(), usage)
	fresh.Config.InStep = s.inStep()
	return fresh
}

// running are the jobs whose process is up. Those that nobody has asked yet are
// asked which mode they answer in: once, and once control is ready, since a region
// may ask control who calls before it answers.
func (s *Supervisor) running(ctx context.Context, c cluster) []look {
	var looks []look
	ask := !s.now().Monolith && !slices.ContainsFunc(c.silos, func(s silo) bool { return s.control && s.phase != state.Ready })
	for i := range c.silos {
		silo := &c.silos[i]
		if silo.phase != state.Ready && silo.phase != state.Unready {
			continue
		}
		l := look{job: s.jobs[silo.name], ready: silo.phase == state.Ready, pid: silo.pid}
		if ask && l.ready && l.asked != l.pid {
			l.asked = l.pid
			told := make(chan struct{})
			l.told = told
			s.workers.Go(func() { defer close(told); s.learn(ctx, l.job) })
		}
		looks = append(looks, l)
	}
	return looks
}

// learn asks a silo which mode it answers in, and tells it where it says so.
func (s *Supervisor) learn(ctx context.Context, j *job) {
	if mode := fullRole(ctx, s.now().Choice.Dialect, s.placed(j.name)); mode != "" {
		s.send(roleEvent{j.name, j.incarnation, mode})
	}
}

// reprobe tells what has changed: no news makes no snapshot.
func (s *Supervisor) reprobe(ctx context.Context, l look, placed Placed) {
	if l.process == nil {
		s.look(ctx, l, placed)
	}
	err := healthy(ctx, placed)
	if l.told != nil {
		s.hear(ctx, l.told)
	}
	if (err == nil) == l.ready || l.process == nil {
		return
	}
	finding := probedEvent{name: l.name, incarnation: l.incarnation, ready: err == nil, at: time.Now()}
	if err != nil {
		finding.reason = err.Error()
	}
	s.send(finding)
}

// hear gives a silo a moment to tell its mode; a later answer is for the next look.
func (s *Supervisor) hear(ctx context.Context, told <-chan struct{}) {
	moment := time.NewTimer(hearTime)
	defer moment.Stop()
	select {
	case <-told:
	case <-moment.C:
	case <-ctx.Done():
	}
}

// learnTimeout bounds a request that nobody waits for: the first ones of a silo
// take seconds, as those of a region to control do (Sentry 23.7.1).
const learnTimeout = 10 * time.Second

// hearTime is enough for what answers by itself.
const hearTime = 20 * time.Millisecond

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
	looks = slices.DeleteFunc(looks, func(l look) bool { return l.process == nil }) // not silo's to measure
	list := make([]*proc.Process, len(looks))
	for i, l := range looks {
		list[i] = l.process
	}
	uses := map[string]use{}
	for i, load := range proc.Measure(list) {
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

// fullRole asks a healthy silo which mode it answers in, for people to see; empty:
// its answers do not say. What only a Sentry answers to is asked first: of any
// other program that is all.
func fullRole(ctx context.Context, dialect sentry.Dialect, placed Placed) string {
	got := make([]int, len(dialect.Probes))
	for _, missing := range []bool{false, true} {
		for i, probe := range dialect.Probes {
			want := probe.Region
			if placed.IsControl() {
				want = probe.Control
			}
			if (want == http.StatusNotFound) != missing {
				continue
			}
			status, err := statusOf(ctx, learnTimeout, placed.health(), probe.Path)
			if err != nil || !missing && status != want && status != http.StatusForbidden {
				return ""
			}
			got[i] = status
		}
	}
	if mode, conclusive := dialect.ClassifyMode(got); conclusive {
		return mode
	}
	return ""
}
