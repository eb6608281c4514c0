package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// perSilo is a topology with one database for each silo.
var perSilo = strings.Replace(head, "[sentry]\n", "[sentry]\ndatabases = \"per-silo\"\n", 1) + tail

func TestDatabases(t *testing.T) {
	t.Parallel()
	const (
		control = `{"silo": "control", "name": "acme_control", "exists": true, "migrated": true}` + "\n"
		us      = `{"silo": "us", "name": "acme_us", "exists": true, "migrated": true}` + "\n"
		there   = `"exists": true, "migrated": true`
		fix     = "silo db create && silo db migrate"
	)
	down := strings.Replace(answered, `"version": "15.1", "migrated": true}`, `"error": "OperationalError: Connection refused"}`, 1)
	refused := strings.ReplaceAll(control+us, there, `"error": "Connection refused"`)
	for _, test := range []struct {
		name, services, answer string
		err                    error
		state                  State
		words                  []string
	}{
		{"well", answered, us + control, nil, OK, []string{"acme_control, acme_us exist and are migrated"}},
		{"none", answered, strings.ReplaceAll(control+us, "true", "false"), nil, Fail, []string{"no such database: acme_control, acme_us", fix}},
		{"one missing", answered, control + strings.ReplaceAll(us, "true", "false"), nil, Fail, []string{"no such database: acme_us", fix}},
		{"one empty", answered, control + strings.Replace(us, `"migrated": true`, `"migrated": false`, 1), nil, Fail, []string{"no migration has run on acme_us", "silo db migrate"}},
		{"no Postgres", answered, strings.ReplaceAll(control+us, there, `"error": "its ENGINE is sqlite"`), nil, Fail, []string{"its ENGINE is sqlite", "DATABASES in "}},
		{"Postgres down", down, refused, nil, Skip, []string{"see the sentry and postgres checks"}},
		{"an answer short", answered, control, nil, Warn, []string{"1 of 2 silos", "config list"}},
		{"no answer", answered, "", errors.New("exit status 1"), Warn, []string{"exit status 1", "config list"}},
		{"settings", strings.Replace(answered, `{"python"`, `{"error": "NameError", "python"`, 1), "", errors.New("exit status 1"), Skip, []string{"do not load"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newFixture(t, perSilo, test.services)
			run := b.Exec
			b.Exec = func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error) {
				if len(argv) == 4 { // python -c SCRIPT TASK, which inspects databases
					return []byte(test.answer), test.err
				}
				return run(ctx, argv, dir, env)
			}
			wantCheck(t, b.check("databases"), test.state, test.words...)
		})
	}
}

func TestDatabasesNotInspected(t *testing.T) {
	t.Parallel()
	const command = `["venv/bin/sentry", "devserver"]`
	b := newFixture(t, strings.Replace(perSilo, command, "[\"silo\", \"devserver\"]\ndialect = \"22.11.0\"", 1), answered)
	wantCheck(t, b.check("databases"), Skip, "stand-in")
	b = newFixture(t, strings.Replace(perSilo, "sentry.conf.py", "gone.py", 1), answered)
	wantCheck(t, b.check("databases"), Skip, "gone.py does not exist")
	b = newFixture(t, perSilo, answered)
	b.file("venv/bin/sentry", "#!/bin/sh\n", 0o755)
	wantCheck(t, b.check("databases"), Skip, "names no Python")
}
