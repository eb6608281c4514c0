package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// perSilo is a topology of which each silo has a database of its own.
var perSilo = strings.Replace(head, "[sentry]\n", "[sentry]\ndatabases = \"per-silo\"\n", 1) + tail

// TestDatabases holds what is said of silos' own databases against what Sentry's
// Python has found.
func TestDatabases(t *testing.T) {
	t.Parallel()
	const (
		control = `{"silo": "control", "name": "acme_control", "exists": true, "migrated": true}` + "\n"
		us      = `{"silo": "us", "name": "acme_us", "exists": true, "migrated": true}` + "\n"
		there   = `"exists": true, "migrated": true`
		mend    = "silo db create && silo db migrate"
	)
	down := strings.Replace(answered, `"version": "15.1", "migrated": true}`, `"error": "OperationalError: Connection refused"}`, 1)
	refused := strings.ReplaceAll(control+us, there, `"error": "Connection refused"`)
	for _, test := range []struct {
		name, services, says string
		err                  error
		state                State
		words                []string
	}{
		{"well", answered, us + control, nil, OK, []string{"acme_control, acme_us are there, migrated"}},
		{"none", answered, strings.ReplaceAll(control+us, "true", "false"), nil, Fail, []string{"no such database: acme_control, acme_us", mend}},
		{"one missing", answered, control + strings.ReplaceAll(us, "true", "false"), nil, Fail, []string{"no such database: acme_us", mend}},
		{"one empty", answered, control + strings.Replace(us, `"migrated": true`, `"migrated": false`, 1), nil, Fail, []string{"no migration has run on acme_us", "silo db migrate"}},
		{"no Postgres", answered, strings.ReplaceAll(control+us, there, `"error": "its ENGINE is sqlite"`), nil, Fail, []string{"its ENGINE is sqlite", "DATABASES in "}},
		{"Postgres down", down, refused, nil, Skip, []string{"127.0.0.1:5432 cannot be asked"}},
		{"an answer short", answered, control, nil, Warn, []string{"1 of 2 silos", "config list"}},
		{"no answer", answered, "", errors.New("exit status 1"), Warn, []string{"exit status 1", "config list"}},
		{"settings", strings.Replace(answered, `{"python"`, `{"error": "NameError", "python"`, 1), "", errors.New("exit status 1"), Skip, []string{"do not load"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBed(t, perSilo, test.services)
			run := b.Run
			b.Run = func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error) {
				if len(argv) == 4 { // python -c SCRIPT TASK, which asks for databases
					return []byte(test.says), test.err
				}
				return run(ctx, argv, dir, env)
			}
			wants(t, b.examine("databases"), test.state, test.words...)
		})
	}
}

func TestDatabasesCannotBeAsked(t *testing.T) {
	t.Parallel()
	const command = `["venv/bin/sentry", "devserver"]`
	b := newBed(t, strings.Replace(perSilo, command, "[\"silo\", \"devserver\"]\ndialect = \"22.11.0\"", 1), answered)
	wants(t, b.examine("databases"), Skip, "stand-in")
	b = newBed(t, strings.Replace(perSilo, "sentry.conf.py", "gone.py", 1), answered)
	wants(t, b.examine("databases"), Skip, "gone.py is not there")
	b = newBed(t, perSilo, answered)
	b.file("venv/bin/sentry", "#!/bin/sh\n", 0o755)
	wants(t, b.examine("databases"), Skip, "names no Python")
}
