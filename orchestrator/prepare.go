package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"silo/logs"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/tunnels"
)

// closers is a teardown: what was set up, undone backwards.
type closers []func() error

func (c *closers) push(undo func() error) { *c = append(*c, undo) }

func (c *closers) unwind() error {
	var errs []error
	for _, undo := range slices.Backward(*c) {
		errs = append(errs, undo())
	}
	*c = nil
	return errors.Join(errs...)
}

// Instance is a plan that has its lock, ports, tunnels and region config, and
// whose silos are yet to be started.
type Instance struct {
	*Supervisor
	Change    sentry.Change // what writing the region config did
	Displaced []string      // silos whose ports are others than they would have had
	undo      closers       // the lock and the claim: they outlive the supervisor
}

// Prepare takes a plan up to the point of launch: lock, what a killed run left,
// the region config's file, ports, tunnels, region config. lines takes the
// silos' output as whole lines, or is nil. A failure has changed nothing.
// ErrRunning of room state says that the instance already runs.
func Prepare(ctx context.Context, plan Plan, site Site, lines *logs.Mux) (*Instance, error) {
	in := &Instance{}
	ok := false
	defer func() {
		if !ok {
			_ = in.undo.unwind() // the error that is returned came first
		}
	}()
	if err := site.Dir.Acquire(ctx); err != nil {
		return nil, err
	}
	in.undo.push(site.Dir.Release)
	if _, err := Clean(ctx, site.Dir); err != nil {
		return nil, err
	}
	if err := Preflight(ctx, plan, site); err != nil {
		return nil, err
	}
	if err := in.claim(ctx, plan, site); err != nil {
		return nil, err
	}
	place, err := Place(ctx, plan, site)
	if err != nil {
		return nil, err
	}
	in.undo.push(func() error { return place.leave(ctx) })
	in.Displaced = Displaced(place.Placed)
	if in.Supervisor, err = NewSupervisor(place, lines); err != nil {
		return nil, err
	}
	if in.Change, err = place.writeConfig(ctx); err != nil {
		closeOutputs(place.Placed)
		return nil, err
	}
	// Before anything is launched, so that a record that says stopped is the word of
	// a run that ended well, and of no other.
	if err := site.Dir.Save(in.Snapshot()); err != nil {
		site.Warn("should this process be killed, nobody will know: " + err.Error())
	}
	in.undo = in.undo[:len(in.undo)-1] // from here on Run closes tunnels and ports
	in.guard(site)
	ok = true
	return in, nil
}

// Preflight finds out what would refuse a plan later, and touches nothing: a
// Sentry that cannot run as silos, a region config that cannot be written, a
// command that is not there, an authtoken that is missing.
func Preflight(ctx context.Context, plan Plan, site Site) error {
	if err := plan.Choice.Runnable(); err != nil && !plan.Monolith {
		return err
	}
	if _, err := sentry.ReadFile(plan.Topology.Sentry.Config); err != nil {
		return err
	}
	p := &Placement{Plan: plan, Site: site}
	for _, s := range plan.Silos {
		p.Placed = append(p.Placed, Placed{Planned: s})
	}
	found := map[[2]string]bool{}
	for _, s := range p.Placed {
		program := [2]string{s.Argv[0], s.Dir}
		// By the same PATH; and who starts an unmanaged one may have another.
		if !plan.Topology.Sentry.Managed || len(s.Env) == 0 && found[program] {
			continue
		}
		if err := proc.Find(s.Argv[0], s.Dir, p.environ(s)); err != nil {
			return fmt.Errorf("%s cannot be started: %w", s.Name, err)
		}
		found[program] = found[program] || len(s.Env) == 0
	}
	config, err := p.tunnelConfig()
	if err != nil {
		return err
	}
	provider, err := tunnels.New(config)
	if err != nil {
		return err
	}
	closeProvider(ctx, provider) // it was never used
	return nil
}

// claim takes the region config's file for this instance, and looks whether it
// can be written at all before anything is opened.
func (in *Instance) claim(ctx context.Context, plan Plan, site Site) error {
	file, err := sentry.ReadFile(plan.Topology.Sentry.Config)
	if err != nil {
		return err
	}
	claim, err := site.Dir.Claim(ctx, file.Path)
	if err != nil {
		return err
	}
	in.undo.push(claim.Release)
	return nil
}

// writeConfig writes the region config, but in monolith mode, which reads none.
func (p *Placement) writeConfig(ctx context.Context) (sentry.Change, error) {
	if p.Monolith {
		return sentry.Change{}, nil
	}
	return sentry.Write(ctx, p.Topology.Sentry.Config, p.block)
}

// Defer adds to what is undone at the end: after the silos, and before the lock
// is free for another supervisor. It is to be called before Run.
func (in *Instance) Defer(undo func() error) { in.undo.push(undo) }

// Run starts the silos and returns once everything has ended and the instance's
// lock is free again.
func (in *Instance) Run(ctx context.Context) error {
	return errors.Join(in.Supervisor.Run(ctx), in.undo.unwind())
}

// Abandon gives back what Prepare took, where Run is never called.
func (in *Instance) Abandon(ctx context.Context) error {
	closeOutputs(in.now().Placed)
	return errors.Join(in.now().leave(ctx), in.now().Dir.Save(in.Snapshot().AsStopped()), in.undo.unwind())
}

// Clean ends what a killed supervisor left behind: its processes, found by the
// run's marker and by their recorded PID with its start time, and its socket.
// The caller holds the instance's lock. It returns what had to be ended.
func Clean(ctx context.Context, dir *state.Dir) ([]string, error) {
	last, err := dir.Last()
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && last.State == state.InstanceStopped:
		return nil, removeSocket(dir) // never run, or ended well: that swept for itself
	case err != nil:
		last = &state.Snapshot{} // a torn record: the marker finds what there is
	}
	var ended []string
	for _, silo := range last.Silos {
		if silo.PID == nil || silo.ProcessTime == nil || !proc.Alive(*silo.PID, *silo.ProcessTime) {
			continue
		}
		if _, err := proc.KillTree(ctx, *silo.PID, *silo.ProcessTime); err != nil {
			return ended, fmt.Errorf("end %s, which a killed silo left running: %w", silo.Name, err)
		}
		ended = append(ended, fmt.Sprintf("%s (pid %d)", silo.Name, *silo.PID))
	}
	killed, err := proc.KillMarked(ctx, marker(dir))
	for _, p := range killed {
		ended = append(ended, fmt.Sprintf("%s (pid %d)", p.Name, p.PID))
	}
	if err != nil {
		return ended, fmt.Errorf("end what a killed silo left running: %w", err)
	}
	if len(last.Silos) > 0 {
		err = dir.Conclude(last.AsLeft())
	}
	return ended, errors.Join(err, removeSocket(dir))
}

func removeSocket(dir *state.Dir) error {
	if err := os.Remove(dir.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a dead control socket: %w", err)
	}
	return nil
}
