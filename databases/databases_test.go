package databases

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"silo/plan"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// python stands in for Sentry's Python. It prints its arguments and part of its
// environment, and sources SILO.sh next to it, if it exists.
const python = `#!/bin/sh
here=$(dirname "$0")
printf 'Applying\n%s %s %s %s\n' "$SILO_DATABASE" "$SENTRY_SILO_MODE" "${SENTRY_REGION-unset}" "$*"
[ ! -e "$here/$SILO_NAME.sh" ] || . "$here/$SILO_NAME.sh"
`

// fixture is an instance with a stand-in Sentry: control, us-west and eu.
type fixture struct {
	*testing.T
	dir     string
	dialect string
	run     Run
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	b := &fixture{T: t, dir: t.TempDir(), dialect: "dict", run: func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		return answer(argv, ""), nil
	}}
	b.file("bin/python3", python, 0o700)
	b.file("sentry.conf.py", "DEBUG = True\n", 0o600)
	return b
}

func (b *fixture) file(name, text string, mode os.FileMode) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		b.Fatal(err)
	}
}

// set returns the databases of the named silos, or of all. If separate is set, each region
// has its own environment.
func (b *fixture) set(separate bool, names ...string) *Set {
	b.Helper()
	vars := map[string]string{"PATH": filepath.Join(b.dir, "bin") + ":" + os.Getenv("PATH"), "SILO_STATE_DIR": filepath.Join(b.dir, "state"), "HOME": b.dir}
	text := "version = 1\nname = \"acme\"\n[sentry]\ndatabases = \"per-silo\"\ndialect = \"" + b.dialect + "\"\nconfig = \"sentry.conf.py\"\n" +
		"command = [\"python3\", \"-m\", \"sentry\", \"devserver\"]\n[control]\n"
	for i, name := range []string{"us-west", "eu"} {
		text += fmt.Sprintf("[region.%s]\nid = %d\n", name, i+1)
		if separate {
			text += fmt.Sprintf("env = {WHO = %q}\n", name)
		}
	}
	env := func(name string) (string, bool) { value, ok := vars[name]; return value, ok }
	var run plan.Run
	for name, value := range vars {
		run.Environ = append(run.Environ, name+"="+value)
	}
	t, err := topology.Parse(filepath.Join(b.dir, "silo.toml"), []byte(text), nil, env)
	if err != nil {
		b.Fatal(err)
	}
	dir, err := state.DirFor(env, t.File)
	if err != nil {
		b.Fatal(err)
	}
	run.Instance = dir.Key
	choice, err := sentry.Choose(b.Context(), b.dialect, sentry.Finder{Env: env})
	if err != nil {
		b.Fatal(err)
	}
	p, err := plan.New(t, choice, false, names)
	if err != nil {
		b.Fatal(err)
	}
	return New(p, dir, run, b.run)
}

// locked returns the databases of all silos, locked for the test.
func (b *fixture) locked() *Set {
	b.Helper()
	s := b.set(false)
	release, err := s.Lock()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(release)
	return s
}

// task is the argument of Sentry's Python.
type task struct {
	Verb  string            `json:"verb"`
	Silos map[string]string `json:"silos"`
}

func parseTask(argv []string) task {
	var t task
	if err := json.Unmarshal([]byte(argv[3]), &t); err != nil {
		panic(err) // DatabaseArgv marshals it
	}
	return t
}

// answer returns an answer for each silo in argv. Its database exists, was created by
// silo and is migrated, unless lines has another answer for the silo.
func answer(argv []string, lines string) []byte {
	var out strings.Builder
	for silo, suffix := range parseTask(argv).Silos {
		line := fmt.Sprintf(`{"silo": %q, "name": "acme_%s", "exists": true, "ours": true, "migrated": true, "upgrade": ["--noinput"]}`, silo, suffix)
		for other := range strings.Lines(lines) {
			if strings.Contains(other, `"`+silo+`"`) {
				line = strings.TrimSpace(other)
			}
		}
		out.WriteString(line + "\n")
	}
	return []byte(out.String())
}

// summary returns the databases as SILO=RESULT.
func summary(all []sentry.Database) string {
	var words []string
	for _, b := range all {
		words = append(words, b.Silo+"="+cmp.Or(b.Error, b.Result, b.Name))
	}
	return strings.Join(words, " ")
}

// In TestInspectKeepsOrder control answers last.
func TestInspectKeepsOrder(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	var others sync.WaitGroup
	others.Add(2)
	b.run = func(_ context.Context, argv []string, _ string, env []string) ([]byte, error) {
		if _, control := parseTask(argv).Silos["control"]; control {
			others.Wait()
		} else {
			defer others.Done()
			if !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "WHO=") }) {
				t.Error("a region was inspected in the environment of another silo")
			}
		}
		return answer(argv, ""), nil
	}
	all, err := b.set(true).Inspect(t.Context())
	if got := summary(all); err != nil || got != "control=acme_control us-west=acme_us_west eu=acme_eu" {
		t.Errorf("%s, %v", got, err)
	}
	b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		return answer(argv, ""), nil
	}
	all, err = b.set(true, "eu", "control").Inspect(t.Context())
	if got := summary(all); err != nil || got != "control=acme_control eu=acme_eu" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestEqualConfigurationsShareOneProcess(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	calls := 0
	b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		calls++
		return answer(argv, ""), nil
	}
	if all, err := b.set(false).Create(t.Context()); err != nil || len(all) != 3 || calls != 1 {
		t.Errorf("%d databases by %d calls, %v", len(all), calls, err)
	}
}

// Silos share a process only if their environment, directory and command are equal.
func TestGroups(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	for what, change := range map[string]func(*plan.Placed){
		"environment": func(s *plan.Placed) { s.Env = map[string]string{"A": "1"} },
		"directory":   func(s *plan.Placed) { s.Dir = b.dir + "/other" },
		"command":     func(s *plan.Placed) { s.Command = []string{"sentry", "devserver"} },
	} {
		s := b.set(false)
		change(&s.silos[1])
		if groups := s.groups(); len(groups) != 2 || len(groups[0]) != 2 || groups[1][0].Name != "us-west" {
			t.Errorf("a silo with another %s: %d groups", what, len(groups))
		}
	}
}

func TestInspectFails(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		if _, eu := parseTask(argv).Silos["eu"]; eu {
			return nil, errors.New("disk full")
		}
		return answer(argv, ""), nil
	}
	if all, err := b.set(true).Inspect(t.Context()); all != nil || err == nil || !strings.Contains(err.Error(), "sentry.conf.py: disk full") {
		t.Errorf("%s, %v", summary(all), err)
	}
	b.run = func(context.Context, []string, string, []string) ([]byte, error) { return nil, nil }
	if _, err := b.set(false).Inspect(t.Context()); err == nil || !strings.Contains(err.Error(), "answered for 0 of 3 silos") {
		t.Error(err)
	}
}

// TestInspectCancelled checks that the error is the context's cause, not that of the
// killed process.
func TestInspectCancelled(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.run = func(context.Context, []string, string, []string) ([]byte, error) {
		cancel()
		return nil, errors.New("killed")
	}
	if _, err := b.set(true).Inspect(ctx); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	b := newFixture(t)
	release, err := b.set(false).Lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.set(false, "eu").Lock(); !errors.Is(err, state.ErrDatabasesBusy) {
		t.Error(err)
	}
	release()
	again, err := b.set(false).Lock()
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestFindProblems(t *testing.T) {
	t.Parallel()
	p := FindProblems([]sentry.Database{
		{Name: "a", Exists: true, Migrated: true},
		{Name: "b"},
		{Name: "c", Exists: true},
		{Name: "d", Error: "refused"},
		{Name: "e", Error: "refused"},
	})
	if !slices.Equal(p.Missing, []string{"b"}) || !slices.Equal(p.Unmigrated, []string{"c"}) || !slices.Equal(p.Errors, []string{"refused"}) {
		t.Errorf("%+v", p)
	}
}

func TestOwnedByOther(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		database sentry.Database
		want     bool
	}{
		{sentry.Database{Owned: true, Comment: "silo acme-1 eu"}, false},
		{sentry.Database{Comment: "silo other-1 eu"}, true},
		{sentry.Database{Comment: "created by hand"}, false},
		{sentry.Database{}, false},
	} {
		if got := OwnedByOther(test.database); got != test.want {
			t.Errorf("%+v: %t", test.database, got)
		}
	}
}
