//go:build realsentry

package main

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// realUsers prints a silo's database and its content.
const realUsers = `
from sentry.runner import configure
configure()
from django.db import connection
cursor = connection.cursor()
cursor.execute("SELECT current_database(), (SELECT count(*) FROM auth_user WHERE username = 'resident'), (SELECT count(*) FROM django_migrations)")
name, users, migrations = cursor.fetchone()
print("\n%s %d %s" % (name, users, migrations > 100))
`

// realCreateUser creates a user in a silo's database.
const realCreateUser = `
from sentry.runner import configure
configure()
from sentry.models import User
User.objects.bulk_create([User(username="resident", email="resident@example.com")])  # no signals: some create objects of a region
`

// realSweep drops leftover databases, realMark sets a database's comment.
const (
	realSweep = `
import psycopg2, sys
settings = {"__file__": sys.argv[2]}
exec(compile(open(sys.argv[2]).read(), sys.argv[2], "exec"), settings)
d = settings["DATABASES"]["default"]
c = psycopg2.connect(host=d["HOST"], port=d["PORT"], user=d["USER"], password=d["PASSWORD"], dbname="postgres")
c.autocommit = True
k = c.cursor()
k.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (sys.argv[1].replace("_", "\\_") + "\\_%",))
for (name,) in k.fetchall():
    print(name)
    k.execute('DROP DATABASE "%s" WITH (FORCE)' % name)
`
	realMark = `
from sentry.runner import configure
configure()
import sys
from django.db import connection
connection.cursor().execute('COMMENT ON DATABASE "%s" IS %%s' % connection.settings_dict["NAME"], [sys.argv[1] or None])
`
)

// TestRealDatabases runs each release of TestRealSentry with per-silo databases, which
// takes several minutes. It leaves the configured Postgres unchanged.
func TestRealDatabases(t *testing.T) {
	installed, silo := realSentries(t), buildSilo(t)
	for _, its := range installed {
		t.Run(its.name, func(t *testing.T) {
			e := newEngineer(t, silo, its, "", []string{"--no-watchers"})
			if err := e.choice.Runnable(); err != nil {
				t.Skip(err)
			}
			e.databases("silo_test_" + strings.ToLower(rand.Text()[:8]))
		})
	}
}

// databases creates, migrates and drops three databases. The database base never exists.
func (e *engineer) databases(base string) {
	conf := filepath.Join(e.dir, "conf", "sentry.conf.py")
	e.original = append(e.original, "\nDATABASES['default']['NAME'] = '"+base+"'\n"...)
	topology, err := os.ReadFile(filepath.Join(e.dir, "silo.toml"))
	if err != nil {
		e.Fatal(err)
	}
	text := strings.Replace(string(topology), "[sentry]", "[sentry]\ndatabases = \"per-silo\"", 1)
	for name, data := range map[string]string{conf: string(e.original), filepath.Join(e.dir, "silo.toml"): text} {
		if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
			e.Fatal(err)
		}
	}
	e.Cleanup(func() { e.sweep(base) })
	names := map[string]string{"control": base + "_control", "us-west": base + "_us_west", "eu": base + "_eu"}

	e.doctor("fail  databases  no such database: " + base + "_control, " + base + "_us_west, " + base + "_eu")
	e.expect(1, "silo db create makes it", "db", "migrate")
	e.expect(0, base+"_us_west  created", "db", "create")
	e.expect(0, base+"_us_west  present", "db", "create", "us-west")
	e.expect(0, "no migration has run on "+base+"_control, "+base+"_us_west, "+base+"_eu", "up", "-d")
	e.run(0, "down")
	e.doctor("fail  databases  no migration has run on " + base + "_control, " + base + "_us_west, " + base + "_eu")
	e.interrupt()
	e.run(0, "db", "migrate")
	e.doctor("ok    databases  " + base + "_control, " + base + "_us_west, " + base + "_eu exist and are migrated")

	if output := e.expect(0, "", "up", "-d"); strings.Contains(output, "warning") {
		e.Errorf("output of up: %s", output)
	}
	e.answers(e.status().Silos[1], e.status().Silos[1].URL)
	e.python("control", realCreateUser)
	for silo, name := range names {
		want := name + " 0 True"
		if silo == "control" {
			want = name + " 1 True"
		}
		if got := e.python(silo, realUsers); !strings.HasSuffix(strings.TrimSpace(got), want) {
			e.Errorf("%s has %q, want %q", silo, got, want)
		}
	}
	e.expect(6, "hint: silo stop control us-west eu", "db", "drop", "--all", "--yes")
	e.run(0, "down")

	mark := "silo " + e.key()
	e.python("eu", realMark, "")
	e.expect(1, "eu: silo did not create the database "+base+"_eu", "db", "drop", "--all", "--yes")
	e.python("eu", realMark, "silo other-1 eu")
	e.expect(1, "eu: the database "+base+"_eu belongs to another instance", "db", "drop", "eu", "--yes")
	e.python("eu", realMark, mark+" eu")
	e.expect(2, "--yes drops "+base+"_control", "db", "drop", "--all")
	e.expect(0, base+"_eu       dropped", "db", "drop", "--all", "--yes")
	e.expect(0, base+"_eu       absent", "db", "drop", "--all", "--yes")
	if left := e.sweep(base); left != "" {
		e.Errorf("left: %s", left)
	}
}

// expect runs the program and checks its exit code and a part of its output.
func (e *engineer) expect(code int, words string, args ...string) string {
	e.Helper()
	started := time.Now()
	out, got, all := e.try("", args...)
	if all += out; got != code || !strings.Contains(all, words) {
		e.Fatalf("silo %s exited with %d, want %d and %q in the output:\n%s", strings.Join(args, " "), got, code, words, all)
	}
	e.Logf("silo %-24s %5.1f s", strings.Join(args, " "), time.Since(started).Seconds())
	return all
}

// doctor checks that the output of silo doctor contains the given words.
func (e *engineer) doctor(words string) {
	e.Helper()
	started := time.Now()
	if out, code, _ := e.try("", "doctor"); !strings.Contains(out, words) {
		e.Fatalf("silo doctor exited with %d without %q in the output:\n%s", code, words, out)
	}
	e.Logf("silo %-24s %5.1f s", "doctor", time.Since(started).Seconds())
}

// python runs a Python program in a silo's environment.
func (e *engineer) python(silo, program string, args ...string) string {
	e.Helper()
	out, code, all := e.try(program, append([]string{"run", silo, "--", "python", "-"}, args...)...)
	if code != 0 {
		e.Fatalf("in %s: exit %d\n%s", silo, code, all)
	}
	return out
}

// interrupt interrupts a migration.
func (e *engineer) interrupt() {
	e.Helper()
	c := exec.Command(e.silo, "db", "migrate", "eu")
	c.Dir, c.Env = e.dir, e.env
	if err := c.Start(); err != nil {
		e.Fatal(err)
	}
	log := filepath.Join(e.dir, "state", e.key(), "databases", "eu.log")
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if output, err := os.ReadFile(log); err == nil && strings.Count(string(output), "Applying") > 3 {
			break
		}
		if time.Now().After(end) {
			e.Fatal("no migration was applied")
		}
	}
	ran := e.tree(c.Process.Pid)
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		e.Fatal(err)
	}
	if err := c.Wait(); c.ProcessState.ExitCode() != 130 {
		e.Errorf("the interrupted migration returned %v", err)
	}
	for _, line := range e.left(ran) {
		e.Errorf("still running: %s", line)
	}
}

// key returns the key of the instance.
func (e *engineer) key() string {
	e.Helper()
	found, err := filepath.Glob(filepath.Join(e.dir, "state", "*", "databases"))
	if err != nil || len(found) != 1 {
		e.Fatalf("instances: %v, %v", found, err)
	}
	return filepath.Base(filepath.Dir(found[0]))
}

// sweep drops leftover databases and reports them.
func (e *engineer) sweep(base string) string {
	var python string
	for _, entry := range e.env {
		if path, ok := strings.CutPrefix(entry, "PATH="); ok {
			python = filepath.Join(filepath.SplitList(path)[0], "python")
		}
	}
	c := exec.Command(python, "-c", realSweep, base, filepath.Join(e.dir, "conf", "sentry.conf.py"))
	c.Env = e.env
	out, err := c.CombinedOutput()
	if err != nil {
		e.Errorf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}
