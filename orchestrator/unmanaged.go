package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"silo/ports"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/wait"
)

// Unmanaged silos (sentry.managed = false) are started and ended by somebody
// else, in terminals of their own. The supervisor gives them ports and addresses
// and waits for them to appear. It has no process of theirs, and never ends one.

// seldom is the longest wait between two looks for a silo that is not there: who
// starts it by hand does not see the difference.
const seldom = time.Second

// UnmanagedError refuses to start or end what is not silo's.
type UnmanagedError struct{ Names []string }

func (e *UnmanagedError) Error() string {
	verb := "is"
	if len(e.Names) > 1 {
		verb = "are"
	}
	return strings.Join(e.Names, ", ") + " " + verb + " not silo's to start or to end: sentry.managed = false"
}

// command is ask for wishes that only a managed silo can have fulfilled.
func (s *Supervisor) command(w want, names []string) error {
	names, err := s.check(names)
	if err == nil && !s.now().Topology.Sentry.Managed {
		err = &UnmanagedError{names}
	}
	if err == nil && w != wantRest {
		err = s.vacant(s.resting(names)...)
	}
	if err != nil {
		return err
	}
	return s.ask(w, names)
}

// Up asks for silos to run, as Start does; unmanaged ones that were given up are
// waited for again. No name means every silo.
func (s *Supervisor) Up(names ...string) error {
	names, err := s.check(names)
	if err == nil && s.now().Topology.Sentry.Managed {
		err = s.vacant(s.resting(names)...)
	}
	if err != nil {
		return err
	}
	return s.ask(wantUp, names)
}

// resting are those of names that nobody has started, or that have ended.
func (s *Supervisor) resting(names []string) (list []string) {
	for _, silo := range s.Snapshot().Silos {
		if slices.Contains(names, silo.Name) && (silo.State == state.Stopped || silo.State == state.Failed) {
			list = append(list, silo.Name)
		}
	}
	return list
}

// vacant is a ports.Conflicts that names who has taken the ports of silos that do not
// run.
func (s *Supervisor) vacant(names ...string) (err error) {
	var list []ports.Request
	for _, name := range names {
		if p := s.placed(name); p.held != nil && !p.held.Holds(name) {
			list = append(list, ports.Request{Name: name, Port: p.Port, Fixed: true, Span: span(p.Planned)})
		}
	}
	if len(list) == 0 {
		return nil
	}
	proc.WithForkLock(func() { // a child would have a copy of what is listened on for the look
		var look *ports.Reservation
		if look, err = ports.Reserve(context.Background(), list); err == nil {
			err = look.Close()
		}
	})
	return err
}

// seek makes way for a silo that somebody else starts, and looks out for it.
func (s *Supervisor) seek(ctx context.Context, a seekAction) {
	s.forsake(a.name)
	j := &job{launchAction: launchAction(a), launched: make(chan struct{})}
	close(j.launched)
	j.wanted, j.unwant = context.WithCancel(ctx)
	s.jobs[a.name] = j
	s.workers.Go(func() { s.lookOut(j) })
}

// forsake ends the look-out for a silo.
func (s *Supervisor) forsake(name string) {
	if j := s.jobs[name]; j != nil {
		j.unwant()
	}
}

// lookOut probes until the silo is ready, ever more seldom, and then falls silent.
func (s *Supervisor) lookOut(j *job) {
	placed := s.placed(j.name)
	if placed.held == nil {
		return // it is in the topology no more
	}
	if placed.held.Port(j.name) != 0 { // or it was taken by the silo itself
		if err := placed.held.Release(j.name); err != nil {
			s.now().Warn(err.Error())
		}
	}
	for said, pause := "", firstInterval; ; pause = min(2*pause, seldom) {
		finding := s.sight(j.wanted, j, placed)
		if j.wanted.Err() != nil {
			return
		}
		if finding.ready || finding.fatal || finding.reason != said {
			said = finding.reason
			s.send(finding)
		}
		if finding.ready || finding.fatal || !wait.Sleep(j.wanted, pause) {
			return
		}
	}
}

// sight is probe for a silo of which any process may be.
func (s *Supervisor) sight(ctx context.Context, j *job, placed Placed) probedEvent {
	finding := probedEvent{name: j.name, incarnation: j.incarnation}
	err := present(ctx, placed)
	finding.at = time.Now()
	if err != nil {
		finding.reason = err.Error()
		return finding
	}
	if mode, other := s.now().otherMode(ctx, placed); other {
		finding.fatal, finding.role = true, mode
		return finding
	}
	finding.ready, finding.holder = true, holder(placed.HealthPort)
	return finding
}

// present tells whether a silo's ports answer as they should.
func present(ctx context.Context, placed Placed) error {
	if placed.Ready.Off {
		return listens(ctx, placed.HealthPort)
	}
	if err := healthy(ctx, placed); err != nil {
		return err
	}
	if placed.Port != placed.HealthPort {
		return answers(ctx, placed)
	}
	return nil
}

// listens tells whether anybody takes connections on a port.
func listens(ctx context.Context, port int) error {
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	conn, err := (&net.Dialer{Timeout: probeTimeout}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return unanswered(addr, err)
	}
	return conn.Close()
}

// holder is the process that listens on a port; 0 where that cannot be told.
func holder(port int) int {
	if holders := ports.Holders(port); len(holders) > 0 {
		return holders[0].PID
	}
	return 0
}

// look sees what has become of a silo that has been ready, and tells of changes alone.
func (s *Supervisor) look(ctx context.Context, l look, placed Placed) {
	finding := s.sight(ctx, l.job, placed)
	if finding.fatal || finding.ready != l.ready || finding.ready && finding.holder != l.pid {
		s.send(finding)
	}
}

// reserveFor reserves a list of wants, the first of which are the silos' own. Ports on
// which an unmanaged silo is there already are not reserved: they are returned by its
// name.
func reserveFor(ctx context.Context, plan Plan, site Site, silos []Planned, list []ports.Request) (*ports.Reservation, map[string]int, error) {
	if plan.Topology.Sentry.Managed {
		reserved, err := ports.Reserve(ctx, list)
		return reserved, nil, err
	}
	for again := true; ; again = false {
		rest, there := settled(ctx, plan, site, silos, list)
		reserved, err := ports.Reserve(ctx, rest)
		if again && errors.As(err, new(ports.Conflicts)) {
			continue // a silo may have come up between the look and the attempt
		}
		return reserved, there, err
	}
}

// settled parts the wants of unmanaged silos into those that are still wanted and
// the ports, by name, that their silos have already.
func settled(ctx context.Context, plan Plan, site Site, silos []Planned, list []ports.Request) (rest []ports.Request, there map[string]int) {
	rest, there = slices.Clone(list), map[string]int{}
	p := &Placement{Plan: plan, Site: site}
	for _, s := range silos {
		i := slices.IndexFunc(rest, func(w ports.Request) bool { return w.Name == s.Name })
		if port := rest[i].Port; port != 0 && p.isThere(ctx, s, port) {
			there[s.Name] = port
			rest = slices.Delete(rest, i, i+1)
		}
	}
	return rest, there
}

// isThere tells whether a port is answered by what can be the silo. On one that
// the topology writes, one that has yet to answer may be: a devserver listens
// seconds before its app is loaded. Another port is not to be taken for the
// silo's because of a stranger on it: who answers has to have been started in this
// instance's environment.
func (p *Placement) isThere(ctx context.Context, s Planned, port int) bool {
	placed := Placed{Planned: s, Port: port, HealthPort: sentry.HealthPort(s.Silo, port)}
	if listens(ctx, placed.HealthPort) != nil {
		return false
	}
	if !s.PortFixed && !p.ours(placed) {
		return false
	}
	if err := present(ctx, placed); err != nil {
		return s.PortFixed && errors.Is(err, errSilent)
	}
	_, other := p.otherMode(ctx, placed)
	return !other
}

// ours tells whether the holder of a silo's port has that silo's environment.
func (p *Placement) ours(placed Placed) bool {
	pid := holder(placed.HealthPort)
	for _, mark := range []string{"SILO_INSTANCE=" + p.Dir.Key, "SILO_NAME=" + placed.Name} {
		if !slices.ContainsFunc(proc.FindMarked(mark), func(i proc.Info) bool { return i.PID == pid }) {
			return false
		}
	}
	return true
}

// portOf is a silo's port, reserved or held by the silo itself.
func portOf(reserved *ports.Reservation, there map[string]int, name string) int {
	if port, is := there[name]; is {
		return port
	}
	return reserved.Port(name)
}

// otherMode tells in which mode a silo answers where that is plainly not its own.
func (p *Placement) otherMode(ctx context.Context, placed Placed) (mode string, other bool) {
	if placed.Mode == state.Monolith {
		return "", false
	}
	mode, conclusive := role(ctx, p.Choice.Dialect, placed)
	return mode, conclusive && mode != string(placed.Mode)
}

// foreign is why a silo fails that is answered for by another mode's.
func foreign(mode string) string {
	if mode == "" {
		return wrongMode
	}
	return fmt.Sprintf("%s: %s", wrongMode, mode)
}
