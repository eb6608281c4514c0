package sentry

import (
	"slices"
	"strings"
	"testing"

	"silo/topology"
)

func values(all []Var) map[string]string {
	m := map[string]string{}
	for _, v := range all {
		m[v.Name] = v.Value
	}
	return m
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	base := []string{
		"PATH=/bin", "KEEP=base", "KEEP=again", "broken", "=odd", "SILO_FILE=x", "SILO_STATE_DIR=/s",
		"UWSGI_HTTP=1", "NGROK_AUTHTOKEN=t", "SENTRY_RUNNING_UWSGI=1", "SENTRY_USE_SILOS=1", "SENTRY_SILO_DEVSERVER=1",
		"SENTRY_BACKEND_PORT=1", "SENTRY_SKIP_BACKEND_VALIDATION=1", "SENTRY_SYSTEM_URL_PREFIX=x", "SENTRY_SYSTEM_BASE_HOSTNAME=x",
		"SENTRY_ORGANIZATION_BASE_HOSTNAME=x", "SENTRY_ORGANIZATION_URL_TEMPLATE=x", "SENTRY_REGION_API_URL_TEMPLATE=x",
		"SENTRY_REGION=other", "SILO_URL_OLD=x", "SILO_RPC_SECRET=old", "SILO_WORKERS=1", "SILO_DATABASE=old",
	}
	l := Launch{
		Mode: "CONTROL", Silo: topology.Silo{Name: "control", Command: []string{"sentry", "devserver"}, Env: map[string]string{
			"B": "silo", "SENTRY_REGION": "us", "SENTRY_LOCAL_CELL": "us", "SILO_URL_X": "mine", "UWSGI_WORKERS": "2",
		}},
		Port: 8000, ConfigPath: "/home/me/.sentry/sentry.conf.py", Instance: "i", RunID: "r", RPCSecret: "s1", SubnetSecret: "s2",
		URLs:      map[string]string{"SILO_URL_CONTROL": "http://c", "SILO_URL_US_WEST": "http://u"},
		SentryEnv: map[string]string{"A": "sentry", "B": "sentry", "SILO_NAME": "no", "SENTRY_SILO_MODE": "no", "SENTRY_CONF": "no", "SENTRY_DEVSERVER_BIND": "no"},
	}
	got := Environ(base, l, named(t, "tuple-id"))
	want := "A=sentry B=silo KEEP=again PATH=/bin PYTHONUNBUFFERED=1 SENTRY_CONF=/home/me/.sentry SENTRY_DEVSERVER_BIND=127.0.0.1:8000 " +
		"SENTRY_SILO_MODE=CONTROL SILO_FILE=x SILO_INSTANCE=i SILO_NAME=control SILO_RUN_ID=r SILO_STATE_DIR=/s " +
		"SILO_URL_CONTROL=http://c SILO_URL_US_WEST=http://u UWSGI_HONOUR_STDIN=1 UWSGI_THREADS=16 UWSGI_WORKERS=2"
	var words []string
	for _, v := range got {
		words = append(words, v.Name+"="+v.Value)
	}
	if have := strings.Join(words, " "); have != want {
		t.Errorf("got  %s\nwant %s", have, want)
	}
}

func TestEnvironOfARegion(t *testing.T) {
	t.Parallel()
	l := Launch{
		Mode: "REGION", Silo: topology.Silo{Name: "us-west", ID: 1, Command: []string{"sentry", "devserver", "--workers"}},
		Host: "127.0.0.2", Port: 8002, ConfigPath: "/c/mine.py", RPCSecret: "s1", SubnetSecret: "s2", Root: true, Database: "us_west",
	}
	all := Environ([]string{"PYTHONUNBUFFERED=", "SENTRY_DSN=http://user:pass@host/1", "GITHUB_TOKEN=x"}, l, named(t, "dict"))
	got := values(all)
	for name, want := range map[string]string{
		"SENTRY_SILO_MODE": "REGION", "SENTRY_REGION": "us-west", "SENTRY_DEVSERVER_BIND": "127.0.0.2:8002", "SENTRY_CONF": "/c/mine.py",
		"SILO_RPC_SECRET": "s1", "SILO_SUBNET_SECRET": "s2", "SILO_WORKERS": "1", "SILO_DATABASE": "us_west", "C_FORCE_ROOT": "1", "PYTHONUNBUFFERED": "",
	} {
		if value, ok := got[name]; !ok || value != want {
			t.Errorf("%s is %q (%v), want %q", name, value, ok, want)
		}
	}
	var hidden []string
	for _, v := range all {
		if v.Secret {
			hidden = append(hidden, v.Name)
		}
	}
	if want := []string{"GITHUB_TOKEN", "SENTRY_DSN", "SILO_RPC_SECRET", "SILO_SUBNET_SECRET"}; !slices.Equal(hidden, want) {
		t.Errorf("hidden: %q, want %q", hidden, want)
	}
	l.Mode = "MONOLITH"
	if mono := values(Environ(nil, l, named(t, "dict"))); mono["SENTRY_SILO_MODE"] != "MONOLITH" || mono["SENTRY_REGION"] != "" || mono["UWSGI_THREADS"] != "" {
		t.Error(mono)
	}
}

// The defaults of a dialect do not override other variables.
func TestEnvironKeepsUWSGIThreads(t *testing.T) {
	t.Parallel()
	l := Launch{Mode: "REGION", Silo: topology.Silo{Name: "us", ID: 1}, SentryEnv: map[string]string{"UWSGI_THREADS": "4"}}
	if got := values(Environ([]string{"UWSGI_THREADS=1"}, l, named(t, "dict")))["UWSGI_THREADS"]; got != "4" {
		t.Errorf("UWSGI_THREADS is %q", got)
	}
}

// A cell gets its name in the variables of its release.
func TestEnvironOfACell(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"cells-transition", "cells", "cells-strict"} {
		l := Launch{Mode: "REGION", Silo: topology.Silo{Name: "us", ID: 1}}
		got := values(Environ([]string{"SENTRY_LOCAL_CELL=eu"}, l, named(t, name)))
		if got["SENTRY_SILO_MODE"] != "CELL" || got["SENTRY_REGION"] != "us" || got["SENTRY_LOCAL_CELL"] != "us" {
			t.Errorf("%s: %v", name, got)
		}
		l.Mode, l.Silo = "CONTROL", topology.Silo{Name: "control"}
		got = values(Environ([]string{"SENTRY_LOCAL_CELL=eu"}, l, named(t, name)))
		if _, set := got["SENTRY_LOCAL_CELL"]; set || got["SENTRY_SILO_MODE"] != "CONTROL" {
			t.Errorf("%s: control has %v", name, got)
		}
	}
}

func TestArgv(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		command  string
		watchers bool
		want     string
		workers  bool
	}{
		{"sentry devserver", true, "sentry devserver", false},
		{"sentry devserver", false, "sentry devserver --no-watchers", false},
		{"sentry devserver --no-watchers", false, "sentry devserver --no-watchers", false},
		{"sentry devserver --no-watchers", true, "sentry devserver --no-watchers --watchers", false},
		{"sentry devserver --no-watchers --watchers", false, "sentry devserver --no-watchers --watchers --no-watchers", false},
		{"/venv/bin/sentry --config x devserver --workers", false, "/venv/bin/sentry --config x devserver --workers --no-watchers", true},
		{"python3 -m sentry devserver --ingest", false, "python3 -m sentry devserver --ingest --no-watchers", true},
		{"sentry devserver --workers --no-workers -- --workers", false, "sentry devserver --workers --no-workers --no-watchers -- --workers", false},
		{"silo devserver", false, "silo devserver", false},
		{"make devserver --workers", false, "make devserver --workers", false},
		{"sentry run web", false, "sentry run web", false},
		{"", false, "", false},
	} {
		command := strings.Fields(c.command)
		got := Argv(topology.Silo{Command: command, Watchers: c.watchers})
		if have := strings.Join(got, " "); have != c.want {
			t.Errorf("%q, watchers %v: %q, want %q", c.command, c.watchers, have, c.want)
		}
		if Workers(command) != c.workers {
			t.Errorf("%q: workers %v", c.command, !c.workers)
		}
		if strings.Join(command, " ") != c.command {
			t.Errorf("%q was changed", c.command)
		}
	}
}

func TestClassifyMode(t *testing.T) {
	t.Parallel()
	d := named(t, "tuple-id")
	for _, c := range []struct {
		got        []int
		mode       string
		conclusive bool
	}{
		{[]int{404, 401}, "CONTROL", true},
		{[]int{401, 404}, "REGION", true},
		{[]int{404, 403}, "CONTROL", true},
		{[]int{403, 404}, "REGION", true},
		{[]int{401, 401}, "MONOLITH", false},
		{[]int{403, 403}, "MONOLITH", false},
		{[]int{404, 404}, "", false},
		{[]int{200, 200}, "", false},
		{[]int{404, 500}, "", false},
		{[]int{404}, "", false},
		{nil, "", false},
	} {
		if mode, conclusive := d.ClassifyMode(c.got); mode != c.mode || conclusive != c.conclusive {
			t.Errorf("%v: %q, %v", c.got, mode, conclusive)
		}
	}
	if mode, conclusive := (Dialect{}).ClassifyMode(nil); mode != "" || conclusive {
		t.Error("a dialect without probes classified a mode")
	}
}

func TestHealthPort(t *testing.T) {
	t.Parallel()
	if HealthPort(topology.Silo{}, 8002) != 8002 || HealthPort(topology.Silo{Watchers: true}, 8002) != 8003 {
		t.Error("HealthPort must be the port, or port+1 with watchers")
	}
}

func TestReloads(t *testing.T) {
	t.Parallel()
	for command, want := range map[string]Reloading{
		"sentry devserver": ReloadsAlways,
		"/venv/bin/sentry devserver --workers 0.0.0.0:8000": ReloadsAlways,
		"python3 -m sentry devserver":                       ReloadsAlways,
		"poetry run sentry devserver --no-reload --reload":  ReloadsAlways,
		"silo devserver -- --no-reload":                     ReloadsAlways,
		"sentry --config /etc/sentry devserver":             ReloadsAlways,
		"sentry devserver --no-reload":                      ReloadsNever,
		"poetry run sentry devserver --no-reload":           ReloadsNever,
		"sh run.sh":       ReloadsUnknown,
		"rails devserver": ReloadsUnknown,
		"devserver":       ReloadsUnknown,
	} {
		if got := Reloads(strings.Fields(command)); got != want {
			t.Errorf("%s: got %v, want %v", command, got, want)
		}
	}
}
