package devserver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReload(t *testing.T) {
	t.Parallel()
	dir := conf(t, regionConfig("1", "2", "3"))
	s := ready(t, asControl(dir))
	pid := decode[self](t, s.get("/whoami").body).PID
	if strings.Contains(s.err.String(), "has been modified") {
		t.Errorf("reloaded without a change:\n%s", s.err)
	}
	rewrite(t, dir, regionConfig("1", "2", "4321"))
	s.reloaded()
	if got := s.get("/"); !strings.Contains(got.body, "http://127.0.0.1:4321") {
		t.Errorf("the change is not seen:\n%s", got.body)
	}
	if again := decode[self](t, s.get("/whoami").body).PID; again != pid {
		t.Errorf("pid %d became %d", pid, again)
	}
	s.err.wait(t, `^\[uwsgi-python-reloader\] module/file `+dir+`/sentry\.conf\.py has been modified$`)
	// Some editors remove the file before they write it again.
	if err := os.Remove(filepath.Join(dir, "sentry.conf.py")); err != nil {
		t.Fatal(err)
	}
	if got := s.get("/_health/"); got.status != 200 {
		t.Errorf("without the file: %d", got.status)
	}
	if n := strings.Count(s.err.String(), "has been modified"); n != 1 {
		t.Errorf("%d reloads, want 1", n)
	}
}

// TestBrokenReload replaces the file with one that the silo cannot load.
func TestBrokenReload(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"syntax":      "X = (\n",
		"category":    strings.ReplaceAll(regionConfig("1", "2", "3"), "MULTI", "MANY"),
		"region gone": strings.ReplaceAll(regionConfig("1", "2", "3"), "us-west", "us-east"),
		"no regions":  "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := conf(t, regionConfig("1", "2", "3"))
			s := ready(t, asRegion(dir, "us-west"))
			rewrite(t, dir, text)
			if got := status(s.end()); got != 22 {
				t.Errorf("status %d, want 22", got)
			}
			if got := lastLine(s.err.String()); got != "*** no app loaded. GAME OVER ***" {
				t.Errorf("last line: %s", got)
			}
		})
	}
}

func TestNoReload(t *testing.T) {
	t.Parallel()
	dir := conf(t, "")
	s := ready(t, environ{"SENTRY_CONF": dir}, "--no-reload")
	rewrite(t, dir, "X = (\n")
	if got := s.get("/_health/"); got.status != 200 {
		t.Errorf("status %d", got.status)
	}
}
