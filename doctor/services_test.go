package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestServices uses error messages of psycopg2 2.9 with Postgres 15 and of redis-py 3.4.
func TestServices(t *testing.T) {
	t.Parallel()
	const database = `"version": "15.1", "migrated": true}`
	for _, test := range []struct {
		name, old, now string // old is replaced with now in the answer
		check          string
		state          State
		words          []string
	}{
		{"database down", database, `"error": "OperationalError: connection to server at \"127.0.0.1\", port 5432 failed: Connection refused"}`, "postgres", Fail, []string{"connection refused", "sentry devservices up", `DATABASES["default"]`}},
		{"no database", database, `"error": "OperationalError: connection failed: FATAL: database \"sentry\" does not exist"}`, "postgres", Fail, []string{"createdb -h 127.0.0.1 -p 5432 -U postgres sentry", "venv/bin/sentry upgrade", "SENTRY_CONF="}},
		{"no role", database, `"error": "OperationalError: FATAL: role \"postgres\" does not exist"}`, "postgres", Fail, []string{"no user postgres", "createuser"}},
		{"password", database, `"error": "OperationalError: FATAL: password authentication failed for user \"postgres\""}`, "postgres", Fail, []string{"rejects user postgres", "PASSWORD"}},
		{"elsewhere", `"host": "127.0.0.1", "port": 5432, "database": "sentry", "user": "postgres", ` + database, `"host": "db.example.com", "port": 5432, "error": "OperationalError: timeout expired"}`, "postgres", Fail, []string{"no answer", "start Postgres at db.example.com:5432"}},
		{"not migrated", `"migrated": true`, `"migrated": false`, "postgres", Fail, []string{"no migration has run on database sentry", "upgrade"}},
		{"behind", `"migrated": true`, `"migrated": true, "behind": 2`, "postgres", Warn, []string{"2 migrations pending", "upgrade"}},
		{"sqlite", `"kind": "postgres"`, `"kind": "django.db.backends.sqlite3"`, "postgres", Skip, []string{"sqlite3"}},
		{"redis down", `"version": "7.0"`, `"error": "ConnectionError: Error 111 connecting to 127.0.0.1:6379. Connection refused."`, "redis", Fail, []string{"connection refused", "redis.clusters"}},
		{"redis password", `"version": "7.0"`, `"error": "AuthenticationError: WRONGPASS invalid username-password pair"`, "redis", Fail, []string{"rejects the password"}},
		{"unused cluster down", `"version": "7.0", "used": true`, `"error": "Connection refused"`, "redis", OK, []string{"no setting uses it"}},
		{"broker down", `"name": "broker",`, `"name": "broker", "error": "Connection refused",`, "redis", Warn, []string{"task queue", "BROKER_URL"}},
		{"settings", `{"python"`, `{"error": "NameError: name 'x' is not defined", "line": 7, "python"`, "settings", Fail, []string{"sentry.conf.py:7: NameError"}},
		{"settings elsewhere", `{"python"`, `{"error": "ImportError: x", "python"`, "settings", Fail, []string{"config list"}},
		{"behind settings", `{"python"`, `{"error": "x", "python"`, "redis", Skip, []string{"do not load"}},
		{"honcho", `"honcho": true`, `"honcho": false`, "watchers", Fail, []string{"pip install honcho"}},
		{"webpack", `"there": true`, `"there": false`, "watchers", Fail, []string{"webpack", "--no-watchers"}},
		{"node", `"node": "/bin/node"`, `"node": ""`, "watchers", Fail, []string{"needs node"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(answered, test.old) {
				t.Fatalf("no %s in the answer", test.old)
			}
			b := newFixture(t, head+tail, strings.Replace(answered, test.old, test.now, 1))
			wantCheck(t, b.check(test.check), test.state, test.words...)
		})
	}
}

func TestWorkersNeedTheQueue(t *testing.T) {
	t.Parallel()
	text := strings.Replace(head, `"devserver"`, `"devserver", "--no-watchers", "--workers"`, 1) + tail
	b := newFixture(t, text, strings.Replace(answered, `"name": "broker",`, `"name": "broker", "error": "Connection refused",`, 1))
	wantCheck(t, b.check("redis"), Fail, "task queue")
	wantCheck(t, b.check("watchers"), OK, "honcho")
}

func TestServicesFail(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	b.Exec = func(context.Context, []string, string, []string) ([]byte, error) {
		return nil, errors.New("exit status 1")
	}
	wantCheck(t, b.check("postgres"), Skip, "are unknown")
	wantCheck(t, b.check("settings"), Warn, "exit status 1")
	b = newFixture(t, head+tail, "no JSON")
	wantCheck(t, b.check("settings"), Warn, "parse the services")
	b = newFixture(t, strings.Replace(head, `"devserver"`, `"devserver", "--no-watchers"`, 1)+tail, answered)
	wantCheck(t, b.check("watchers"), Skip)
}

// TestServicesByText checks that Postgres and Redis are found in the text of the
// configuration if the settings cannot be loaded.
func TestServicesByText(t *testing.T) {
	t.Parallel()
	byText := strings.Replace(answered, `{"python"`, `{"text": true, "python"`, 1)
	const database = `"version": "15.1", "migrated": true}`
	b := newFixture(t, head+tail, strings.Replace(byText, `{"text"`, `{"unknown": "no function", "text"`, 1))
	wantCheck(t, b.check("settings"), Warn, "of this release: no function", "config list")
	wantCheck(t, b.check("postgres"), OK, "Postgres 15.1 at 127.0.0.1:5432", "from the text of "+b.dir)
	wantCheck(t, b.check("redis"), OK, "Redis 7.0", "from the text of "+b.dir)
	wantCheck(t, b.check("watchers"), Skip, "see the settings check")
	b = newFixture(t, head+tail, strings.Replace(strings.Replace(byText, `{"text"`, `{"error": "NameError: x", "line": 3, "text"`, 1), database, `"error": "Connection refused"}`, 1))
	wantCheck(t, b.check("settings"), Fail, "sentry.conf.py:3: NameError")
	wantCheck(t, b.check("postgres"), Fail, "connection refused", "from the text of")

	b = newFixture(t, head+tail, "")
	b.Exec = func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
		if argv[len(argv)-1] != "text" {
			return nil, fmt.Errorf("run: %w", context.DeadlineExceeded)
		}
		return []byte(strings.Replace(byText, database, `"error": "Connection refused"}`, 1)), nil
	}
	wantCheck(t, b.check("settings"), Warn, "did not load its settings within 9 s")
	wantCheck(t, b.check("postgres"), Fail, "connection refused", "devservices up")
	wantCheck(t, b.check("redis"), OK, "Redis 7.0")
}

// TestPerSilo checks that the database in the settings is not needed if each silo has its
// own.
func TestPerSilo(t *testing.T) {
	t.Parallel()
	b := newFixture(t, perSilo, answered)
	wantCheck(t, b.check("postgres"), OK, "has its own")
	b = newFixture(t, perSilo, strings.Replace(answered, `"version": "15.1", "migrated": true}`, `"error": "FATAL: database \"sentry\" does not exist"}`, 1))
	wantCheck(t, b.check("postgres"), OK, "silos use their own")
}
