package databases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"silo/proc"
	"silo/sentry"
)

// grace is how long an interrupted migration may take to exit.
const grace = 10 * time.Second

// MissingError reports that databases do not exist: migrations do not create them.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	return "no such database: " + strings.Join(e.Names, ", ")
}

// Migration is `sentry upgrade` on the databases of several silos. Its methods are
// safe for concurrent use.
type Migration struct {
	set  *Set
	conf string // SENTRY_CONF
	jobs []*job
	done chan struct{} // closed once all and err are final
	all  []sentry.Database
	err  error
}

// Migrate starts `sentry upgrade` on the databases, in parallel. all is what Inspect
// returned. The error is a *MissingError if one of them does not exist. The output
// goes to SILO.log in the instance's directory of databases. When ctx ends, the
// migrations get a TERM signal, and are killed after ten seconds or once force is
// closed. The caller must hold the lock until Wait returns.
func (s *Set) Migrate(ctx context.Context, all []sentry.Database, force <-chan struct{}) (*Migration, error) {
	if missing := FindProblems(all).Missing; len(missing) > 0 {
		return nil, &MissingError{missing}
	}
	scratch := filepath.Join(s.place.Dir.Databases(), "conf")
	conf, err := s.overlay(scratch)
	if err != nil {
		return nil, err
	}
	m := &Migration{set: s, conf: conf, all: slices.Clone(all), done: make(chan struct{})}
	for _, d := range all {
		m.jobs = append(m.jobs, &job{now: Progress{Silo: d.Silo}})
	}
	go func() { // Wait waits for it
		defer close(m.done)
		defer func() { _ = os.RemoveAll(scratch) }() // otherwise the next run removes it
		running := workers()
		for i, j := range m.jobs {
			running.Go(func() error { m.run(ctx, j, &m.all[i], force); return nil })
		}
		_ = running.Wait() // every database has its own error
		m.err = context.Cause(ctx)
	}()
	return m, nil
}

// overlay writes the configuration for the migrations to the directory scratch and
// returns the value of SENTRY_CONF.
func (s *Set) overlay(scratch string) (conf string, err error) {
	block, err := s.place.RegionConfig()
	if err != nil {
		return "", err
	}
	// A killed run may have left the directory.
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return "", fmt.Errorf("create a directory for the migration: %w", err)
	}
	if conf, err = sentry.Overlay(scratch, s.place.Topology.Sentry.Config, block); err != nil {
		_ = os.RemoveAll(scratch) // otherwise the next run removes it
	}
	return conf, err
}

// Done returns a channel that is closed once all migrations have ended.
func (m *Migration) Done() <-chan struct{} { return m.done }

// Wait blocks until all migrations have ended. Each returned database has a Result
// or an Error. If ctx has ended, Wait also returns its cause.
func (m *Migration) Wait() ([]sentry.Database, error) {
	<-m.done
	return m.all, m.err
}

// Progress returns the progress of each migration, in the order of the databases.
func (m *Migration) Progress() []Progress {
	all := make([]Progress, len(m.jobs))
	for i, j := range m.jobs {
		all[i] = j.progress()
	}
	return all
}

// run migrates one database and sets its Result or Error.
func (m *Migration) run(ctx context.Context, j *job, d *sentry.Database, force <-chan struct{}) {
	if ctx.Err() != nil {
		return
	}
	j.enter(Migrating)
	err := m.upgrade(ctx, j, d, force)
	stage := Migrated
	switch {
	case err == nil:
		d.Result = string(Migrated)
	case ctx.Err() != nil:
		stage, d.Error = Stopped, err.Error()
	default:
		stage, d.Error = Failed, err.Error()
	}
	j.enter(stage)
}

// upgrade runs `sentry upgrade` until it exits or ctx ends.
func (m *Migration) upgrade(ctx context.Context, j *job, d *sentry.Database, force <-chan struct{}) (err error) {
	spec, err := m.spec(d)
	if err != nil {
		return err
	}
	name := filepath.Join(m.set.place.Dir.Databases(), d.Silo+".log")
	if j.log, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
		return fmt.Errorf("open the migration's log: %w", err)
	}
	defer func() { err = errors.Join(err, j.log.Close()) }()
	spec.Output = j
	process, err := proc.Start(spec)
	if err != nil {
		return err
	}
	select {
	case <-process.Done():
		process.Sweep(context.WithoutCancel(ctx))
	case <-ctx.Done():
		stop(context.WithoutCancel(ctx), process, force)
	}
	if exit := process.Exit(); exit.Code != 0 || exit.Signal != "" {
		return fmt.Errorf("sentry upgrade: %v (full output: %s)", exit, name)
	}
	return nil
}

// spec returns the `sentry upgrade` command for a database.
func (m *Migration) spec(d *sentry.Database) (proc.Spec, error) {
	silo := m.set.silos[m.set.index(d.Silo)]
	program, err := m.set.program(silo)
	if err != nil {
		return proc.Spec{}, err
	}
	env, _ := m.set.environ(d.Silo)
	// Migrations use models of both kinds of silos, and up to 23.6.1 the last one creates a project with a user.
	// Both work only in monolith mode (otherwise AvailabilityError, sentry/db/models/base.py).
	env = slices.DeleteFunc(env, func(entry string) bool {
		return strings.HasPrefix(entry, "SENTRY_REGION=") || strings.HasPrefix(entry, "SENTRY_LOCAL_CELL=")
	})
	marker := "SILO_PROCESS=" + m.set.place.Dir.Mark() + "/" + d.Silo + "/migrate"
	return proc.Spec{
		Argv:   slices.Concat(program.Argv, []string{"upgrade"}, d.Upgrade),
		Dir:    silo.Dir,
		Env:    append(env, "SENTRY_SILO_MODE=MONOLITH", "SENTRY_CONF="+m.conf, marker),
		Marker: marker, Death: "TERM",
	}, nil
}

// stop ends a migration's process tree, and kills it once force is closed.
func stop(ctx context.Context, process *proc.Process, force <-chan struct{}) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		process.Stop(ctx, "TERM", grace, nil)
	}()
	select {
	case <-stopped:
	case <-force:
		process.Sweep(ctx) // also cuts short the grace of the Stop above
		<-stopped
	}
}
