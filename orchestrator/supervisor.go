package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"silo/logs"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

const (
	// eventBuffer lets senders of events continue while Run is busy.
	eventBuffer = 256
	// failureLines is how many lines of a failed silo's output an error contains.
	failureLines = 20
)

// ErrEnded is returned if the instance has ended.
var ErrEnded = errors.New("the instance has ended")

// Supervisor runs the silos of one instance. Run's goroutine owns their state; every method
// sends it a message or reads the latest snapshot.
type Supervisor struct {
	current  atomic.Pointer[placement] // replaced only by Run's goroutine
	hub      *snapshotHub
	mux      *logs.Mux  // receives the output of all silos as whole lines; may be nil
	applying sync.Mutex // held while a placement is replaced, so that changes run one at a time

	events     chan event
	refreshes  chan refresh
	queries    chan func(cluster)                 // called by Run
	usage      *measurement                       // the latest; owned by Run
	measure    func([]*proc.Process) []proc.Usage // proc.Measure, except in tests
	unshown    []chan<- struct{}                  // closed after the next snapshot; owned by Run
	ended      chan struct{}                      // closed when Run has returned
	goroutines sync.WaitGroup                     // goroutines that Run has started

	startedAt   time.Time
	dashboard   *string         // address of the page, without its token; may be nil
	processTime string          // start time of this process, as reported by the kernel
	jobs        map[string]*job // the latest incarnation of each silo; owned by Run
}

// newSupervisor opens the silos' logs. Nothing runs before Run.
func newSupervisor(p *placement, lines *logs.Mux) (*Supervisor, error) {
	s := &Supervisor{
		hub: p.hub, mux: lines, events: make(chan event, eventBuffer), refreshes: make(chan refresh), queries: make(chan func(cluster)), measure: proc.Measure,
		ended: make(chan struct{}), startedAt: time.Now(), jobs: map[string]*job{},
	}
	s.processTime, _ = proc.StartTime(os.Getpid()) // only helps to detect a reused PID
	if err := s.openOutputs(p, p.Names()); err != nil {
		return nil, err
	}
	s.current.Store(p)
	s.publish(cluster{silos: clusterSilos(p.Plan)})
	return s, nil
}

// ShowDashboard adds the page's address to all snapshots. Anyone can read those, so the address
// must not contain the token. It must be called before Run.
func (s *Supervisor) ShowDashboard(address string) {
	s.dashboard = &address
	s.publish(cluster{silos: clusterSilos(s.placement().Plan)})
}

func (s *Supervisor) placement() *placement { return s.current.Load() }

// openOutputs opens the logs of silos.
func (s *Supervisor) openOutputs(p *placement, names []string) error {
	limits := logs.Limits{Max: p.Topology.Logs.Max, Keep: p.Topology.Logs.Keep}
	for _, name := range names {
		r := p.open[name]
		var err error
		if r.output, err = newOutput(p.Dir.Logs(), name, limits, s.mux, p.Warn, p.hub.nudge); err != nil {
			return err
		}
		p.open[name] = r
	}
	return nil
}

// Run starts the wanted silos, and returns once no process is left, every tunnel is
// closed and the last snapshot is stopped. When ctx ends, the instance stops in order;
// Down(true) kills the rest.
func (s *Supervisor) Run(ctx context.Context) error {
	defer close(s.ended)
	saver := startSaver(s.placement())
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if err := proc.BecomeSubreaper(); err != nil {
		s.placement().Warn("processes that leave their silo's session are found only by their environment: " + err.Error())
	}
	s.goroutines.Go(func() { proc.Reap(work) })
	first := s.placement().Plan
	c := s.handle(work, cluster{silos: clusterSilos(first)}, commandEvent{names: first.WantedNames(), command: commandStart})
	interrupted := ctx.Done()
	for !c.done() {
		select {
		case e := <-s.events:
			c = s.handle(work, c, e)
			for range len(s.events) { // one snapshot for all that are pending
				c = s.handle(work, c, <-s.events)
			}
		case r := <-s.refreshes:
			r.reply <- s.running(work, c)
			continue
		case query := <-s.queries:
			query(c)
			continue
		case <-s.hub.nudges:
		case <-interrupted:
			interrupted = nil
			c = s.handle(work, c, downEvent{})
		}
		s.publish(c)
		s.confirmShown()
	}
	cancel()
	err := s.tearDown(ctx)
	last := s.snapshot(c).AsStopped()
	s.hub.publish(last)
	return errors.Join(err, saver.stop(last))
}

// handle makes one step and executes its actions.
func (s *Supervisor) handle(ctx context.Context, c cluster, e event) cluster {
	if r, ok := e.(request); ok {
		s.unshown = append(s.unshown, r.shown)
		e = r.event
	}
	if apply, ok := e.(applyEvent); ok {
		s.current.Store(apply.placement)
		apply.placement.traffic.setIsolation(apply.placement.Topology.Isolation)
	}
	c, actions := step(c, time.Now(), e)
	s.execute(ctx, actions)
	return c
}

// confirmShown releases callers that wait until a snapshot shows their command.
func (s *Supervisor) confirmShown() {
	for _, shown := range s.unshown {
		close(shown)
	}
	s.unshown = nil
}

// tearDown ends the remaining processes and closes the resources after all silos have ended.
func (s *Supervisor) tearDown(ctx context.Context) error {
	idle := make(chan struct{})
	go func() { s.goroutines.Wait(); close(idle) }()
	for waiting := true; waiting; {
		select {
		case <-s.events: // too late to matter
		case <-idle:
			waiting = false
		}
	}
	s.confirmShown()
	ctx = context.WithoutCancel(ctx)
	p := s.placement()
	closeErr := p.close(ctx)
	// No process of this run should be left, but a daemon can escape from its silo.
	strays, strayErr := proc.KillOrphans(ctx)
	var marked []proc.Info
	var markedErr error
	if marker := instanceMarker(p.Dir); len(proc.FindMarked(marker)) > 0 {
		marked, markedErr = proc.KillMarked(ctx, marker)
	}
	for _, info := range slices.Concat(marked, strays) {
		p.Warn(fmt.Sprintf("ended %v, which had escaped from its silo", info))
	}
	return errors.Join(closeErr, strayErr, markedErr)
}

// send passes an event to Run. Once Run has returned, the event is dropped.
func (s *Supervisor) send(e event) {
	select {
	case s.events <- e:
	case <-s.ended:
	}
}

// Snapshot returns the latest snapshot. It never blocks.
func (s *Supervisor) Snapshot() *state.Snapshot { return s.hub.latest.Load().snapshot }

// Next returns the latest snapshot and a channel that is closed once there is a newer one.
func (s *Supervisor) Next() (*state.Snapshot, <-chan struct{}) {
	latest := s.hub.latest.Load()
	return latest.snapshot, latest.replaced
}

// Ended returns a channel that is closed when Run has returned.
func (s *Supervisor) Ended() <-chan struct{} { return s.ended }

// Block returns the region config of the open tunnels.
func (s *Supervisor) Block() sentry.Block { return s.placement().block }

// LastLine returns the last line that a silo wrote, even if it is incomplete.
func (s *Supervisor) LastLine(name string) string { return strings.Join(s.Tail(name, 1), "") }

// Tail returns the last n lines of the silo's current or last process.
func (s *Supervisor) Tail(name string, n int) []string {
	return s.placement().open[name].output.tail(n)
}

// resolve returns names, or all silos if there are none. It fails with an
// *UnknownSiloError for an unknown name.
func (s *Supervisor) resolve(names []string) ([]string, error) {
	p := s.placement().Plan
	if len(names) == 0 {
		return p.Names(), nil
	}
	return names, p.CheckNames(names)
}

// UnmanagedError is returned instead of starting or stopping unmanaged silos.
type UnmanagedError struct {
	Names    []string
	Debugged bool // silo debug runs some of them
}

func (e *UnmanagedError) Error() string {
	verb := "is"
	if len(e.Names) > 1 {
		verb = "are"
	}
	if e.Debugged {
		return fmt.Sprintf("%s %s run by silo debug in a terminal", strings.Join(e.Names, ", "), verb)
	}
	return fmt.Sprintf("%s %s not managed by silo: managed = false", strings.Join(e.Names, ", "), verb)
}

// Start starts the named silos, or all. It returns once a snapshot shows the change;
// Await waits until they are ready. For unmanaged silos, Start, Stop and Restart return an
// *UnmanagedError; without names they leave these out, if other silos exist.
func (s *Supervisor) Start(names ...string) error { return s.manage(commandStart, names, false) }

// Stop stops silos, which keep their tunnels and addresses.
func (s *Supervisor) Stop(names ...string) error { return s.manage(commandStop, names, false) }

// Restart stops silos and starts them again. If it restarts all of them, they get
// rotated secrets.
func (s *Supervisor) Restart(names ...string) error {
	p := s.placement()
	all, _ := s.resolve(names) // manage returns its error
	if managed, _ := s.divide(all); p.renewsSecrets() && len(managed) == len(p.Silos) {
		if err := s.renewSecrets(); err != nil {
			return err
		}
	}
	return s.manage(commandRestart, names, false)
}

// Up is like Start, but accepts unmanaged silos: it resumes watching those that had failed.
func (s *Supervisor) Up(names ...string) error { return s.manage(commandStart, names, true) }

// Down stops the instance, in order or, with kill, immediately. It does not wait; see
// Ended.
func (s *Supervisor) Down(kill bool) { s.send(downEvent{kill}) }

// manage sends a command to silos, including unmanaged ones if allowed.
func (s *Supervisor) manage(c command, names []string, unmanaged bool) error {
	all := len(names) == 0
	names, err := s.resolve(names)
	if err != nil {
		return err
	}
	managed, others := s.divide(names)
	switch {
	case unmanaged:
	case len(others) > 0 && (!all || len(managed) == 0):
		return s.checkManaged(others...)
	default:
		names = managed
	}
	if c != commandStop {
		if err := s.checkPorts(s.notRunning(managed)...); err != nil {
			return err
		}
	}
	s.sendCommand(c, names)
	return nil
}

// divide returns the managed and the unmanaged silos among names.
func (s *Supervisor) divide(names []string) (managed, unmanaged []string) {
	snapshot := s.Snapshot()
	for _, silo := range snapshot.Silos {
		switch {
		case !slices.Contains(names, silo.Name):
		case snapshot.Manages(silo):
			managed = append(managed, silo.Name)
		default:
			unmanaged = append(unmanaged, silo.Name)
		}
	}
	return managed, unmanaged
}

// sendCommand sends a command and waits until a snapshot shows it, or until the end.
func (s *Supervisor) sendCommand(c command, names []string) {
	_ = s.request(commandEvent{names, c}) // an instance that has ended runs no silo
}

// request sends an event and waits until a snapshot shows its effect.
func (s *Supervisor) request(e event) error {
	shown := make(chan struct{})
	s.send(request{e, shown})
	select {
	case <-shown:
		return nil
	case <-s.ended:
		return ErrEnded
	}
}

// notRunning returns the silos among names that are stopped or have failed.
func (s *Supervisor) notRunning(names []string) (list []string) {
	for _, silo := range s.Snapshot().Silos {
		if slices.Contains(names, silo.Name) && (silo.State == state.Stopped || silo.State == state.Failed) {
			list = append(list, silo.Name)
		}
	}
	return list
}
