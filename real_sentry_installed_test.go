//go:build realsentry

package main

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"silo/sentry"
)

// installedSentry is a real Sentry, and a configuration whose services run.
type installedSentry struct {
	name   string // of its tests
	venv   string
	conf   string // the directory with sentry.conf.py; it is copied and never changed
	choice sentry.Choice
}

// realSentries returns each RELEASE/venv in $REAL_SENTRY_DIR with RELEASE/conf, and the
// checkout $REAL_SENTRY_TREE. It skips the test if neither variable is set.
func realSentries(t *testing.T) []installedSentry {
	t.Helper()
	dir, tree := os.Getenv("REAL_SENTRY_DIR"), os.Getenv("REAL_SENTRY_TREE")
	if dir == "" && tree == "" {
		t.Skip("set REAL_SENTRY_DIR to a directory with RELEASE/venv and RELEASE/conf for each Sentry, or REAL_SENTRY_TREE to a checkout of Sentry")
	}
	var all []installedSentry
	if dir != "" {
		programs, err := filepath.Glob(filepath.Join(dir, "*", "venv", "bin", "sentry"))
		if err != nil || len(programs) == 0 {
			t.Fatalf("no RELEASE/venv/bin/sentry in %s", dir)
		}
		for _, program := range programs {
			venv := filepath.Dir(filepath.Dir(program))
			release := filepath.Base(filepath.Dir(venv))
			choice, err := sentry.Choose(t.Context(), release, sentry.Finder{})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, installedSentry{release, venv, filepath.Join(filepath.Dir(venv), "conf"), choice})
		}
	}
	if tree != "" {
		all = append(all, sentryTree(t, tree))
	}
	return all
}

// sentryTree returns a checkout with the virtual environment $REAL_SENTRY_VENV, by
// default .venv in it, and the configuration in $SENTRY_CONF, by default ~/.sentry.
func sentryTree(t *testing.T, root string) installedSentry {
	t.Helper()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Fatal(err)
	}
	s := installedSentry{
		name: "tree", venv: cmp.Or(os.Getenv("REAL_SENTRY_VENV"), ".venv"),
		conf: cmp.Or(os.Getenv("SENTRY_CONF"), filepath.Join(home, ".sentry")),
	}
	if !filepath.IsAbs(s.venv) {
		s.venv = filepath.Join(root, s.venv)
	}
	if filepath.Base(s.conf) == "sentry.conf.py" {
		s.conf = filepath.Dir(s.conf)
	}
	for _, file := range []string{filepath.Join(s.venv, "bin", "sentry"), filepath.Join(s.conf, "sentry.conf.py")} {
		if _, err := os.Stat(file); err != nil {
			t.Fatalf("%v: set REAL_SENTRY_VENV to the checkout's virtual environment, and SENTRY_CONF to the directory of its sentry.conf.py", err)
		}
	}
	command := []string{filepath.Join(s.venv, "bin", "sentry"), "devserver"}
	s.choice, err = sentry.Choose(t.Context(), "auto", sentry.Finder{Dir: t.TempDir(), Command: command, Env: os.LookupEnv})
	if err != nil || s.choice.Release == "" {
		t.Fatalf("%s is no Sentry that silo knows: %+v, %v", root, s.choice, err)
	}
	t.Logf("%s, dialect %s", s.choice.Found, s.choice.Dialect.Name)
	return s
}

// buildSilo builds the program.
func buildSilo(t *testing.T) string {
	t.Helper()
	silo := filepath.Join(t.TempDir(), "silo")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", silo, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return silo
}
