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
	"sync/atomic"
	"testing"

	"silo/orchestrator"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// python is a Sentry that migrates what it is given, says in whose environment, and
// does more where a file is named after the silo.
const python = `#!/bin/sh
here=$(dirname "$0")
printf 'Applying\n%s %s %s %s\n' "$SILO_DATABASE" "$SENTRY_SILO_MODE" "${SENTRY_REGION-unset}" "$*"
[ ! -e "$here/$SILO_NAME.sh" ] || . "$here/$SILO_NAME.sh"
`

// bed is an instance with a played Sentry: control, us-west and eu.
type bed struct {
	*testing.T
	dir string
	run Run
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{T: t, dir: t.TempDir(), run: func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		return says(argv, ""), nil
	}}
	b.file("bin/python3", python, 0o700)
	b.file("sentry.conf.py", "DEBUG = True\n", 0o600)
	return b
}

func (b *bed) file(name, text string, mode os.FileMode) {
	b.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		b.Fatal(err)
	}
}

// set is the databases of the named silos, or of all. Regions have an environment of
// their own each where apart.
func (b *bed) set(apart bool, names ...string) *Set {
	b.Helper()
	vars := map[string]string{"PATH": filepath.Join(b.dir, "bin") + ":" + os.Getenv("PATH"), "SILO_STATE_DIR": filepath.Join(b.dir, "state"), "HOME": b.dir}
	text := "version = 1\nname = \"acme\"\n[sentry]\ndatabases = \"per-silo\"\ndialect = \"dict\"\nconfig = \"sentry.conf.py\"\n" +
		"command = [\"python3\", \"-m\", \"sentry\", \"devserver\"]\n[control]\n"
	for i, name := range []string{"us-west", "eu"} {
		text += fmt.Sprintf("[region.%s]\nid = %d\n", name, i+1)
		if apart {
			text += fmt.Sprintf("env = {WHO = %q}\n", name)
		}
	}
	site := orchestrator.Site{Env: func(name string) (string, bool) { value, ok := vars[name]; return value, ok }}
	for name, value := range vars {
		site.Environ = append(site.Environ, name+"="+value)
	}
	t, err := topology.Parse(filepath.Join(b.dir, "silo.toml"), []byte(text), nil, site.Env)
	if err != nil {
		b.Fatal(err)
	}
	if site.Dir, err = state.For(site.Env, t.File); err != nil {
		b.Fatal(err)
	}
	choice, err := sentry.Choose(b.Context(), "dict", sentry.Finder{Env: site.Env})
	if err != nil {
		b.Fatal(err)
	}
	plan, err := orchestrator.NewPlan(t, choice, false, names)
	if err != nil {
		b.Fatal(err)
	}
	return Of(plan, site, b.run)
}

// locked is the databases of all silos, on which nobody else works.
func (b *bed) locked() *Set {
	b.Helper()
	s := b.set(false)
	release, err := s.Lock()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(release)
	return s
}

// task is what Sentry's Python is asked.
type task struct {
	Verb  string            `json:"verb"`
	Silos map[string]string `json:"silos"`
}

func asked(argv []string) task {
	var t task
	if err := json.Unmarshal([]byte(argv[3]), &t); err != nil {
		panic(err) // the argument is made a few lines away
	}
	return t
}

// says is an answer for each silo that is asked for: its database is there, silo's
// own and migrated, unless one of the lines says otherwise.
func says(argv []string, lines string) []byte {
	var out strings.Builder
	for silo, suffix := range asked(argv).Silos {
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

// in tells of databases as WORD=SILO.
func in(all []sentry.Database) string {
	var words []string
	for _, b := range all {
		words = append(words, b.Silo+"="+cmp.Or(b.Error, b.Result, b.Name))
	}
	return strings.Join(words, " ")
}

// TestOrder has control answer when all others have.
func TestOrder(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var others sync.WaitGroup
	others.Add(2)
	b.run = func(_ context.Context, argv []string, _ string, env []string) ([]byte, error) {
		if _, control := asked(argv).Silos["control"]; control {
			others.Wait()
		} else {
			defer others.Done()
			if !slices.ContainsFunc(env, func(entry string) bool { return strings.HasPrefix(entry, "WHO=") }) {
				t.Error("a region is asked in another one's environment")
			}
		}
		return says(argv, ""), nil
	}
	all, err := b.set(true).Look(t.Context())
	if got := in(all); err != nil || got != "control=acme_control us-west=acme_us_west eu=acme_eu" {
		t.Errorf("%s, %v", got, err)
	}
	b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		return says(argv, ""), nil
	}
	all, err = b.set(true, "eu", "control").Look(t.Context())
	if got := in(all); err != nil || got != "control=acme_control eu=acme_eu" {
		t.Errorf("%s, %v", got, err)
	}
}

// TestAskedOnce has one Python answer for silos that are configured alike.
func TestAskedOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	calls := 0
	b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		calls++
		return says(argv, ""), nil
	}
	if all, err := b.set(false).Create(t.Context()); err != nil || len(all) != 3 || calls != 1 {
		t.Errorf("%d databases by %d calls, %v", len(all), calls, err)
	}
}

func TestOneCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.run = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		if _, eu := asked(argv).Silos["eu"]; eu {
			return nil, errors.New("no more room")
		}
		return says(argv, ""), nil
	}
	if all, err := b.set(true).Look(t.Context()); all != nil || err == nil || !strings.Contains(err.Error(), "sentry.conf.py: no more room") {
		t.Errorf("%s, %v", in(all), err)
	}
	b.run = func(context.Context, []string, string, []string) ([]byte, error) { return nil, nil }
	if _, err := b.set(false).Look(t.Context()); err == nil || !strings.Contains(err.Error(), "answered for 0 of 3 silos") {
		t.Error(err)
	}
}

// TestCancelled wants the cause told, and not what the end of the context made fail.
func TestCancelled(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.run = func(ctx context.Context, _ []string, _ string, _ []string) ([]byte, error) {
		cancel()
		<-ctx.Done()
		return nil, errors.New("killed")
	}
	if _, err := b.set(true).Look(ctx); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "killed") {
		t.Error(err)
	}
}

func TestSideBySide(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 50} {
		done := make([]atomic.Int32, n)
		sideBySide(n, func(i int) { done[i].Add(1) })
		for i := range done {
			if times := done[i].Load(); times != 1 {
				t.Errorf("%d of %d was done %d times", i, n, times)
			}
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	b := newBed(t)
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

func TestLacking(t *testing.T) {
	t.Parallel()
	l := Lacking([]sentry.Database{
		{Name: "a", Exists: true, Migrated: true},
		{Name: "b"},
		{Name: "c", Exists: true},
		{Name: "d", Error: "refused"},
		{Name: "e", Error: "refused"},
	})
	if !slices.Equal(l.Missing, []string{"b"}) || !slices.Equal(l.Empty, []string{"c"}) || !slices.Equal(l.Unknown, []string{"refused"}) {
		t.Errorf("%+v", l)
	}
}
