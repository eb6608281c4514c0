package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"silo/proc"
)

// TestRealSentry needs installations of Sentry, with Postgres and Redis running.
func TestRealSentry(t *testing.T) {
	t.Parallel()
	root := os.Getenv("REAL_SENTRY_DIR")
	if root == "" {
		t.Skip("REAL_SENTRY_DIR names no directory of installed Sentrys (RELEASE/venv, RELEASE/conf)")
	}
	confs, err := filepath.Glob(filepath.Join(root, "*", "conf"))
	if err != nil || len(confs) == 0 {
		t.Fatal("no RELEASE/conf below REAL_SENTRY_DIR", err)
	}
	for _, conf := range confs {
		home := filepath.Dir(conf)
		t.Run(filepath.Base(home), func(t *testing.T) {
			text := fmt.Sprintf("version = 1\n[sentry]\ncommand = [%q, \"devserver\", \"--no-watchers\"]\nconfig = \"conf/sentry.conf.py\"\n", filepath.Join(home, "venv/bin/sentry"))
			b := newFixture(t, text+tail, "")
			b.Exec = proc.Output
			if err := os.CopyFS(filepath.Join(b.dir, "conf"), os.DirFS(conf)); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"sentry", "settings", "postgres", "redis"} {
				if name == "sentry" && filepath.Base(home) == "22.12.0" {
					continue // it cannot run as silos
				}
				wantCheck(t, b.check(name), OK)
			}
			whole, err := os.ReadFile(filepath.Join(conf, "sentry.conf.py"))
			if err != nil {
				t.Fatal(err)
			}
			for line, words := range map[string]string{
				"DATABASES['default']['PORT'] = '1'":                "connection refused",
				"DATABASES['default']['NAME'] = 'no_such_database'": "createdb",
				"DATABASES['default']['HOST'] = 'no-such.invalid'":  "unknown host",
				"DATABASES['default']['USER'] = 'no_such_user'":     "no user no_such_user",
				"DATABASES['default']['NAME'] = 'template1'":        "no migration has run on",
			} {
				b.file("conf/sentry.conf.py", string(whole)+line+"\n", 0o644)
				wantCheck(t, b.check("postgres"), Fail, words)
			}
			b.file("conf/sentry.conf.py", string(whole)+"SENTRY_OPTIONS['redis.clusters'] = {'default': {'hosts': {0: {'port': 1}}}}\n", 0o644)
			b.file("conf/config.yml", "", 0o644)
			wantCheck(t, b.check("redis"), Fail, "connection refused")
		})
	}
}
