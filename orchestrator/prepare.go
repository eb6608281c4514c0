package orchestrator

import (
	"context"
	"errors"
	"os"
	"slices"

	"silo/logs"
	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/tunnels"
)

// closers undo the setup in reverse order.
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

// Instance is a plan with its lock, ports, tunnels and region config, whose silos are
// not started yet.
type Instance struct {
	*Supervisor

	Change    sentry.Change // of the region config
	Displaced []string      // silos that did not get their preferred port, described
	undo      closers       // the lock, the claim and the guardian: they outlive the supervisor
}

// Prepare does everything before the launch: it takes the lock, cleans up after a
// killed run, claims the region config's file, reserves ports, opens tunnels and writes
// the region config. lines receives the silos' output in whole lines; it may be nil. If
// Prepare fails, it has changed nothing. The error is state.ErrRunning if the instance
// already runs.
func Prepare(ctx context.Context, p plan.Plan, host Host, lines *logs.Mux) (*Instance, error) {
	in := &Instance{}
	if err := in.prepare(ctx, p, host, lines); err != nil {
		_ = in.undo.unwind() // err is the cause
		return nil, err
	}
	return in, nil
}

func (in *Instance) prepare(ctx context.Context, p plan.Plan, host Host, lines *logs.Mux) error {
	if err := host.Dir.Acquire(ctx); err != nil {
		return err
	}
	in.undo.push(host.Dir.Release)
	processTime, _ := proc.StartTime(os.Getpid()) // without it, the record is of no use and of no harm
	if err := host.Dir.RecordHolder(state.Holder{PID: os.Getpid(), ProcessTime: processTime}); err != nil {
		host.Warn("if this process hangs, silo down cannot end it: " + err.Error())
	}
	if _, err := Clean(ctx, host.Dir); err != nil {
		return err
	}
	if err := Preflight(ctx, p, host); err != nil {
		return err
	}
	if err := in.claim(ctx, p, host); err != nil {
		return err
	}
	placement, err := newPlacement(ctx, p, host)
	if err != nil {
		return err
	}
	in.undo.push(func() error { return placement.close(ctx) })
	in.Displaced = Displaced(placement.Placed)
	if in.Supervisor, err = newSupervisor(placement, lines); err != nil {
		return err
	}
	if in.Change, err = placement.writeConfig(ctx); err != nil {
		return err
	}
	// Saved before any launch: a stopped snapshot proves that its run was shut down cleanly.
	if err := host.Dir.Save(in.Snapshot()); err != nil {
		host.Warn("if this process is killed, its silos will not be found: " + err.Error())
	}
	in.undo = in.undo[:len(in.undo)-1] // from here on, Run closes the placement
	in.startGuardian(host)
	return nil
}

// Preflight returns an error that would make a plan fail later, and changes nothing: a
// Sentry that cannot run as silos, a region config that cannot be written, a missing
// command or authtoken.
func Preflight(ctx context.Context, p plan.Plan, host Host) error {
	if err := p.Runnable(); err != nil {
		return err
	}
	if _, err := sentry.ReadFile(p.Topology.Sentry.Config); err != nil {
		return err
	}
	if err := findPrograms(p, host); err != nil {
		return err
	}
	config, err := tunnelConfig(p, host)
	if err != nil {
		return err
	}
	provider, err := tunnels.New(config)
	if err != nil {
		return err
	}
	closeProvider(ctx, provider) // it has opened nothing
	return nil
}

// ProgramError reports a silo whose command cannot be run.
type ProgramError struct {
	Silo string
	Err  error // wraps proc.ErrNotFound or proc.ErrNotExecutable
}

func (e *ProgramError) Error() string { return e.Silo + " cannot be started: " + e.Err.Error() }

func (e *ProgramError) Unwrap() error { return e.Err }

// findPrograms returns an error if a silo's command does not exist. It skips unmanaged
// silos: the PATH in the user's own terminal may differ.
func findPrograms(p plan.Plan, host Host) error {
	run := host.NewRun()
	for _, s := range p.Silos {
		if !s.Managed {
			continue
		}
		if _, err := proc.Find(s.Argv[0], s.Dir, p.PartialEnviron(run, s)); err != nil {
			return &ProgramError{Silo: s.Name, Err: err}
		}
	}
	return nil
}

// claim claims the region config's file for this instance.
func (in *Instance) claim(ctx context.Context, p plan.Plan, host Host) error {
	file, err := sentry.ReadFile(p.Topology.Sentry.Config)
	if err != nil {
		return err
	}
	claim, err := host.Dir.Claim(ctx, file.Path)
	if err != nil {
		return err
	}
	in.undo.push(claim.Release)
	for _, o := range file.Overrides {
		host.Warn(o.Text(file.Path))
	}
	return nil
}

// Defer registers a function that runs after the silos have ended and before another
// supervisor can take the lock. It must be called before Run.
func (in *Instance) Defer(undo func() error) { in.undo.push(undo) }

// Run starts the silos, and returns once everything has ended and the instance's lock
// is released.
func (in *Instance) Run(ctx context.Context) error {
	return errors.Join(in.Supervisor.Run(ctx), in.undo.unwind())
}

// Abandon releases everything that Prepare acquired. Call it instead of Run.
func (in *Instance) Abandon(ctx context.Context) error {
	p := in.placement()
	return errors.Join(p.close(ctx), p.Dir.Save(in.Snapshot().AsStopped()), in.undo.unwind())
}
