package doctor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// fixture is a Target in a temporary directory: Sentry 22.11.0 in a virtual
// environment, its configuration, and a topology.
type fixture struct {
	Target
	dir string
	env map[string]string
	t   *testing.T
}

// answered is the answer of a Sentry without problems.
const answered = `{"python": "3.8.18", "honcho": true, "seconds": 1.25, "node": "/bin/node",
 "databases": [{"name": "default", "kind": "postgres", "host": "127.0.0.1", "port": 5432, "database": "sentry", "user": "postgres", "version": "15.1", "migrated": true}],
 "redis": [{"name": "default", "kind": "redis", "host": "127.0.0.1", "port": 6379, "version": "7.0", "used": true}],
 "brokers": [{"name": "broker", "kind": "redis", "host": "127.0.0.1", "port": 6379}],
 "watchers": [{"name": "webpack", "program": "/sentry/node_modules/.bin/webpack", "there": true}]}`

// head is the start of the topologies of these tests.
const head = "version = 1\n[sentry]\ncommand = [\"venv/bin/sentry\", \"devserver\"]\nconfig = \"sentry.conf.py\"\n"

// tail is the end of those topologies, without fixed ports.
const tail = "[control]\nport = 0\n[region.us]\nid = 1\nport = 0\n"

func newFixture(t *testing.T, text, answer string) *fixture {
	t.Helper()
	b := &fixture{dir: t.TempDir(), t: t}
	b.env = map[string]string{"HOME": b.dir, "SILO_STATE_DIR": filepath.Join(b.dir, "state"), "USER": "ada", "PATH": "/bin:/usr/bin"}
	b.file("venv/bin/sentry", "#!"+filepath.Join(b.dir, "venv/bin/python3")+"\n", 0o755)
	b.file("venv/bin/python3", "#!/bin/sh\n", 0o755)
	b.file("venv/lib/python3.8/site-packages/sentry/types/region.py", "class Region:\n    name: str\n    id: int\n", 0o644)
	b.file("venv/lib/python3.8/site-packages/sentry-22.11.0.dist-info/METADATA", "", 0o644)
	b.file("sentry.conf.py", "DEBUG = True\n", 0o644)
	b.Target = Target{
		File: filepath.Join(b.dir, "silo.toml"), Home: b.dir,
		Env: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok },
		Block: func(context.Context) (sentry.Block, error) {
			return sentry.Block{}, errors.New("addresses are not known yet")
		},
		Exec: func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
			if argv[0] == "/bin/sh" {
				return []byte("4096\nunlimited\n"), nil
			}
			return []byte(answer), nil
		},
	}
	for name, value := range b.env {
		b.Environ = append(b.Environ, name+"="+value)
	}
	b.topology(text)
	return b
}

func (b *fixture) topology(text string) {
	b.t.Helper()
	b.Topology, b.TopologyErr = topology.Parse(b.File, []byte(text), nil, b.Env)
	var err error
	if b.Instance, err = state.DirFor(b.Env, b.File); err != nil {
		b.t.Fatal(err)
	}
}

func (b *fixture) file(name, text string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		b.t.Fatal(err)
	}
}

// check returns the result of one check.
func (b *fixture) check(name string) Check {
	b.t.Helper()
	all := Run(b.t.Context(), b.Target, func(Check) {})
	i := slices.IndexFunc(all, func(c Check) bool { return c.Name == name })
	if i < 0 {
		b.t.Fatalf("no check %s", name)
	}
	return all[i]
}

// wantCheck fails the test unless the check has the state, and its facts and hints
// contain the words.
func wantCheck(t *testing.T, c Check, s State, words ...string) {
	t.Helper()
	text := strings.Join(append(slices.Clone(c.Found), c.Hints...), "\n")
	if c.State != s {
		t.Errorf("%s: got %s, want %s:\n%s", c.Name, c.State, s, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: no %q in:\n%s", c.Name, word, text)
		}
	}
	if bad := c.State == Fail || c.State == Warn; bad != (len(c.Hints) > 0) {
		t.Errorf("%s: got state %s with hints %q", c.Name, c.State, c.Hints)
	}
}

func TestNoProblems(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	var reported []string
	all := Run(t.Context(), b.Target, func(c Check) { reported = append(reported, c.Name) })
	if !slices.Equal(reported, Names()) {
		t.Errorf("reported %v, want %v", reported, Names())
	}
	for _, c := range all {
		switch c.Name {
		case "databases":
			wantCheck(t, c, Skip, "all silos share")
		case "devservices":
			wantCheck(t, c, Skip, "not in a checkout")
		default:
			wantCheck(t, c, OK)
		}
		if len(c.Found) == 0 {
			t.Errorf("%s reported no fact", c.Name)
		}
	}
	wantCheck(t, b.check("sentry"), OK, "22.11.0", "tuple-id", "id: int", "venv/bin/sentry")
	wantCheck(t, b.check("settings"), OK, "1.2 s", "Python 3.8.18")
}

func TestTopology(t *testing.T) {
	t.Parallel()
	b := newFixture(t, "version = 1\n[region.us]\nid = 5000\n", answered)
	wantCheck(t, b.check("topology"), Fail, "silo.toml:3:6", "id")
	for _, c := range Run(t.Context(), b.Target, func(Check) {}) {
		if c.State == Fail && c.Name != "topology" {
			t.Errorf("%s fails without a topology: %q", c.Name, c.Found)
		}
	}
	b = newFixture(t, head+tail, answered)
	b.File, b.Instance = "", nil
	wantCheck(t, b.check("topology"), Fail, "silo init")
	wantCheck(t, b.check("ports"), OK)
	wantCheck(t, b.check("config"), OK)
}

func TestSentry(t *testing.T) {
	t.Parallel()
	b := newFixture(t, strings.Replace(head, "venv/bin/sentry", "sentry", 1)+tail, answered)
	wantCheck(t, b.check("sentry"), Fail, "source "+b.dir+"/venv/bin/activate", "sentry.command")
	wantCheck(t, b.check("command"), Skip)
	wantCheck(t, b.check("postgres"), Skip, "Sentry's Python was not found")

	b = newFixture(t, head+tail, answered)
	site := filepath.Join(b.dir, "venv/lib/python3.8/site-packages")
	if err := os.Rename(filepath.Join(site, "sentry-22.11.0.dist-info"), filepath.Join(site, "sentry-22.12.0.dist-info")); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("sentry"), Fail, "22.12.0 cannot run as silos", "--mode monolith")

	b = newFixture(t, strings.Replace(head, "venv/bin/sentry", "nosuch", 1)+"dialect = \"22.11.0\"\n"+tail, answered)
	wantCheck(t, b.check("sentry"), OK, "not Sentry's own command")
	wantCheck(t, b.check("command"), Fail, "nosuch", "command in silo.toml")
	wantCheck(t, b.check("redis"), Skip, "not Sentry's own command")

	b = newFixture(t, head+"dir = \"gone\"\n"+tail, answered)
	wantCheck(t, b.check("command"), Fail, "gone", "dir in silo.toml")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	path := filepath.Join(b.dir, "sentry.conf.py")
	block, err := sentry.Render(sentry.Config{
		Instance: b.Topology.Name, File: b.File, Dialect: sentry.Dialects()[0], ControlURL: "http://127.0.0.1:1",
		Regions: []sentry.Region{{Name: "us", ID: 1, URL: "http://127.0.0.1:2", Category: "MULTI_TENANT"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("config"), OK, "no region config yet")
	if _, err := sentry.Write(t.Context(), path, block); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("config"), OK, "not compared: addresses are not known yet")
	b.Block = func(context.Context) (sentry.Block, error) { return block, nil }
	wantCheck(t, b.check("config"), OK, "is in step")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b.file("sentry.conf.py", strings.Replace(string(text), "127.0.0.1:2", "127.0.0.1:3", 1), 0o644)
	wantCheck(t, b.check("config"), Warn, "out of step", "silo config write")
	b.file("sentry.conf.py", strings.Replace(string(text), "<<< silo <<<", "", 1), 0o644)
	wantCheck(t, b.check("config"), Fail, "marker")
	b.file("sentry.conf.py", string(text), 0o644)
	b.topology("name = \"else\"\n" + head + tail)
	wantCheck(t, b.check("config"), Warn, "another instance", "does not run", "silo up, which replaces it")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("config"), Fail, "does not exist", "sentry init "+b.dir)
	wantCheck(t, b.check("settings"), Skip, "does not exist")
	left, err := filepath.Glob(filepath.Join(b.dir, ".silo-doctor*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestConfigOfAnotherRunningInstance(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	path := filepath.Join(b.dir, "sentry.conf.py")
	other, err := state.DirFor(b.Env, filepath.Join(b.dir, "other", "silo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	block, err := sentry.Render(sentry.Config{
		Instance: "other", File: other.Topology, Dialect: sentry.Dialects()[0], ControlURL: "http://127.0.0.1:1",
		Regions: []sentry.Region{{Name: "us", ID: 1, URL: "http://127.0.0.1:2", Category: "MULTI_TENANT"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sentry.Write(t.Context(), path, block)
	last := &state.Snapshot{SchemaVersion: state.SchemaVersion, Name: "other", File: other.Topology, State: state.InstanceReady, Silos: []state.Silo{}}
	last.Config.Path = path
	if err := errors.Join(err, other.Acquire(t.Context()), other.Save(last)); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("config"), Fail, "another instance", "which runs", "silo -f "+other.Topology+" down")
	wantCheck(t, b.check("leftovers"), OK, "1 running")
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("config"), Warn, "does not run")
	wantCheck(t, b.check("leftovers"), Warn, "was killed", "silo -f "+other.Topology+" down")
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	last := &state.Snapshot{SchemaVersion: state.SchemaVersion, File: b.File, State: state.InstanceReady, Silos: []state.Silo{}}
	if err := b.Instance.Save(last); err != nil {
		t.Fatal(err)
	}
	left, err := proc.Start(proc.Spec{Argv: []string{"sleep", "100"}, Env: append(os.Environ(), "SILO_SUPERVISED="+b.Instance.Marker())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { left.Sweep(context.WithoutCancel(t.Context())) }()
	wantCheck(t, b.check("leftovers"), Warn, "sleep (pid "+strconv.Itoa(left.PID())+")", "silo down")
}

func TestPorts(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	fixed := strings.Replace(tail, "port = 0", "port = "+port+"\nwatchers = false", 1)
	b.topology(head + fixed)
	wantCheck(t, b.check("ports"), Fail, "port "+port+" of control is taken by", "(pid "+strconv.Itoa(os.Getpid())+")", "change port of control", "any (us)")

	b.topology(strings.Replace(head, "[sentry]\n", "[sentry]\nmanaged = false\n", 1) + fixed)
	wantCheck(t, b.check("ports"), OK, "you start the devserver yourself")

	b.topology(head + tail)
	number, _ := strconv.Atoi(port)
	if err := b.Instance.SavePorts(map[string]int{"us": number}); err != nil {
		t.Fatal(err)
	}
	b.Topology.Regions[0].PortFixed = false
	wantCheck(t, b.check("ports"), Warn, "port "+port+" of us is taken by", "silo will choose another one")

	own := &state.Snapshot{SchemaVersion: state.SchemaVersion, File: b.File, State: state.InstanceReady, Silos: []state.Silo{{Name: "us", Port: number}}}
	if err := errors.Join(b.Instance.Acquire(t.Context()), b.Instance.Save(own)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Instance.Release() }()
	wantCheck(t, b.check("ports"), OK, "used by this instance, which runs")
}

func TestTunnels(t *testing.T) {
	t.Parallel()
	ngrok := head + "[tunnels]\nprovider = \"ngrok\"\ndomain = \"acme.example.app\"\n"
	b := newFixture(t, ngrok+tail, answered)
	wantCheck(t, b.check("tunnels"), Fail, "no ngrok authtoken")
	b.file(".config/ngrok/ngrok.yml", "authtoken: 2abcSecretToken\n", 0o600)
	got := b.check("tunnels")
	wantCheck(t, got, Warn, ".config/ngrok/ngrok.yml", "2 host names", "free plan")
	if strings.Contains(strings.Join(append(got.Found, got.Hints...), " "), "SecretToken") {
		t.Errorf("the token is shown: %q", got.Found)
	}
	b.file(".config/ngrok/ngrok.yml", "authtoken: [2abcSecretToken\n", 0o600)
	wantCheck(t, b.check("tunnels"), Fail, "ngrok.yml", "ngrok config check")
	b.env["NGROK_AUTHTOKEN"] = "2abcSecretToken"
	more := "[region.eu]\nid = 2\nport = 0\n[region.de]\nid = 3\nport = 0\n"
	b.topology(ngrok + tail + more)
	wantCheck(t, b.check("tunnels"), Warn, "from NGROK_AUTHTOKEN", "4 endpoints")
	b.topology(ngrok + "[tunnels.ngrok]\nroot_cas = \"sentry.conf.py\"\n" + tail)
	wantCheck(t, b.check("tunnels"), Fail, "sentry.conf.py")
}

func TestState(t *testing.T) {
	t.Parallel()
	b := newFixture(t, head+tail, answered)
	if err := os.MkdirAll(b.Instance.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("state"), OK, b.env["SILO_STATE_DIR"])
	if err := os.Chmod(b.Instance.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	wantCheck(t, b.check("state"), Warn, "mode 0755", "chmod 700")
	b.env["XDG_RUNTIME_DIR"] = filepath.Join(b.dir, "nowhere")
	wantCheck(t, b.check("state"), Warn, "nowhere", "unset XDG_RUNTIME_DIR")
	b.env["SILO_STATE_DIR"] = filepath.Join(b.dir, "sentry.conf.py", "below")
	wantCheck(t, b.check("state"), Fail, "cannot write to")
}

func TestSystem(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		printed string
		state   State
		words   string
	}{
		{"1024\n4096\n", OK, "1024 open files"},
		{"unlimited\nunlimited\n", OK, "unlimited"},
		{"256\nunlimited\n", Warn, "ulimit -n 4096"},
		{"1024\n80\n", Warn, "ulimit -Hn"},
	} {
		b := newFixture(t, head+tail, answered)
		b.Exec = func(context.Context, []string, string, []string) ([]byte, error) { return []byte(test.printed), nil }
		wantCheck(t, b.check("system"), test.state, test.words)
	}
}
