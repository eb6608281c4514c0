package databases

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"silo/sentry"
	"silo/wait/waittest"
)

func (b *fixture) inspect(s *Set) []sentry.Database {
	b.Helper()
	all, err := s.Inspect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// log returns the output of a migration.
func (b *fixture) log(s *Set, silo string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir().Databases(), silo+".log"))
	if err != nil {
		b.Error(err)
	}
	return string(text)
}

// wantNoConf fails the test if the configuration for the migration was not removed.
func (b *fixture) wantNoConf(s *Set) {
	b.Helper()
	if _, err := os.Stat(filepath.Join(s.Dir().Databases(), "conf")); !errors.Is(err, os.ErrNotExist) {
		b.Errorf("the configuration was not removed: %v", err)
	}
}

// In TestMigrate one of three migrations fails.
func TestMigrate(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	b.file("bin/us-west.sh", "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo step $i; done; printf '\\n\\n'; exit 3\n", 0o600)
	b.file("bin/eu.sh", `head -n 3 "$SENTRY_CONF/sentry.conf.py"`, 0o600)
	s := b.locked()
	var now []Progress
	all, err := s.Migrate(t.Context(), b.inspect(s), nil, func(p []Progress) { now = p })
	log := filepath.Join(s.Dir().Databases(), "us-west.log")
	want := "control=migrated us-west=sentry upgrade: exit status 3 (full output: " + log + ") eu=migrated"
	if got := summary(all); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	for silo, want := range map[string]string{
		"control": "control MONOLITH unset -m sentry upgrade --noinput\n",
		"us-west": "step 1\n", "eu": "eu MONOLITH unset -m sentry upgrade --noinput\n# Written by silo",
	} {
		if text := b.log(s, silo); !strings.HasPrefix(text, "Applying\n") || !strings.Contains(text, want) {
			t.Errorf("log of %s: %s", silo, text)
		}
	}
	b.wantNoConf(s)
	for i, stage := range []Stage{Migrated, Failed, Migrated} {
		if p := now[i]; p.Stage != stage || p.Began.IsZero() || p.Took <= 0 || (len(p.Tail) > 0) != (stage == Failed) {
			t.Errorf("got %+v, want stage %s", p, stage)
		}
	}
	if tail := now[1].Tail; len(tail) != 20 || tail[19] != "step 30" || now[1].Line != "step 30" {
		t.Errorf("last lines %q", tail)
	}
}

// Migrations run as a monolith: no variable may contain a region's name.
func TestMigrationsHaveNoRegion(t *testing.T) {
	t.Parallel()
	for dialect, variable := range map[string]string{"dict": "SENTRY_REGION=eu", "cells-strict": "SENTRY_LOCAL_CELL=eu"} {
		b := newFixture(t)
		b.dialect = dialect
		s := b.set(false)
		if env, _ := s.environ("eu"); !slices.Contains(env, variable) {
			t.Errorf("%s: the silo's own environment lacks %s", dialect, variable)
		}
		spec, err := (&job{set: s, database: &sentry.Database{Silo: "eu"}}).spec()
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(spec.Env, variable) || !slices.Contains(spec.Env, "SENTRY_SILO_MODE=MONOLITH") {
			t.Errorf("%s: the migration's environment is %q", dialect, spec.Env)
		}
	}
}

func TestMigrateMissingDatabase(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	s := b.set(false)
	all, err := s.Migrate(t.Context(), []sentry.Database{{Silo: "us-west", Name: "acme_us_west"}, {Silo: "eu", Name: "acme_eu", Exists: true}}, nil, nil)
	var missing *MissingError
	if all != nil || !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"acme_us_west"}) {
		t.Errorf("%v, %v", all, err)
	}
	b.wantNoConf(s)
}

func TestMigrateWithoutConfiguration(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	s := b.locked()
	all := b.inspect(s)
	if err := os.Remove(filepath.Join(b.dir, "sentry.conf.py")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Migrate(t.Context(), all, nil, nil); !errors.Is(err, sentry.ErrMissing) {
		t.Error(err)
	}
	b.wantNoConf(s)
}

// In TestMigrateInterrupted a migration ignores TERM and is killed once force is closed.
func TestMigrateInterrupted(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	b.file("bin/eu.sh", "trap '' TERM; echo deaf; while :; do sleep 600; done\n", 0o600)
	s := b.locked()
	ctx, cancel := context.WithCancel(t.Context())
	force := make(chan struct{})
	var eu Progress
	var all []sentry.Database
	migrated := make(chan error)
	found := b.inspect(s)
	go func() {
		var err error
		all, err = s.Migrate(ctx, found, force, func(p []Progress) {
			eu = p[2]
			if eu.Line == "deaf" && ctx.Err() == nil {
				if eu.Stage != Migrating || eu.Took != 0 {
					t.Errorf("while it runs: %+v", eu)
				}
				cancel()
				close(force)
			}
		})
		migrated <- err
	}()
	err := waittest.Receive(t, migrated, "the end of the migrations")
	if !errors.Is(err, context.Canceled) || !strings.Contains(all[2].Error, "sentry upgrade: signal KILL") {
		t.Errorf("%s, %v", summary(all), err)
	}
	if eu.Stage != Stopped || eu.Tail != nil {
		t.Errorf("at the end: %+v", eu)
	}
	if text := b.log(s, "eu"); !strings.Contains(text, "deaf") {
		t.Errorf("log: %s", text)
	}
	b.wantNoConf(s)
}
