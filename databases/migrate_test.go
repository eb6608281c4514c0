package databases

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"silo/sentry"
)

// found are the databases as Look finds them.
func (b *bed) found(s *Set) []sentry.Database {
	b.Helper()
	all, err := s.Look(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// log is what a migration has left to read.
func (b *bed) log(s *Set, silo string) string {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(s.Dir().Databases(), silo+".log"))
	if err != nil {
		b.Error(err)
	}
	return string(text)
}

// cleared wants nothing left of what Sentry was configured by.
func (b *bed) cleared(s *Set) {
	b.Helper()
	if _, err := os.Stat(filepath.Join(s.Dir().Databases(), "conf")); !errors.Is(err, os.ErrNotExist) {
		b.Errorf("the configuration is left: %v", err)
	}
}

// TestMigrate has one of three fail: the others are migrated, and all that each has
// said is kept.
func TestMigrate(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.file("bin/us-west.sh", "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo step $i; done; printf '\\n\\n'; exit 3\n", 0o600)
	b.file("bin/eu.sh", `head -n 3 "$SENTRY_CONF/sentry.conf.py"`, 0o600)
	s := b.locked()
	m, err := s.Migrate(t.Context(), b.found(s), nil)
	if err != nil {
		t.Fatal(err)
	}
	all, err := m.Wait()
	log := filepath.Join(s.Dir().Databases(), "us-west.log")
	want := "control=migrated us-west=sentry upgrade: exit status 3 (all that it said is in " + log + ") eu=migrated"
	if got := in(all); err != nil || got != want {
		t.Errorf("%s, %v", got, err)
	}
	for silo, words := range map[string]string{
		"control": "control MONOLITH unset -m sentry upgrade --noinput\n",
		"us-west": "step 1\n", "eu": "eu MONOLITH unset -m sentry upgrade --noinput\n# Written by silo",
	} {
		if text := b.log(s, silo); !strings.HasPrefix(text, "Applying\n") || !strings.Contains(text, words) {
			t.Errorf("log of %s: %s", silo, text)
		}
	}
	b.cleared(s)
	now := m.Progress()
	for i, stage := range []Stage{Migrated, Failed, Migrated} {
		if p := now[i]; p.Stage != stage || p.Began.IsZero() || p.Took <= 0 || (len(p.Tail) > 0) != (stage == Failed) {
			t.Errorf("%+v is not %s", p, stage)
		}
	}
	if tail := now[1].Tail; len(tail) != 20 || tail[19] != "step 30" || now[1].Line != "step 30" {
		t.Errorf("last lines %q", tail)
	}
}

func TestMigrateWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.set(false)
	m, err := s.Migrate(t.Context(), []sentry.Database{{Silo: "us-west", Name: "acme_us_west"}, {Silo: "eu", Name: "acme_eu", Exists: true}}, nil)
	var missing *MissingError
	if m != nil || !errors.As(err, &missing) || !slices.Equal(missing.Names, []string{"acme_us_west"}) {
		t.Errorf("%v, %v", m, err)
	}
	b.cleared(s)
}

// TestMigrateWithoutConfiguration leaves nothing behind.
func TestMigrateWithoutConfiguration(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	s := b.locked()
	all := b.found(s)
	if err := os.Remove(filepath.Join(b.dir, "sentry.conf.py")); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Migrate(t.Context(), all, nil); !errors.Is(err, sentry.ErrMissing) {
		t.Error(err)
	}
	b.cleared(s)
}

// TestMigrateInterrupted ends migrations that do not heed a signal, since whoever asks
// has asked twice.
func TestMigrateInterrupted(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	began := filepath.Join(b.dir, "began")
	if err := syscall.Mkfifo(began, 0o600); err != nil {
		t.Fatal(err)
	}
	b.file("bin/eu.sh", "trap '' TERM; echo deaf; echo > "+began+"; while :; do sleep 600; done\n", 0o600)
	s := b.locked()
	ctx, cancel := context.WithCancel(t.Context())
	hurry := make(chan struct{})
	m, err := s.Migrate(ctx, b.found(s), hurry)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadFile(began); err != nil { // it blocks until eu is at work
		t.Error(err)
	}
	select {
	case <-m.Over():
		t.Error("over before its end")
	default:
	}
	if eu := m.Progress()[2]; eu.Stage != Migrating || eu.Took != 0 {
		t.Errorf("%+v", eu)
	}
	cancel()
	close(hurry)
	all, err := m.Wait()
	if !errors.Is(err, context.Canceled) || !strings.Contains(all[2].Error, "sentry upgrade: signal KILL") {
		t.Errorf("%s, %v", in(all), err)
	}
	if eu := m.Progress()[2]; eu.Stage != Stopped || eu.Tail != nil {
		t.Errorf("%+v", eu)
	}
	if text := b.log(s, "eu"); !strings.Contains(text, "deaf") {
		t.Errorf("log: %s", text)
	}
	b.cleared(s)
}
