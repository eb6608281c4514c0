package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"silo/logs"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

// eventBuffer lets the processes' watchers go on while the owner is busy.
const eventBuffer = 256

// Supervisor runs the silos of one placement. Its Run goroutine owns their
// state; every method is a message to it or a look at the last snapshot.
type Supervisor struct {
	place    atomic.Pointer[Placement] // what is to run; Run's goroutine replaces it
	board    *board
	mux      *logs.Mux  // whole lines of all silos, or nil where nobody reads along
	applying sync.Mutex // held while one changed topology is applied: the next one waits

	events    chan event
	refreshes chan refresh
	seen      []chan<- struct{} // wishes to acknowledge once a snapshot shows them; Run's own
	ended     chan struct{}     // closed when Run has returned
	workers   sync.WaitGroup    // everything that Run has started

	startedAt time.Time
	dashboard *string         // where the page is, without its token; nil: nowhere
	born      string          // start time of this process, as the kernel tells it
	jobs      map[string]*job // the latest incarnation of each silo; Run's own
}

// NewSupervisor makes a supervisor of a placement whose region config is
// written. lines takes the silos' output as whole lines, or is nil. Nothing
// runs before Run.
func NewSupervisor(place *Placement, lines *logs.Mux) (*Supervisor, error) {
	s := &Supervisor{
		board: place.board, mux: lines, events: make(chan event, eventBuffer), refreshes: make(chan refresh),
		ended: make(chan struct{}), startedAt: time.Now(), jobs: map[string]*job{},
	}
	s.born, _ = proc.StartTime(os.Getpid()) // without it this process cannot be told from another of its number
	if err := s.openOutputs(place, place.Placed); err != nil {
		return nil, err
	}
	s.place.Store(place)
	s.publish(s.initial())
	return s, nil
}

// ShowDashboard puts the page's address into all snapshots from now on: it is for
// everybody to see, and so has no token. It is to be called before Run.
func (s *Supervisor) ShowDashboard(address string) {
	s.dashboard = &address
	s.publish(s.initial())
}

// now is the placement that counts at this moment.
func (s *Supervisor) now() *Placement { return s.place.Load() }

// openOutputs gives silos the files that they write to.
func (s *Supervisor) openOutputs(place *Placement, placed []Placed) (err error) {
	limits := logs.Limits{Max: place.Topology.Logs.Max, Keep: place.Topology.Logs.Keep}
	for i := range placed {
		if placed[i].out, err = newOutput(place.Dir.Logs(), placed[i].Name, limits, s.mux, place.Warn, place.board.nudge); err != nil {
			closeOutputs(placed[:i])
			return err
		}
	}
	return nil
}

func closeOutputs(placed []Placed) {
	for _, p := range placed {
		p.out.close()
	}
}

// initial is the cluster before anything has happened.
func (s *Supervisor) initial() cluster {
	var c cluster
	for _, p := range s.now().Placed {
		c.silos = append(c.silos, newSilo(p.Planned, s.now().Topology.Sentry.Managed))
	}
	return c
}

func newSilo(p Planned, managed bool) silo {
	phase := state.Planned
	if !p.Wanted {
		phase = state.Stopped
	}
	return silo{name: p.Name, control: p.IsControl(), loose: !managed, policy: p.Restart, grace: p.Stop.Grace, phase: phase}
}

// Run starts the wanted silos and returns once everything has ended: no process
// is left, every tunnel is closed and the last snapshot says stopped. When ctx
// ends, the instance stops in order; Down(true) cuts that short.
func (s *Supervisor) Run(ctx context.Context) error {
	defer close(s.ended)
	saver := startSaver(s.now())
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := proc.BecomeSubreaper(); err != nil {
		s.now().Warn("what leaves its silo's session is found by its environment alone: " + err.Error())
	}
	s.workers.Go(func() { proc.Reap(work) })
	c := s.take(work, s.initial(), wantEvent{names: s.wanted(), want: wantUp})
	down := ctx.Done()
	for !c.done() {
		select {
		case e := <-s.events:
			c = s.take(work, c, e)
		case r := <-s.refreshes:
			r.reply <- s.running(work, c)
			continue
		case <-s.board.nudges:
		case <-down:
			down = nil
			c = s.take(work, c, downEvent{})
		}
		s.publish(c)
		s.acknowledge()
	}
	cancel()
	err := s.clear(ctx)
	last := s.snapshot(c).AsStopped()
	s.board.publish(last)
	return errors.Join(err, saver.stop(last))
}

// clear ends all that is not a silo, once no silo is left.
func (s *Supervisor) clear(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { s.workers.Wait(); close(idle) }()
	for waiting := true; waiting; {
		select {
		case <-s.events: // a watcher's last word, which nobody needs
		case <-idle:
			waiting = false
		}
	}
	s.acknowledge()
	closeOutputs(s.now().Placed)
	// By now nothing of this run should live; what a daemon hid is found by its marker.
	ctx = context.WithoutCancel(ctx)
	closeProvider(ctx, s.now().provider)
	strays, strayErr := proc.KillOrphans(ctx)
	var marked []proc.Info
	var err error
	if mark := marker(s.now().Dir); len(proc.FindMarked(mark)) > 0 { // one look, where all is well
		marked, err = proc.KillMarked(ctx, mark)
	}
	for _, info := range slices.Concat(marked, strays) {
		s.now().Warn(fmt.Sprintf("ended %v, which had left its silo", info))
	}
	err = errors.Join(err, strayErr)
	return errors.Join(err, release(s.now().Placed))
}

func (s *Supervisor) acknowledge() {
	for _, seen := range s.seen {
		close(seen)
	}
	s.seen = nil
}

func (s *Supervisor) take(ctx context.Context, c cluster, e event) cluster {
	switch wish := e.(type) {
	case wantEvent:
		if wish.seen != nil {
			s.seen = append(s.seen, wish.seen)
		}
	case applyEvent:
		s.place.Store(wish.place)
		wish.place.gate.isolate(wish.place.Topology.Isolation)
		s.seen = append(s.seen, wish.seen)
	}
	c, todo := step(c, time.Now(), e)
	s.carryOut(ctx, todo)
	return c
}

func (s *Supervisor) wanted() []string {
	var names []string
	for _, p := range s.now().Placed {
		if p.Wanted {
			names = append(names, p.Name)
		}
	}
	return names
}

// send hands an event to the owner; after the end it is dropped.
func (s *Supervisor) send(e event) {
	select {
	case s.events <- e:
	case <-s.ended:
	}
}

// marker is the environment entry by which every process that an instance has
// launched, in whatever run, is found; what `silo run` starts has none.
func marker(dir *state.Dir) string { return "SILO_SUPERVISED=" + dir.Mark() }

// Snapshot is the latest one; it never blocks.
func (s *Supervisor) Snapshot() *state.Snapshot { return s.board.latest.Load().snapshot }

// Next is the latest snapshot and a channel that is closed once there is a newer one.
func (s *Supervisor) Next() (*state.Snapshot, <-chan struct{}) {
	latest := s.board.latest.Load()
	return latest.snapshot, latest.replaced
}

// Ended is closed when Run has returned.
func (s *Supervisor) Ended() <-chan struct{} { return s.ended }

// Block is the region config that matches the live tunnels.
func (s *Supervisor) Block() sentry.Block { return s.now().block }

// LastLine is the last line that a silo wrote, whole or not.
func (s *Supervisor) LastLine(name string) string {
	if p := s.placed(name); p.out != nil {
		return p.out.lastLine()
	}
	return ""
}

// Tail are the last n lines of the silo's present or last process.
func (s *Supervisor) Tail(name string, n int) []string {
	if p := s.placed(name); p.out != nil {
		return p.out.tail(n)
	}
	return nil
}

// check refuses names that are not silos of this instance.
func (s *Supervisor) check(names []string) ([]string, error) {
	known := s.now().Names()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return nil, &UnknownSiloError{name, known}
		}
	}
	if len(names) == 0 {
		return known, nil
	}
	return names, nil
}

// Start asks for silos to run, and returns once a snapshot shows it; Await tells
// when they do. No name means every silo. Unmanaged silos are an UnmanagedError to
// Start, Stop and Restart.
func (s *Supervisor) Start(names ...string) error { return s.command(wantUp, names) }

// Stop asks silos to rest. Their tunnels and addresses stay.
func (s *Supervisor) Stop(names ...string) error { return s.command(wantRest, names) }

// Restart asks silos to be stopped and started again. All of them together take
// secrets that were rotated meanwhile.
func (s *Supervisor) Restart(names ...string) error {
	if all, err := s.check(names); err == nil && s.now().renews() && len(all) == len(s.now().Names()) {
		if err := s.renew(); err != nil {
			return err
		}
	}
	return s.command(wantAgain, names)
}

func (s *Supervisor) ask(w want, names []string) error {
	names, err := s.check(names)
	if err != nil {
		return err
	}
	seen := make(chan struct{})
	s.send(wantEvent{names: names, want: w, seen: seen})
	select { // so that whoever looks next sees what was asked for, not what was before
	case <-seen:
	case <-s.ended:
	}
	return nil
}

// Down asks for the end of the instance: in order, or at once and without grace.
// It does not wait; Ended does.
func (s *Supervisor) Down(kill bool) { s.send(downEvent{kill}) }

// ErrEnded says that the instance has ended meanwhile.
var ErrEnded = errors.New("the instance has ended")

// lastLines is how much of a failed silo's output is shown.
const lastLines = 20
