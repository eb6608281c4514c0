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

// reportInterval is how often Migrate reports progress.
const reportInterval = 100 * time.Millisecond

// Migrate runs `sentry upgrade` on the databases, in parallel, and blocks until all
// have ended. all is the result of Inspect. Each returned database has a Result or an
// Error; if ctx has ended, Migrate also returns its cause. The error is a
// *MissingError if a database does not exist.
//
// The output goes to SILO.log in the instance's directory of databases. When ctx ends, the
// migrations get SIGTERM; they are killed after ten seconds or once force is closed. report is
// called with the progress of each, in the order of all, ten times a second and once at the end.
// The caller must hold the lock.
func (s *Set) Migrate(ctx context.Context, all []sentry.Database, force <-chan struct{}, report func([]Progress)) ([]sentry.Database, error) {
	if missing := FindProblems(all).Missing; len(missing) > 0 {
		return nil, &MissingError{missing}
	}
	scratch := filepath.Join(s.dir.Databases(), "conf")
	conf, err := s.overlay(scratch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(scratch) }() // otherwise the next run removes it
	all = slices.Clone(all)
	jobs := make([]*job, len(all))
	for i := range all {
		jobs[i] = &job{set: s, conf: conf, database: &all[i], now: Progress{Silo: all[i].Silo}}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		running := workers()
		for _, j := range jobs {
			running.Go(func() error { j.run(ctx, force); return nil })
		}
		_ = running.Wait() // every database has its own error
	}()
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-tick.C:
		}
		progress := make([]Progress, len(jobs))
		for i, j := range jobs {
			progress[i] = j.progress()
		}
		report(progress)
	}
	return all, context.Cause(ctx)
}

// overlay writes the configuration for the migrations to the directory scratch and
// returns the value of SENTRY_CONF.
func (s *Set) overlay(scratch string) (conf string, err error) {
	block, err := s.place.RegionConfig()
	if err != nil {
		return "", err
	}
	// A run that was killed may have left the directory behind.
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return "", fmt.Errorf("create a directory for the migration: %w", err)
	}
	if conf, err = sentry.Overlay(scratch, s.place.Topology.Sentry.Config, block); err != nil {
		_ = os.RemoveAll(scratch) // otherwise the next run removes it
	}
	return conf, err
}

// run migrates one database and sets its Result or Error.
func (j *job) run(ctx context.Context, force <-chan struct{}) {
	if ctx.Err() != nil {
		return
	}
	j.enter(Migrating)
	err := j.upgrade(ctx, force)
	stage, d := Migrated, j.database
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
func (j *job) upgrade(ctx context.Context, force <-chan struct{}) (err error) {
	spec, err := j.spec()
	if err != nil {
		return err
	}
	name := filepath.Join(j.set.dir.Databases(), j.database.Silo+".log")
	if j.log, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
		return fmt.Errorf("open the migration's log: %w", err)
	}
	defer func() { err = errors.Join(err, j.log.Close()) }()
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

// spec returns the `sentry upgrade` command for the database.
func (j *job) spec() (proc.Spec, error) {
	name := j.database.Silo
	silo := j.set.silos[j.set.index(name)]
	program, err := j.set.program(silo)
	if err != nil {
		return proc.Spec{}, err
	}
	env, _ := j.set.environ(name)
	// Migrations use models of both kinds of silos, and up to 23.6.1 the last one creates a project with a user.
	// Both work only in monolith mode (otherwise AvailabilityError, sentry/db/models/base.py).
	env = slices.DeleteFunc(env, func(entry string) bool {
		return strings.HasPrefix(entry, "SENTRY_REGION=") || strings.HasPrefix(entry, "SENTRY_LOCAL_CELL=")
	})
	marker := "SILO_PROCESS=" + j.set.dir.Marker() + "/" + name + "/migrate"
	return proc.Spec{
		Argv:   slices.Concat(program.Argv, []string{"upgrade"}, j.database.Upgrade),
		Dir:    silo.Dir,
		Env:    append(env, "SENTRY_SILO_MODE=MONOLITH", "SENTRY_CONF="+j.conf, marker),
		Marker: marker, Output: j, DeathSignal: "TERM",
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
		process.Sweep(ctx) // also ends the grace period of the Stop above
		<-stopped
	}
}
