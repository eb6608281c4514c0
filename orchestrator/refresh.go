package orchestrator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

const (
	// statusTimeout bounds Refresh and Measure.
	statusTimeout = 250 * time.Millisecond
	// modeTimeout bounds the requests for a silo's mode. Nothing waits for them. The first
	// requests of a silo can take seconds (Sentry 23.7.1: region to control).
	modeTimeout = 10 * time.Second
	// modeWait is how long Refresh waits for a silo's mode: enough for the stand-in.
	modeWait = 20 * time.Millisecond
)

// refresh asks Run for the silos that have been ready, and for their usage.
type refresh struct{ reply chan<- refreshReply }

type refreshReply struct {
	silos []runningSilo
	usage *measurement
}

// runningSilo is a silo that is ready or unready.
type runningSilo struct {
	*job

	ready   bool
	probing bool // a round of probing is under way: a second probe would learn nothing
	pid     int
	mode    <-chan struct{} // closed when the request for its mode has ended; nil if there is no request
}

// Refresh probes every silo once and measures what the process trees use, for 250 ms at
// most, and returns a snapshot with the results. No other probes are sent once a silo
// is ready.
func (s *Supervisor) Refresh(ctx context.Context) *state.Snapshot {
	return s.refresh(ctx, true)
}

// Measure is Refresh without probes, for use right after all silos became ready.
func (s *Supervisor) Measure() *state.Snapshot { return s.refresh(context.Background(), false) }

func (s *Supervisor) refresh(ctx context.Context, probe bool) *state.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	reply := make(chan refreshReply, 1)
	select {
	case s.refreshes <- refresh{reply}:
	case <-s.ended:
		return s.Snapshot()
	case <-ctx.Done():
		return s.Snapshot()
	}
	running := <-reply
	// The slowest of these must not delay the rest: they may go on for a while.
	probed := make(chan struct{})
	go func() {
		defer close(probed)
		if probe {
			s.reprobeAll(running.silos)
		}
	}()
	compared := make(chan struct{})
	var inStep *bool // valid once compared is closed
	go func() {
		defer close(compared)
		inStep = s.inStep()
	}()
	for _, done := range []<-chan struct{}{running.usage.done, probed, compared} {
		select {
		case <-done:
		case <-ctx.Done():
		}
	}
	snapshot := s.withUsage(running.usage)
	select {
	case <-compared:
		snapshot.Config.InStep = inStep
	default: // unknown
	}
	return snapshot
}

// reprobeAll probes silos once, and returns when the results are in a snapshot.
func (s *Supervisor) reprobeAll(silos []runningSilo) {
	var probes sync.WaitGroup
	for _, r := range silos {
		if placed, known := s.placement().Find(r.name); known && (!placed.Ready.Off || r.process == nil) {
			probes.Go(func() { s.reprobe(r, placed) })
		}
	}
	probes.Wait()
	s.sendCommand(commandNone, nil)
}

// running replies to a refresh. It asks each process for its mode once, after control is ready:
// a region may call control before it answers.
func (s *Supervisor) running(ctx context.Context, c cluster) refreshReply {
	var list []runningSilo
	askModes := !s.placement().Monolith && !slices.ContainsFunc(c.silos, func(s silo) bool { return s.control && s.phase != state.Ready })
	for _, silo := range c.silos {
		if silo.phase != state.Ready && silo.phase != state.Unready {
			continue
		}
		r := runningSilo{job: s.jobs[silo.name], ready: silo.phase == state.Ready, probing: silo.probing, pid: silo.pid}
		if askModes && r.ready && r.askedMode != r.pid && r.debug == nil {
			r.askedMode = r.pid
			asked := make(chan struct{})
			r.mode = asked
			s.goroutines.Go(func() {
				defer close(asked)
				s.learnMode(ctx, r.job)
			})
		}
		list = append(list, r)
	}
	return refreshReply{list, s.startMeasurement(list)}
}

// learnMode asks a silo for its mode.
func (s *Supervisor) learnMode(ctx context.Context, j *job) {
	p := s.placement()
	if placed, known := p.Find(j.name); known {
		if mode := knownMode(ctx, p.Choice.Dialect, placed); mode != "" {
			s.send(roleEvent{j.launchID, mode})
		}
	}
}

// reprobe sends an event if a silo's health has changed. A silo has one probe at a time:
// a second one would wait for the same answer.
func (s *Supervisor) reprobe(r runningSilo, placed plan.Placed) {
	if r.probing || !r.reprobing.CompareAndSwap(false, true) {
		return
	}
	defer r.reprobing.Store(false)
	var result probedEvent
	var changed bool
	if r.process == nil {
		result, _ = s.probe(r.ctx, r.job, placed, true, probeTimeout)
		changed = result.wrongMode || result.ready != r.ready || result.ready && result.pid != r.pid
	} else {
		err := checkHealth(r.ctx, placed, probeTimeout)
		result = probedEvent{launchID: r.launchID, round: onlyOnce, ready: err == nil, at: time.Now()}
		if err != nil {
			result.reason = err.Error()
		}
		changed = result.ready != r.ready
	}
	if changed && r.ctx.Err() == nil {
		s.send(result)
	}
	if r.mode != nil {
		select {
		case <-r.mode:
		case <-time.After(modeWait):
		}
	}
}

// inStep reports whether the region config's file is unchanged since silo wrote it; nil
// if unknown, or in monolith mode.
func (s *Supervisor) inStep() *bool {
	p := s.placement()
	if p.Monolith {
		return nil
	}
	_, same, err := sentry.Diff(p.Topology.Sentry.Config, p.block)
	if err != nil && !errors.Is(err, sentry.ErrMissing) && !errors.Is(err, sentry.ErrMarkers) {
		return nil
	}
	return &same
}

// usage is the resource usage of one silo's process tree.
type usage struct {
	cpu float64 // percent of one core since its launch
	rss int64   // bytes
}

// measurement is the usage of silos by name, valid once done is closed.
type measurement struct {
	done  chan struct{}
	silos map[string]usage
}

// startMeasurement measures the process trees of managed silos. On a machine with many
// processes this takes seconds: until it ends, later callers get the same measurement.
func (s *Supervisor) startMeasurement(silos []runningSilo) *measurement {
	if s.usage != nil {
		select {
		case <-s.usage.done:
		default:
			return s.usage
		}
	}
	silos = slices.DeleteFunc(slices.Clone(silos), func(r runningSilo) bool { return r.process == nil })
	processes := make([]*proc.Process, len(silos))
	for i, r := range silos {
		processes[i] = r.process
	}
	m := &measurement{done: make(chan struct{}), silos: map[string]usage{}}
	s.usage = m
	s.goroutines.Go(func() {
		defer close(m.done)
		for i, load := range s.measure(processes) {
			lifetime := time.Since(silos[i].started).Seconds()
			m.silos[silos[i].name] = usage{cpu: 100 * load.CPU.Seconds() / lifetime, rss: load.RSS}
		}
	})
	return m
}

// withUsage returns a copy of the latest snapshot with the usage of the silos, if it has
// been measured.
func (s *Supervisor) withUsage(m *measurement) *state.Snapshot {
	measured := *s.Snapshot()
	measured.Silos = slices.Clone(measured.Silos)
	select {
	case <-m.done:
	default:
		return &measured
	}
	for i := range measured.Silos {
		silo := &measured.Silos[i]
		if u, known := m.silos[silo.Name]; known && silo.PID != nil {
			silo.CPUPercent, silo.RSSBytes = &u.cpu, &u.rss
		}
	}
	return &measured
}
