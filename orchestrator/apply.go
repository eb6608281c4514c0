package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// Changes are what a changed topology means for the silos that run.
type Changes struct {
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Restarted []string `json:"restarted"`
	Kept      []string `json:"kept"`      // their processes are not touched
	Applied   []string `json:"applied"`   // what changed and touches no process, in words
	Displaced []string `json:"displaced"` // as Displaced tells of those that were added
	Yielding  []string `json:"yielding"`  // stopped before all else, since others get their ports
}

// Any tells whether a silo starts or stops.
func (c Changes) Any() bool { return len(c.Added)+len(c.Removed)+len(c.Restarted) > 0 }

// WholeError says that a change cannot be applied to what runs.
type WholeError struct{ What []string }

func (e *WholeError) Error() string {
	return strings.Join(e.What, ", ") + " cannot be changed while the instance runs"
}

// compare tells what another plan means for what runs. It is pure.
func (p *Placement) compare(plan Plan) (Changes, error) {
	if whole := p.whole(plan); len(whole) > 0 {
		return Changes{}, &WholeError{whole}
	}
	var c Changes
	for _, next := range plan.Silos {
		i := slices.IndexFunc(p.Placed, func(s Placed) bool { return s.Name == next.Name })
		switch {
		case i < 0:
			c.Added = append(c.Added, next.Name)
		case relaunch(p.Placed[i], next) || !maps.Equal(p.Topology.Sentry.Env, plan.Topology.Sentry.Env):
			c.Restarted = append(c.Restarted, next.Name)
		default:
			c.Kept = append(c.Kept, next.Name)
		}
	}
	for _, old := range p.Placed {
		if !slices.Contains(plan.Names(), old.Name) {
			c.Removed = append(c.Removed, old.Name)
		}
	}
	c.Applied, c.Yielding = p.applied(plan), p.yielding(plan)
	return c, nil
}

// applied tells of what stands in the region config, or is asked of silos from outside.
func (p *Placement) applied(plan Plan) []string {
	var what []string
	note := func(same bool, text string, values ...any) {
		if !same {
			what = append(what, fmt.Sprintf(text, values...))
		}
	}
	for _, next := range plan.Silos {
		i := slices.IndexFunc(p.Placed, func(s Placed) bool { return s.Name == next.Name })
		if i < 0 {
			continue
		}
		old := p.Placed[i]
		note(old.ID == next.ID, "id of %s is %d (was %d)", next.Name, next.ID, old.ID)
		note(old.Category == next.Category, "category of %s is %s", next.Name, next.Category)
		note(reflect.DeepEqual(old.Ready, next.Ready), "ready of %s", next.Name)
		note(reflect.DeepEqual(old.Restart, next.Restart), "restart of %s", next.Name)
		note(reflect.DeepEqual(old.Stop, next.Stop), "stop of %s", next.Name)
	}
	isolation := plan.Topology.Isolation
	note(p.Topology.Isolation == isolation, "isolation.regions is %s", isolation)
	return what
}

// whole names the changes that are not about single processes.
func (p *Placement) whole(plan Plan) []string {
	var what []string
	note := func(key string, same bool) {
		if !same {
			what = append(what, key)
		}
	}
	old, next := p.Topology, plan.Topology
	note("the mode", p.Monolith == plan.Monolith)
	note("name", old.Name == next.Name)
	note("the dialect", p.Choice.Dialect.Name == plan.Choice.Dialect.Name)
	note("sentry.config", old.Sentry.Config == next.Sentry.Config)
	note("sentry.managed", old.Sentry.Managed == next.Sentry.Managed)
	note("sentry.databases", old.Sentry.Databases == next.Sentry.Databases)
	note("sentry.addresses", old.Sentry.Addresses == next.Sentry.Addresses)
	note("tunnels.provider", old.Tunnels.Provider == next.Tunnels.Provider)
	note("tunnels.ngrok", old.Tunnels.Ngrok == next.Tunnels.Ngrok)
	note("logs", old.Logs == next.Logs)
	for _, s := range plan.Silos {
		for _, o := range p.Placed {
			if o.Name == s.Name {
				note("the tunnel of "+s.Name, sameTunnel(o.Silo, s.Silo))
			}
		}
	}
	return what
}

func sameTunnel(a, b topology.Silo) bool {
	return a.Domain == b.Domain && a.URL == b.URL && a.HostHeader == b.HostHeader && a.TrafficPolicy == b.TrafficPolicy &&
		slices.Equal(a.BasicAuth, b.BasicAuth) && slices.Equal(a.AllowCIDRs, b.AllowCIDRs)
}

// relaunch tells whether a silo's process has to be another one. What is asked
// of it from outside (ready, restart, stop) and what stands in the region config
// (id, category) touches no process.
func relaunch(old Placed, next Planned) bool {
	return moved(old, next) || old.Dir != next.Dir || old.TTY != next.TTY || !slices.Equal(old.Argv, next.Argv) || !reflect.DeepEqual(old.Env, next.Env)
}

// moved tells whether a silo needs other ports.
func moved(old Placed, next Planned) bool {
	return old.Watchers != next.Watchers || next.PortFixed && next.Port != old.Port
}

// Foresee tells what Apply would change now, and changes nothing. Whether ports and
// tunnels can be had is not part of it.
func (s *Supervisor) Foresee(plan Plan) (Changes, error) {
	old := s.now()
	return old.foresee(plan, old.renews())
}

func (p *Placement) foresee(plan Plan, renew bool) (Changes, error) {
	c, err := p.compare(plan)
	if err == nil && renew {
		c.Restarted, c.Kept = append(c.Restarted, c.Kept...), nil
	}
	return c, err
}

// Apply makes what runs that of another plan, and touches no process that need
// not be: new silos are started, those that are gone stopped, those whose
// process is launched otherwise started again. It returns once the wishes show
// in a snapshot; Await tells when they are fulfilled. An error has changed
// nothing, but for one in stopping silos that are gone. Silos whose ports others get
// are stopped first, and started again with their own should the others fail.
func (s *Supervisor) Apply(ctx context.Context, plan Plan) (Changes, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	old := s.now()
	renew := old.renews()
	changes, err := old.foresee(plan, renew)
	if err != nil {
		return changes, err
	}
	resting := s.resting(changes.Yielding)
	if err := s.yield(ctx, old, changes.Yielding); err != nil {
		return changes, err
	}
	next, fresh, err := s.replace(ctx, old, plan)
	if err != nil {
		again := slices.DeleteFunc(slices.Clone(changes.Yielding), func(name string) bool { return slices.Contains(resting, name) })
		if len(again) > 0 {
			err = errors.Join(err, s.ask(wantUp, again))
		}
		return changes, err
	}
	changes.Displaced = Displaced(fresh)
	if renew {
		if next.Secrets, err = old.Dir.RenewSecrets(); err != nil {
			return changes, errors.Join(err, s.undo(ctx, fresh))
		}
	}
	if err := s.rest(ctx, changes.Removed); err != nil {
		return changes, errors.Join(err, s.undo(ctx, fresh))
	}
	seen := make(chan struct{})
	s.send(applyEvent{place: next, order: silosOf(plan), again: changes.Restarted, seen: seen})
	select {
	case <-seen:
	case <-s.ended:
		return changes, ErrEnded
	}
	return changes, s.drop(ctx, old, next)
}

func silosOf(plan Plan) []silo {
	var list []silo
	for _, p := range plan.Silos {
		list = append(list, newSilo(p, plan.Topology.Sentry.Managed))
	}
	return list
}

// replace makes the placement of another plan: silos that stay keep what they
// have, the others get new ports and tunnels. The region config is written.
func (s *Supervisor) replace(ctx context.Context, old *Placement, plan Plan) (next *Placement, fresh []Placed, err error) {
	copied := *old
	next = &copied
	next.Plan = plan
	next.Placed = make([]Placed, len(plan.Silos))
	var added []Planned
	var shifted []Placed
	defer func() {
		if err != nil {
			err = errors.Join(err, release(shifted))
		}
	}()
	for i, planned := range plan.Silos {
		next.Placed[i].Planned = planned
		if known := slices.IndexFunc(old.Placed, func(p Placed) bool { return p.Name == planned.Name }); known >= 0 {
			next.Placed[i] = old.Placed[known]
			next.Placed[i].Planned = planned
			if moved(old.Placed[known], planned) {
				if err := next.move(ctx, i); err != nil {
					return nil, nil, err
				}
				shifted = append(shifted, next.Placed[i])
			}
			continue
		}
		added = append(added, planned)
	}
	if fresh, err = next.settle(ctx, added); err != nil {
		return nil, nil, err
	}
	if err := s.openOutputs(next, fresh); err != nil {
		return nil, nil, errors.Join(err, s.undo(ctx, fresh))
	}
	for _, f := range fresh {
		next.Placed[slices.Index(plan.Names(), f.Name)] = f
	}
	if err = next.finish(); err == nil {
		_, err = next.writeConfig(ctx) // also where a hand has changed it meanwhile
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.undo(ctx, fresh))
	}
	return next, fresh, nil
}

// move gives a silo other ports; its tunnel and address stay.
func (p *Placement) move(ctx context.Context, i int) error {
	s := &p.Placed[i]
	one := []Planned{s.Planned}
	list := wants(p.Plan, p.Site, one)[:1] // its edge stays where it is
	reserved, there, err := reserveFor(ctx, p.Plan, p.Site, one, list)
	if err != nil {
		return err
	}
	s.held, s.Port = reserved, portOf(reserved, there, s.Name)
	s.Preferred = displacedFrom(list[0], s.Port)
	s.HealthPort = sentry.HealthPort(s.Silo, s.Port)
	return nil
}

// yielding are the silos that run, or hold their ports until they do, and whose ports
// are to be another's.
func (p *Placement) yielding(plan Plan) (names []string) {
	if !plan.Topology.Sentry.Managed {
		return nil
	}
	var asked []int // ports of those that come or move
	for _, next := range plan.Silos {
		i := slices.Index(p.Names(), next.Name)
		if next.PortFixed && (i < 0 || moved(p.Placed[i], next)) {
			for n := range span(next) {
				asked = append(asked, next.Port+n)
			}
		}
	}
	for _, s := range p.Placed {
		i := slices.Index(plan.Names(), s.Name)
		if i >= 0 && !moved(s, plan.Silos[i]) {
			continue // it keeps its ports: that is a conflict
		}
		for n := range span(s.Planned) {
			if slices.Contains(asked, s.Port+n) {
				names = append(names, s.Name)
				break
			}
		}
	}
	return names
}

// yield frees the ports of some silos.
func (s *Supervisor) yield(ctx context.Context, place *Placement, names []string) error {
	if err := s.rest(ctx, names); err != nil {
		return err
	}
	var errs []error
	proc.WithForkLock(func() {
		for _, p := range place.Placed {
			if slices.Contains(names, p.Name) && p.held.Holds(p.Name) {
				errs = append(errs, p.held.Release(p.Name))
			}
		}
	})
	return errors.Join(errs...)
}

// undo gives back what was made for silos that are not to come.
func (s *Supervisor) undo(ctx context.Context, fresh []Placed) error {
	errs := []error{release(fresh)}
	for _, f := range fresh {
		errs = append(errs, f.Tunnel.Close(ctx))
		if f.out != nil {
			f.out.close()
		}
	}
	return errors.Join(errs...)
}

// rest stops silos that are to go, and waits until they are at rest.
func (s *Supervisor) rest(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := s.ask(wantRest, names); err != nil {
		return err
	}
	for {
		snapshot, replaced := s.Next()
		active := func(v state.Silo) bool { // one that is being started has no process yet
			return slices.Contains(names, v.Name) && v.State != state.Stopped && v.State != state.Failed
		}
		if !slices.ContainsFunc(snapshot.Silos, active) {
			return nil
		}
		select {
		case <-replaced:
		case <-s.ended:
			return ErrEnded
		case <-ctx.Done():
			return fmt.Errorf("stop %s: %w", strings.Join(names, ", "), ctx.Err())
		}
	}
}

// drop closes what only silos that have gone, or moved, had.
func (s *Supervisor) drop(ctx context.Context, old, next *Placement) error {
	var errs []error
	for _, o := range old.Placed {
		if i := slices.Index(next.Names(), o.Name); i >= 0 {
			if o.held != next.Placed[i].held && o.held.Holds(o.Name) { // it has moved before it was ever started
				errs = append(errs, o.held.Release(o.Name))
			}
			continue
		}
		errs = append(errs, o.Tunnel.Close(ctx))
		if o.held.Port(o.Name) != 0 { // or it was taken by the silo itself
			errs = append(errs, o.held.Release(o.Name))
		}
		o.out.close()
	}
	return errors.Join(errs...)
}
