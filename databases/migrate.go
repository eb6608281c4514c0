package databases

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"silo/proc"
	"silo/sentry"
)

// grace is how long a migration has to end by itself.
const grace = 10 * time.Second

// MissingError names databases that are not there: a migration makes none.
type MissingError struct{ Names []string }

func (e *MissingError) Error() string {
	return "there is no database " + strings.Join(e.Names, ", ")
}

// Migration is `sentry upgrade` on several silos' databases. Its methods may be
// called from any goroutine at any time.
type Migration struct {
	set  *Set
	conf string // SENTRY_CONF
	jobs []*job
	over chan struct{} // closed once what follows is written
	all  []sentry.Database
	err  error
}

// Migrate begins to run `sentry upgrade` on the databases, which Look has found, side
// by side. It fails with a *MissingError where there is none to run it on. All that
// they say is in a file each, SILO.log in the instance's directory of databases. Where
// ctx ends they are asked to end, and made to after ten seconds or once hurry is
// closed. The caller has the lock, and waits for the end.
func (s *Set) Migrate(ctx context.Context, all []sentry.Database, hurry <-chan struct{}) (*Migration, error) {
	if missing := Lacking(all).Missing; len(missing) > 0 {
		return nil, &MissingError{missing}
	}
	scratch := filepath.Join(s.place.Dir.Databases(), "conf")
	conf, err := s.overlay(scratch)
	if err != nil {
		return nil, err
	}
	m := &Migration{set: s, conf: conf, all: slices.Clone(all), over: make(chan struct{})}
	for _, b := range all {
		m.jobs = append(m.jobs, &job{now: Progress{Silo: b.Silo}})
	}
	go func() { // Wait waits for it
		defer close(m.over)
		defer func() { _ = os.RemoveAll(scratch) }() // else the next run does
		sideBySide(len(all), func(i int) { m.run(ctx, m.jobs[i], &m.all[i], hurry) })
		m.err = context.Cause(ctx)
	}()
	return m, nil
}

// overlay makes the directory scratch for what Sentry is configured by, and returns
// what SENTRY_CONF is to be.
func (s *Set) overlay(scratch string) (conf string, err error) {
	block, err := s.place.RegionConfig()
	if err != nil {
		return "", err
	}
	// One that was killed has left it.
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return "", fmt.Errorf("make a directory for the migration: %w", err)
	}
	if conf, err = sentry.Overlay(scratch, s.place.Topology.Sentry.Config, block); err != nil {
		_ = os.RemoveAll(scratch) // else the next run does
	}
	return conf, err
}

// Over is closed once all migrations are over.
func (m *Migration) Over() <-chan struct{} { return m.over }

// Wait blocks until all are over, and returns the databases with what has become of
// each: a Result, or an Error. Where ctx has ended its cause is returned too.
func (m *Migration) Wait() ([]sentry.Database, error) {
	<-m.over
	return m.all, m.err
}

// Progress is how each stands now, in order.
func (m *Migration) Progress() []Progress {
	all := make([]Progress, len(m.jobs))
	for i, j := range m.jobs {
		all[i] = j.seen()
	}
	return all
}

// run migrates one database, and says in b what came of it.
func (m *Migration) run(ctx context.Context, j *job, b *sentry.Database, hurry <-chan struct{}) {
	if ctx.Err() != nil {
		return
	}
	j.enter(Migrating)
	switch err := m.upgrade(ctx, j, b, hurry); {
	case err == nil:
		b.Result = string(Migrated)
		j.enter(Migrated)
	case ctx.Err() != nil:
		b.Error = err.Error()
		j.enter(Stopped)
	default:
		b.Error = err.Error()
		j.enter(Failed)
	}
}

// upgrade runs Sentry's own command to its end, or until ctx ends.
func (m *Migration) upgrade(ctx context.Context, j *job, b *sentry.Database, hurry <-chan struct{}) (err error) {
	program, err := m.set.program(b.Silo)
	if err != nil {
		return err
	}
	name := filepath.Join(m.set.place.Dir.Databases(), b.Silo+".log")
	if j.log, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
		return fmt.Errorf("open the migration's log: %w", err)
	}
	defer func() { err = errors.Join(err, j.log.Close()) }()
	process, err := proc.Start(m.spec(program, j, b))
	if err != nil {
		return err
	}
	select {
	case <-process.Done():
		process.Sweep(context.WithoutCancel(ctx))
	case <-ctx.Done():
		end(context.WithoutCancel(ctx), process, hurry)
	}
	if exit := process.Exit(); exit.Code != 0 || exit.Signal != "" {
		return fmt.Errorf("sentry upgrade: %v (all that it said is in %s)", exit, name)
	}
	return nil
}

// spec is how Sentry's own command is run on a silo's database.
func (m *Migration) spec(program sentry.Program, j *job, b *sentry.Database) proc.Spec {
	env, _ := m.set.environ(b.Silo)
	// Migrations touch models of both kinds of silos, and 23.6.1's and earlier ones' last step makes a project with a
	// user: they run as in a monolith alone (AvailabilityError else, sentry/db/models/base.py).
	env = slices.DeleteFunc(env, func(entry string) bool {
		return strings.HasPrefix(entry, "SENTRY_REGION=") || strings.HasPrefix(entry, "SENTRY_LOCAL_CELL=")
	})
	mark := "SILO_PROCESS=" + m.set.place.Dir.Mark() + "/" + b.Silo + "/migrate"
	return proc.Spec{
		Argv:   slices.Concat(program.Argv, []string{"upgrade"}, b.Upgrade),
		Dir:    m.set.placed(b.Silo).Dir,
		Env:    append(env, "SENTRY_SILO_MODE=MONOLITH", "SENTRY_CONF="+m.conf, mark),
		Marker: mark, Output: j, Death: "TERM",
	}
}

// end ends a migration's process tree, without grace once hurry is closed.
func end(ctx context.Context, process *proc.Process, hurry <-chan struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-hurry:
			cancel()
		case <-ctx.Done():
		}
	})
	process.Stop(ctx, "TERM", grace, nil)
	cancel()
	watch.Wait()
}
