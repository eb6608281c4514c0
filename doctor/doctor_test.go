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

// bed is a patient in a directory of its own: a Sentry of release 22.11.0 in a
// virtual environment, its configuration, and a topology.
type bed struct {
	Patient
	dir string
	env map[string]string
	t   *testing.T
}

// answered is what a Sentry says that is well.
const answered = `{"python": "3.8.18", "honcho": true, "seconds": 1.25, "node": "/bin/node",
 "databases": [{"name": "default", "kind": "postgres", "host": "127.0.0.1", "port": 5432, "database": "sentry", "user": "postgres", "version": "15.1", "migrated": true}],
 "redis": [{"name": "default", "kind": "redis", "host": "127.0.0.1", "port": 6379, "version": "7.0", "used": true}],
 "brokers": [{"name": "broker", "kind": "redis", "host": "127.0.0.1", "port": 6379}],
 "watchers": [{"name": "webpack", "program": "/sentry/node_modules/.bin/webpack", "there": true}]}`

// head begins the topologies of these tests.
const head = "version = 1\n[sentry]\ncommand = [\"venv/bin/sentry\", \"devserver\"]\nconfig = \"sentry.conf.py\"\n"

// tail ends them: no port that another program could want.
const tail = "[control]\nport = 0\n[region.us]\nid = 1\nport = 0\n"

func newBed(t *testing.T, text, says string) *bed {
	t.Helper()
	b := &bed{dir: t.TempDir(), t: t}
	b.env = map[string]string{"HOME": b.dir, "SILO_STATE_DIR": filepath.Join(b.dir, "state"), "USER": "ada", "PATH": "/bin:/usr/bin"}
	b.file("venv/bin/sentry", "#!"+filepath.Join(b.dir, "venv/bin/python3")+"\n", 0o755)
	b.file("venv/bin/python3", "#!/bin/sh\n", 0o755)
	b.file("venv/lib/python3.8/site-packages/sentry/types/region.py", "class Region:\n    name: str\n    id: int\n", 0o644)
	b.file("venv/lib/python3.8/site-packages/sentry-22.11.0.dist-info/METADATA", "", 0o644)
	b.file("sentry.conf.py", "DEBUG = True\n", 0o644)
	b.Patient = Patient{
		File: filepath.Join(b.dir, "silo.toml"), System: "linux", Home: b.dir,
		Env: func(name string) (string, bool) { v, ok := b.env[name]; return v, ok },
		Block: func(context.Context) (sentry.Block, error) {
			return sentry.Block{}, errors.New("addresses are not known yet")
		},
		Run: func(_ context.Context, argv []string, _ string, _ []string) ([]byte, error) {
			if argv[0] == "/bin/sh" {
				return []byte("4096\nunlimited\n"), nil
			}
			return []byte(says), nil
		},
	}
	for name, value := range b.env {
		b.Environ = append(b.Environ, name+"="+value)
	}
	b.topology(text)
	return b
}

func (b *bed) topology(text string) {
	b.t.Helper()
	b.Topology, b.Wrong = topology.Parse(b.File, []byte(text), nil, b.Env)
	var err error
	if b.Instance, err = state.For(b.Env, b.File); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) file(name, text string, mode os.FileMode) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), mode)); err != nil {
		b.t.Fatal(err)
	}
}

// examine is what the doctor says of one thing.
func (b *bed) examine(name string) Check {
	b.t.Helper()
	all := Examine(b.t.Context(), b.Patient, func(Check) {})
	i := slices.IndexFunc(all, func(c Check) bool { return c.Name == name })
	if i < 0 {
		b.t.Fatalf("no check is called %s", name)
	}
	return all[i]
}

// wants holds a check against a state and words of its facts and hints.
func wants(t *testing.T, c Check, s State, words ...string) {
	t.Helper()
	text := strings.Join(append(slices.Clone(c.Found), c.Hints...), "\n")
	if c.State != s {
		t.Errorf("%s is %s, not %s:\n%s", c.Name, c.State, s, text)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%s: no %q in:\n%s", c.Name, word, text)
		}
	}
	if bad := c.State == Fail || c.State == Warn; bad != (len(c.Hints) > 0) {
		t.Errorf("%s is %s, and its hints are %q", c.Name, c.State, c.Hints)
	}
}

func TestWell(t *testing.T) {
	t.Parallel()
	b := newBed(t, head+tail, answered)
	var told []string
	all := Examine(t.Context(), b.Patient, func(c Check) { told = append(told, c.Name) })
	if !slices.Equal(told, Names()) {
		t.Errorf("told of %v, not of %v in their order", told, Names())
	}
	for _, c := range all {
		if c.Name == "databases" {
			wants(t, c, Skip, "all silos share")
		} else {
			wants(t, c, OK)
		}
		if len(c.Found) == 0 {
			t.Errorf("%s has found nothing", c.Name)
		}
	}
	wants(t, b.examine("sentry"), OK, "22.11.0", "tuple-id", "id: int", "venv/bin/sentry")
	wants(t, b.examine("settings"), OK, "1.2 s", "Python 3.8.18")
}

func TestTopology(t *testing.T) {
	t.Parallel()
	b := newBed(t, "version = 1\n[region.us]\nid = 5000\n", answered)
	wants(t, b.examine("topology"), Fail, "silo.toml:3:6", "id")
	for _, c := range Examine(t.Context(), b.Patient, func(Check) {}) {
		if c.State == Fail && c.Name != "topology" {
			t.Errorf("%s fails for want of a topology: %q", c.Name, c.Found)
		}
	}
	b = newBed(t, head+tail, answered)
	b.File, b.Instance = "", nil
	wants(t, b.examine("topology"), Fail, "silo init")
	wants(t, b.examine("ports"), OK)
	wants(t, b.examine("config"), OK)
}

func TestSentry(t *testing.T) {
	t.Parallel()
	b := newBed(t, strings.Replace(head, "venv/bin/sentry", "sentry", 1)+tail, answered)
	wants(t, b.examine("sentry"), Fail, "source "+b.dir+"/venv/bin/activate", "sentry.command")
	wants(t, b.examine("command"), Skip)
	wants(t, b.examine("postgres"), Skip, "no Python")

	b = newBed(t, head+tail, answered)
	site := filepath.Join(b.dir, "venv/lib/python3.8/site-packages")
	if err := os.Rename(filepath.Join(site, "sentry-22.11.0.dist-info"), filepath.Join(site, "sentry-22.12.0.dist-info")); err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("sentry"), Fail, "22.12.0 cannot run as silos", "--mode monolith")

	b = newBed(t, strings.Replace(head, "venv/bin/sentry", "nosuch", 1)+"dialect = \"22.11.0\"\n"+tail, answered)
	wants(t, b.examine("sentry"), OK, "not Sentry's own command")
	wants(t, b.examine("command"), Fail, "nosuch", "command in silo.toml")
	wants(t, b.examine("redis"), Skip, "not Sentry's own command")

	b = newBed(t, head+"dir = \"gone\"\n"+tail, answered)
	wants(t, b.examine("command"), Fail, "gone", "dir in silo.toml")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	b := newBed(t, head+tail, answered)
	path := filepath.Join(b.dir, "sentry.conf.py")
	block, err := sentry.Render(sentry.Config{
		Instance: b.Topology.Name, File: b.File, Dialect: sentry.Dialects()[0], ControlURL: "http://127.0.0.1:1",
		Regions: []sentry.Region{{Name: "us", ID: 1, URL: "http://127.0.0.1:2", Category: "MULTI_TENANT"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("config"), OK, "no region config of silo's yet")
	if _, err := sentry.Write(t.Context(), path, block); err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("config"), OK, "not compared: addresses are not known yet")
	b.Block = func(context.Context) (sentry.Block, error) { return block, nil }
	wants(t, b.examine("config"), OK, "is in step")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b.file("sentry.conf.py", strings.Replace(string(text), "127.0.0.1:2", "127.0.0.1:3", 1), 0o644)
	wants(t, b.examine("config"), Warn, "out of step", "silo config write")
	b.file("sentry.conf.py", strings.Replace(string(text), "<<< silo <<<", "", 1), 0o644)
	wants(t, b.examine("config"), Fail, "marker")
	b.file("sentry.conf.py", string(text), 0o644)
	b.topology("name = \"else\"\n" + head + tail)
	wants(t, b.examine("config"), Warn, "another instance", "does not run", "silo up replaces it")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("config"), Fail, "is not there", "sentry init")
	wants(t, b.examine("settings"), Skip, "is not there")
	left, err := filepath.Glob(filepath.Join(b.dir, ".silo-doctor*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestConfigOfAnotherThatRuns holds a lock, as a supervisor does.
func TestConfigOfAnotherThatRuns(t *testing.T) {
	t.Parallel()
	b := newBed(t, head+tail, answered)
	path := filepath.Join(b.dir, "sentry.conf.py")
	other, err := state.For(b.Env, filepath.Join(b.dir, "other", "silo.toml"))
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
	wants(t, b.examine("config"), Fail, "another instance", "which runs", "silo -f "+other.Topology+" down")
	wants(t, b.examine("leftovers"), OK, "running: 1")
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("config"), Warn, "does not run")
	wants(t, b.examine("leftovers"), Warn, "was killed", "silo -f "+other.Topology+" down")
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	b := newBed(t, head+tail, answered)
	last := &state.Snapshot{SchemaVersion: state.SchemaVersion, File: b.File, State: state.InstanceReady, Silos: []state.Silo{}}
	if err := b.Instance.Save(last); err != nil {
		t.Fatal(err)
	}
	left, err := proc.Start(proc.Spec{Argv: []string{"sleep", "100"}, Env: append(os.Environ(), "SILO_SUPERVISED="+b.Instance.Mark())})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { left.Sweep(context.WithoutCancel(t.Context())) }()
	wants(t, b.examine("leftovers"), Warn, "sleep (pid "+strconv.Itoa(left.PID())+")", "silo down")
}

func TestPorts(t *testing.T) {
	t.Parallel()
	b := newBed(t, head+tail, answered)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	fixed := strings.Replace(tail, "port = 0", "port = "+port+"\nwatchers = false", 1)
	b.topology(head + fixed)
	wants(t, b.examine("ports"), Fail, "port "+port+" of control is taken by", "(pid "+strconv.Itoa(os.Getpid())+")", "change port of control", "any (us)")

	b.topology(strings.Replace(head, "[sentry]\n", "[sentry]\nmanaged = false\n", 1) + fixed)
	wants(t, b.examine("ports"), OK, "you start the devservers yourself")

	b.topology(head + tail)
	number, _ := strconv.Atoi(port)
	if err := b.Instance.SavePorts(map[string]int{"us": number}); err != nil {
		t.Fatal(err)
	}
	b.Topology.Regions[0].PortFixed = false
	wants(t, b.examine("ports"), Warn, "port "+port+" of us is taken by", "another one is taken instead")

	own := &state.Snapshot{SchemaVersion: state.SchemaVersion, File: b.File, State: state.InstanceReady, Silos: []state.Silo{{Name: "us", Port: number}}}
	if err := errors.Join(b.Instance.Acquire(t.Context()), b.Instance.Save(own)); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Instance.Release() }()
	wants(t, b.examine("ports"), OK, "this instance runs, and has it")
}

func TestTunnels(t *testing.T) {
	t.Parallel()
	ngrok := head + "[tunnels]\nprovider = \"ngrok\"\ndomain = \"acme.example.app\"\n"
	b := newBed(t, ngrok+tail, answered)
	wants(t, b.examine("tunnels"), Fail, "no ngrok authtoken")
	b.file(".config/ngrok/ngrok.yml", "authtoken: 2abcSecretToken\n", 0o600)
	got := b.examine("tunnels")
	wants(t, got, Warn, ".config/ngrok/ngrok.yml", "2 host names", "free plan")
	if strings.Contains(strings.Join(append(got.Found, got.Hints...), " "), "SecretToken") {
		t.Errorf("the token is told: %q", got.Found)
	}
	b.file(".config/ngrok/ngrok.yml", "authtoken: [2abcSecretToken\n", 0o600)
	wants(t, b.examine("tunnels"), Fail, "ngrok.yml", "ngrok config check")
	b.env["NGROK_AUTHTOKEN"] = "2abcSecretToken"
	more := "[region.eu]\nid = 2\nport = 0\n[region.de]\nid = 3\nport = 0\n"
	b.topology(ngrok + tail + more)
	wants(t, b.examine("tunnels"), Warn, "from NGROK_AUTHTOKEN", "4 endpoints")
	b.topology(ngrok + "[tunnels.ngrok]\nroot_cas = \"sentry.conf.py\"\n" + tail)
	wants(t, b.examine("tunnels"), Fail, "sentry.conf.py")
}

func TestState(t *testing.T) {
	t.Parallel()
	b := newBed(t, head+tail, answered)
	if err := os.MkdirAll(b.Instance.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("state"), OK, b.env["SILO_STATE_DIR"])
	if err := os.Chmod(b.Instance.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	wants(t, b.examine("state"), Warn, "mode 0755", "chmod 700")
	b.env["XDG_RUNTIME_DIR"] = filepath.Join(b.dir, "nowhere")
	wants(t, b.examine("state"), Warn, "nowhere", "unset XDG_RUNTIME_DIR")
	b.env["SILO_STATE_DIR"] = filepath.Join(b.dir, "sentry.conf.py", "below")
	wants(t, b.examine("state"), Fail, "nothing can be written")
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
		{"1024\n80\n", Warn, "hard limit"},
	} {
		b := newBed(t, head+tail, answered)
		b.Run = func(context.Context, []string, string, []string) ([]byte, error) { return []byte(test.printed), nil }
		b.System = "darwin" // this test's machine need not have a /proc
		wants(t, b.examine("system"), test.state, test.words)
	}
}
