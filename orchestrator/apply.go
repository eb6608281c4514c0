package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

// Preview returns what Apply would change now. It does not check whether ports and
// tunnels are available.
func (s *Supervisor) Preview(next plan.Plan) (plan.Changes, error) {
	current := s.placement()
	changes, err := preview(current, next)
	if err == nil && changes.RewritesConfig {
		for _, placed := range current.Placed {
			if sentry.Reloads(placed.Argv) == sentry.ReloadsAlways {
				changes.Reloading = append(changes.Reloading, placed.Name)
			}
		}
		changes.KeepReloading()
	}
	return changes, err
}

func preview(current *placement, next plan.Plan) (plan.Changes, error) {
	changes, err := current.Compare(next)
	if err == nil && current.renewsSecrets() { // all silos get new secrets, or none
		changes.Restarted, changes.Kept = append(changes.Restarted, changes.Kept...), nil
	}
	return changes, err
}

// Apply switches the running silos to another plan: it starts added silos, stops
// removed ones, and restarts those whose process changes. Other processes are not
// touched. It returns once a snapshot shows the new plan; Await waits until the silos
// are ready.
//
// Apply first stops silos whose ports other silos get. If it then fails, it starts them
// again and nothing else has changed, unless the error is from closing resources of
// removed silos.
func (s *Supervisor) Apply(ctx context.Context, p plan.Plan) (plan.Changes, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	old := s.placement()
	changes, err := preview(old, p)
	if err != nil {
		return changes, err
	}
	if busy := s.debugged(slices.Concat(changes.Restarted, changes.Removed, changes.StopFirst)); len(busy) > 0 {
		return changes, &UnmanagedError{Names: busy, Debugged: true}
	}
	down := s.notRunning(changes.StopFirst)
	if err := s.vacatePorts(ctx, old, changes.StopFirst); err != nil {
		return changes, err
	}
	next, err := s.replace(ctx, old, p, &changes)
	if err != nil {
		again := slices.DeleteFunc(slices.Clone(changes.StopFirst), func(name string) bool { return slices.Contains(down, name) })
		s.sendCommand(commandStart, again)
		return changes, err
	}
	changes.KeepReloading()
	if err := s.stopAndWait(ctx, changes.Removed); err != nil {
		return changes, errors.Join(err, next.closeNew(ctx, old))
	}
	if err := s.request(applyEvent{next, clusterSilos(p), changes.Restarted}); err != nil {
		return changes, err
	}
	return changes, old.closeUnused(ctx, next)
}

// replace returns the placement of another plan, and writes its region config. Known
// silos keep their resources; the others get new ports and tunnels. If it fails, it
// closes everything that it opened.
func (s *Supervisor) replace(ctx context.Context, old *placement, p plan.Plan, changes *plan.Changes) (*placement, error) {
	copied := *old
	next := &copied
	next.Plan, next.Placed, next.open = p, make([]plan.Placed, len(p.Silos)), map[string]resources{}
	err := next.keep(ctx, old)
	if err == nil {
		err = s.openAdded(ctx, next, changes)
	}
	if err == nil {
		err = next.complete()
	}
	if err == nil && old.renewsSecrets() {
		next.Run.Secrets, err = old.Dir.RenewSecrets()
	}
	if err == nil { // the last step: silos reload the file at once
		_, changes.Reloading, err = s.rewrite(ctx, next)
	}
	if err != nil {
		return nil, errors.Join(err, next.closeNew(ctx, old))
	}
	return next, nil
}

// keep takes over the silos that are in both placements. It moves those that need other
// ports.
func (p *placement) keep(ctx context.Context, old *placement) error {
	for i, silo := range p.Silos {
		placed, known := old.Find(silo.Name)
		if !known {
			continue
		}
		needsPorts := plan.NeedsPorts(placed, silo)
		placed.Silo = silo
		p.Placed[i], p.open[silo.Name] = placed, old.open[silo.Name]
		if needsPorts {
			if err := p.move(ctx, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// openAdded opens ports, tunnels and logs for added silos.
func (s *Supervisor) openAdded(ctx context.Context, next *placement, changes *plan.Changes) error {
	added := slices.DeleteFunc(slices.Clone(next.Silos), func(silo plan.Silo) bool { return !slices.Contains(changes.Added, silo.Name) })
	opened, err := next.openSilos(ctx, added)
	if err != nil {
		return err
	}
	for _, placed := range opened {
		next.Placed[slices.Index(next.Names(), placed.Name)] = placed
	}
	changes.Displaced = Displaced(opened)
	return s.openOutputs(next, changes.Added)
}

// move reserves other ports for a silo, which keeps its tunnel and address.
func (p *placement) move(ctx context.Context, i int) error {
	s := &p.Placed[i]
	reserved, moved, err := reserve(ctx, p.Plan, p.Host, []plan.Silo{s.Silo}, nil)
	if err != nil {
		return err
	}
	s.Port, s.HealthPort, s.Preferred = moved[0].Port, moved[0].HealthPort, moved[0].Preferred
	r := p.open[s.Name]
	r.ports = reserved
	p.open[s.Name] = r
	return nil
}

// vacatePorts stops silos, and releases the ports of those that never ran.
func (s *Supervisor) vacatePorts(ctx context.Context, p *placement, names []string) error {
	if err := s.stopAndWait(ctx, names); err != nil {
		return err
	}
	var errs []error
	proc.WithForkLock(func() {
		for _, name := range names {
			if reserved := p.open[name].ports; reserved.Holds(name) {
				errs = append(errs, reserved.Release(name))
			}
		}
	})
	return errors.Join(errs...)
}

// stopAndWait stops silos and waits until their processes have ended.
func (s *Supervisor) stopAndWait(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	s.sendCommand(commandStop, names)
	for {
		snapshot, replaced := s.Next()
		// A silo that is being started has no process yet, but will have one.
		active := func(v state.Silo) bool {
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

// closeNew closes the resources that a placement has and the previous one did not have.
func (p *placement) closeNew(ctx context.Context, old *placement) error {
	var errs []error
	for name, r := range p.open {
		o, known := old.open[name]
		if o.ports != r.ports {
			errs = append(errs, r.ports.Close())
		}
		if !known {
			errs = append(errs, r.tunnel.Close(ctx))
			r.output.close()
		}
	}
	return errors.Join(errs...)
}

// closeUnused closes the resources of removed silos, and the former ports of silos that
// moved before their first start.
func (p *placement) closeUnused(ctx context.Context, next *placement) error {
	var errs []error
	for name, r := range p.open {
		n, kept := next.open[name]
		if r.ports != n.ports && r.ports.Holds(name) {
			errs = append(errs, r.ports.Release(name))
		}
		if !kept {
			errs = append(errs, r.tunnel.Close(ctx))
			r.output.close()
		}
	}
	return errors.Join(errs...)
}

// renewSecrets makes processes that start from now on use the rotated secrets.
func (s *Supervisor) renewSecrets() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	next := *s.placement()
	var err error
	if next.Run.Secrets, err = next.Dir.RenewSecrets(); err != nil {
		return fmt.Errorf("renew secrets: %w", err)
	}
	return s.request(applyEvent{&next, clusterSilos(next.Plan), nil})
}
