package plan

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"silo/sentry"
	"silo/topology"
)

const acme = `version = 1
name = "acme"
[sentry]
config = "/conf/sentry.conf.py"
[tunnels]
provider = "ngrok"
domain = "acme.ngrok.app"
[tunnels.ngrok]
metadata = "m"
[control]
port = 8000
[region.us]
id = 1
port = 8002
[region.eu]
id = 2
`

// parsePlan plans the topology acme with replaced texts.
func parsePlan(t *testing.T, replace ...string) Plan {
	t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(acme, replace[i]) {
			t.Fatalf("the topology does not contain %q", replace[i])
		}
	}
	env := func(name string) (string, bool) { return "/home/ada", name == "HOME" }
	topo, err := topology.Parse("/acme/silo.toml", []byte(strings.NewReplacer(replace...).Replace(acme)), nil, env)
	if err != nil {
		t.Fatal(err)
	}
	choice, err := sentry.Choose(t.Context(), "tuple-id", sentry.Finder{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(topo, choice, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// running returns a layout of acme with ports from 8000 on.
func running(t *testing.T) *Layout {
	t.Helper()
	l := &Layout{Plan: parsePlan(t)}
	for i, s := range l.Silos {
		l.Placed = append(l.Placed, s.At(8000+2*i))
	}
	return l
}

func TestCompareRefusesImmutableSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ old, changed, want string }{
		"name":       {`name = "acme"`, `name = "other"`, "name"},
		"config":     {"/conf/", "/other/", "sentry.config"},
		"managed":    {"id = 1", "id = 1\nmanaged = false", "managed of us"},
		"databases":  {"[sentry]", "[sentry]\ndatabases = \"per-silo\"", "sentry.databases"},
		"addresses":  {"[sentry]", "[sentry]\naddresses = \"public\"", "sentry.addresses"},
		"ngrok":      {`metadata = "m"`, `metadata = "n"`, "tunnels.ngrok"},
		"logs":       {"[control]", "[logs]\nkeep = 3\n[control]", "logs"},
		"domain":     {"id = 1", "id = 1\ndomain = \"us.example.com\"", "the tunnel of us"},
		"basic auth": {"id = 2", "id = 2\nbasic_auth = [\"ada:long-enough\"]", "the tunnel of eu"},
		"host":       {"id = 2", "id = 2\nhost_header = \"rewrite\"", "the tunnel of eu"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := running(t).Compare(parsePlan(t, test.old, test.changed))
			immutable, ok := errors.AsType[*ImmutableError](err)
			if !ok || !slices.Equal(immutable.Settings, []string{test.want}) {
				t.Errorf("got %v, want an ImmutableError for %s", err, test.want)
			}
		})
	}
	monolith := parsePlan(t)
	monolith.Monolith = true
	if _, err := running(t).Compare(monolith); err == nil || err.Error() != "the mode cannot be changed while the instance runs" {
		t.Errorf("another mode: %v", err)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		replace []string
		want    map[string]string // names by field
	}{
		"nothing":      {nil, map[string]string{"kept": "control us eu"}},
		"added":        {[]string{"[region.eu]", "[region.de]\nid = 3\n[region.eu]"}, map[string]string{"kept": "control us eu", "added": "de"}},
		"removed":      {[]string{"[region.eu]\nid = 2\n", ""}, map[string]string{"kept": "control us", "removed": "eu"}},
		"environment":  {[]string{"id = 2", "id = 2\nenv = { A = \"b\" }"}, map[string]string{"kept": "control us", "restarted": "eu"}},
		"shared env":   {[]string{"[sentry]", "[sentry]\nenv = { A = \"b\" }"}, map[string]string{"restarted": "control us eu"}},
		"command":      {[]string{"id = 1", "id = 1\ncommand = [\"sentry\", \"devserver\", \"--ingest\"]"}, map[string]string{"kept": "control eu", "restarted": "us"}},
		"directory":    {[]string{"id = 2", "id = 2\ndir = \"/other\""}, map[string]string{"kept": "control us", "restarted": "eu"}},
		"written port": {[]string{"id = 2", "id = 2\nport = 8004"}, map[string]string{"kept": "control us eu"}},
		"other port":   {[]string{"8002", "9002"}, map[string]string{"kept": "control eu", "restarted": "us"}},
		"watchers":     {[]string{"id = 2", "id = 2\nwatchers = false"}, map[string]string{"kept": "control us", "restarted": "eu"}},
		"id":           {[]string{"id = 2", "id = 7"}, map[string]string{"kept": "control us eu", "applied": "id of eu is 7 (was 2)"}},
		"stop":         {[]string{"id = 2", "id = 2\nstop = { grace = \"1s\" }"}, map[string]string{"kept": "control us eu", "applied": "stop of eu"}},
		"isolation":    {[]string{"[control]", "[isolation]\nregions = \"block\"\n[control]"}, map[string]string{"kept": "control us eu", "applied": "isolation.regions is block"}},
		"port of a removed silo": {
			[]string{"[region.us]\nid = 1\nport = 8002\n", "", "id = 2", "id = 2\nport = 8002"},
			map[string]string{"kept": "control", "removed": "us", "restarted": "eu", "first": "us"},
		},
		"exchanged ports": {
			[]string{"port = 8002", "port = 8004", "id = 2", "id = 2\nport = 8002"},
			map[string]string{"kept": "control", "restarted": "us eu", "first": "us eu"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := running(t).Compare(parsePlan(t, test.replace...))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for field, names := range map[string][]string{
				"added": c.Added, "removed": c.Removed, "restarted": c.Restarted, "kept": c.Kept, "applied": c.Applied, "first": c.StopFirst,
			} {
				if len(names) > 0 {
					got[field] = strings.Join(names, " ")
				}
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
			if c.Any() != (len(c.Added)+len(c.Removed)+len(c.Restarted) > 0) {
				t.Errorf("Any() = %v for %+v", c.Any(), c)
			}
		})
	}
}

// A silo without a written port keeps the one that it was given.
func TestCompareKeepsAssignedPort(t *testing.T) {
	t.Parallel()
	l := running(t)
	l.Placed[2].Port = 9999
	if c, err := l.Compare(parsePlan(t)); err != nil || len(c.Restarted) != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestKnownURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ provider, domain, url, want string }{
		{"local", "", "", "http://127.0.0.1:20001"},
		{"none", "", "", "http://127.0.0.1:8002"},
		{"external", "", "https://us.example.com", "https://us.example.com"},
		{"external", "us.example.com", "", "https://us.example.com"},
		{"ngrok", "us.ngrok.app", "", "https://us.ngrok.app"},
		{"ngrok", "", "", ""},
	} {
		p := Plan{Topology: &topology.Topology{Tunnels: topology.Tunnels{Provider: test.provider}}}
		s := Silo{Silo: topology.Silo{Name: "us", Domain: test.domain, URL: test.url}}
		got, err := p.KnownURL(s.At(8002), 20001)
		if got != test.want || errors.Is(err, ErrUnknownAddress) != (test.want == "") {
			t.Errorf("%+v: got %q, %v", test, got, err)
		}
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	p := parsePlan(t, "[sentry]", "[sentry]\ndatabases = \"per-silo\"")
	if got := p.Names(); !slices.Equal(got, []string{"control", "us", "eu"}) || !p.PerSilo() {
		t.Errorf("names %v, per silo %v", got, p.PerSilo())
	}
	monolith, err := New(p.Topology, p.Choice, true, nil)
	if err != nil || len(monolith.Silos) != 1 || monolith.PerSilo() || monolith.Silos[0].Mode != "MONOLITH" {
		t.Errorf("monolith: %+v, %v", monolith.Silos, err)
	}
	some, err := New(p.Topology, p.Choice, false, []string{"eu"})
	if err != nil || len(some.Silos) != 3 || !slices.Equal(some.WantedNames(), []string{"eu"}) {
		t.Errorf("only eu: %v, %v", some.WantedNames(), err)
	}
	_, err = New(p.Topology, p.Choice, false, []string{"us", "nosuch"})
	if err == nil || err.Error() != `unknown silo "nosuch" (have: control, us, eu)` {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	first, same, other := parsePlan(t), parsePlan(t, "[control]", "# a comment\n[control]"), parsePlan(t, "id = 2", "id = 3")
	same.Topology.Warnings = append(same.Topology.Warnings, topology.Problem{})
	if first.Fingerprint() != same.Fingerprint() {
		t.Error("a comment or a warning changes the fingerprint")
	}
	if first.Fingerprint() == other.Fingerprint() {
		t.Error("another topology has the same fingerprint")
	}
}

func TestEnviron(t *testing.T) {
	t.Parallel()
	l := running(t)
	l.Run = Run{ID: "r1", Instance: "acme-1", Environ: []string{"HOME=/home/ada", "NGROK_AUTHTOKEN=x"}, Color: true}
	env := l.Environ("us")
	for _, want := range []string{"SILO_RUN_ID=r1", "SILO_INSTANCE=acme-1", "SILO_NAME=us", "SENTRY_REGION=us", "FORCE_COLOR=1", "HOME=/home/ada", "SENTRY_DEVSERVER_BIND=127.0.0.1:8002"} {
		if !slices.Contains(env, want) {
			t.Errorf("no %s in %v", want, env)
		}
	}
	for _, decides := range []string{"FORCE_COLOR=0", "NO_COLOR=1"} {
		l.Run.Environ = []string{decides}
		if slices.Contains(l.Environ("us"), "FORCE_COLOR=1") {
			t.Errorf("%s is overridden", decides)
		}
	}
	l.Run.Environ = []string{"NO_COLOR="}
	if !slices.Contains(l.PartialEnviron(l.Run, l.Silos[1]), "FORCE_COLOR=1") {
		t.Error("an empty NO_COLOR counts")
	}
	if l.Environment("nosuch") != nil {
		t.Error("an unknown silo has an environment")
	}
}
