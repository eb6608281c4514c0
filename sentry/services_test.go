package sentry

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestFailure(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Failure{
		"": "",
		`OperationalError: connection to server at "127.0.0.1", port 1 failed: Connection refused Is the server running`: Refused,
		`OperationalError: could not connect: No such file or directory Is the server running locally`:                   Refused,
		`OperationalError: FATAL: database "sentry" does not exist`:                                                      NoDatabase,
		`OperationalError: FATAL: database "other" does not exist`:                                                       OtherFailure,
		`OperationalError: FATAL: role "ada" does not exist`:                                                             NoRole,
		`OperationalError: FATAL: password authentication failed for user "ada"`:                                         Unauthorized,
		`OperationalError: fe_sendauth: no password supplied`:                                                            Unauthorized,
		`OperationalError: could not translate host name "x" to address: Name or service not known`:                      Unresolved,
		`ConnectionError: Error -3 connecting to x:6379. Temporary failure in name resolution.`:                          Unresolved,
		`OperationalError: timeout expired`:                                                                              TimedOut,
		`TimeoutError: Timeout connecting to server`:                                                                     TimedOut,
		`ResponseError: NOAUTH Authentication required.`:                                                                 Unauthorized,
		`ConnectionError: Error 111 connecting to 127.0.0.1:1. Connection refused.`:                                      Refused,
		`ValueError: something else`:                                                                                     OtherFailure,
	} {
		if got := (Service{Database: "sentry", User: "ada", Error: text}).Failure(); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestServicesUp(t *testing.T) {
	t.Parallel()
	for release, want := range map[string]string{"22.11.0": "sentry devservices up", "24.11.2": "sentry devservices up", "24.12.0": "devservices up", "26.6.0": "devservices up", "": "sentry devservices up"} {
		if got := (Choice{Release: release, Dialect: Dialects()[0]}).ServicesUp(t.TempDir()); got != want {
			t.Errorf("%q: got %q, want %q", release, got, want)
		}
	}
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"src/sentry/conf/server.py": "", "devservices/config.yml": ""})
	if got := (Choice{Release: "24.9.0"}).ServicesUp(dir); got != "devservices up" {
		t.Errorf("in a checkout that has them: got %q", got)
	}
}

func TestPython(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := func(string) (string, bool) { return "", false }
	writeTree(t, dir, map[string]string{"bin/sentry*": "#!" + dir + "/bin/python3.8\n", "bin/python3.8*": "", "bin/wrapped/sentry*": "#!/bin/sh\n"})
	for _, test := range []struct {
		command  string
		ofSentry bool
		want     string
	}{
		{"bin/sentry devserver", true, dir + "/bin/python3.8"},
		{"bin/python3.8 -m sentry devserver", true, dir + "/bin/python3.8"},
		{"bin/wrapped/sentry devserver", true, ""},
		{"bin/gone/sentry devserver", true, ""},
		{"bin/python3.8 -m http.server", false, ""},
		{"silo devserver", false, ""},
	} {
		look := Finder{Dir: dir, Command: strings.Fields(test.command), Env: none}
		got, ok := look.Python()
		if look.IsSentry() != test.ofSentry || ok != (test.want != "") || ok && got != test.want {
			t.Errorf("%s: of Sentry: %v, by %q, %v", test.command, look.IsSentry(), got, ok)
		}
	}
}

// anotherSentry is a minimal Sentry, with minimal client libraries, for the script that
// finds services.
func anotherSentry() map[string]string {
	return map[string]string{
		"sentry/__init__.py":          "",
		"sentry/migrations/0001_a.py": "",
		"sentry/migrations/0002_b.py": "",
		"sentry/migrations/0003_c.py": "",
		"sentry/utils/__init__.py":    "",
		"sentry/utils/yaml.py":        "import json\nsafe_load = json.load\n",
		"sentry/runner/__init__.py":   "",
		"sentry/runner/settings.py":   "import os\ndef discover_configs():\n    d = os.environ['SENTRY_CONF']\n    return d, d + '/sentry.conf.py', d + '/config.yml'\n",
		"sentry/runner/importer.py":   "import sys, types\ndef install(name, conf, default):\n    module = sys.modules[name] = types.ModuleType(name)\n    exec(open(conf).read(), module.__dict__)\n",
		"sentry/conf/server.py":       "import os\nSENTRY_FOO = {}\nSENTRY_FOO.update(os.environ)\nBROKER_URL = 'redis://default:1/0'\nSENTRY_BAR_OPTIONS: dict = {'cluster': 'ring'}\nif os:\n    BROKER_URL = ''\n",
		"django/__init__.py":          "",
		"django/conf.py":              anotherDjango,
		"psycopg2.py":                 anotherPostgres,
		"redis.py":                    anotherRedis,
		"conf/config.yml":             `{"redis.clusters": {"default": {"hosts": {"0": {"host": "r", "password": "hush-redis"}}}, "ring": {"is_redis_cluster": true, "hosts": [{"host": "n"}]}}}`,
		"conf/sentry.conf.py":         "print('talk')\nSENTRY_FOO_CLUSTER = 'ring'\nBROKER_URL = 'redis://u:hush-broker@q:7/1'\nSENTRY_WATCHERS = [('webpack', ['/nowhere/webpack', 'serve'])]\nDATABASES = {'default': {'ENGINE': 'sentry.db.postgres', 'NAME': 'sentry', 'USER': 'ada', 'PASSWORD': 'hush-postgres', 'HOST': 'p', 'PORT': ''}, 'second': {'ENGINE': 'sentry.db.postgres', 'NAME': 'gone', 'PASSWORD': 'hush-second', 'HOST': '', 'PORT': 6000}}\n",
		"broken/sentry.conf.py":       "x = 1\ny = z\n",
		"crooked/sentry.conf.py":      "x = 1\n\ny = = z\n",
		"leaving/sentry.conf.py":      "import sys\nsys.exit('no')\n",
	}
}

// anotherDjango imports the settings on first use.
const anotherDjango = `
import importlib, os
class Settings:
    def module(self): return importlib.import_module(os.environ["DJANGO_SETTINGS_MODULE"])
    def __getattr__(self, name): return getattr(self.module(), name)
    def __dir__(self): return dir(self.module())
settings = Settings()
`

const anotherPostgres = `
class Cursor:
    def execute(self, q): self.q = q
    def fetchone(self): return ("15.1 (Debian)",) if "version" in self.q else (True,)
    def fetchall(self): return [("0001_a",), ("0002_b",)]
class Connection:
    def cursor(self): return Cursor()
    def close(self): pass
def connect(**wanted):
    assert wanted["connect_timeout"] > 0
    if wanted["dbname"] == "gone":
        raise RuntimeError("no way in with " + wanted["password"])
    assert "port" not in wanted
    return Connection()
`

const anotherRedis = `
class StrictRedis:
    def __init__(self, host="", password="", **rest): self.host, self.password = host, password
    @classmethod
    def from_url(cls, url, **rest): return cls("", url)
    def ping(self):
        if self.host != "r": raise OSError("refused with " + str(self.password))
    def info(self, section): return {"redis_version": "7.0"}
`

// ask runs the script that finds services in a Python of this machine.
func ask(t *testing.T, dir, conf string) (Services, string) {
	t.Helper()
	return askBy(t, ServicesArgv, dir, conf)
}

func askBy(t *testing.T, command func(python string) []string, dir, conf string) (Services, string) {
	t.Helper()
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 in PATH")
	}
	argv := command(name)
	run := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	run.Dir = dir
	run.Env = append(os.Environ(), "PYTHONPATH="+dir, "SENTRY_CONF="+filepath.Join(dir, conf), "PYTHONDONTWRITEBYTECODE=1", "SILO_TEST_PORT=6000")
	printed, err := run.Output()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ParseServices(printed)
	if err != nil {
		t.Fatalf("%v: %s", err, printed)
	}
	return s, string(printed)
}

func TestServices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, anotherSentry())
	s, printed := ask(t, dir, "conf")
	if strings.Contains(printed, "hush") || !strings.Contains(printed, "no way in with ***") {
		t.Errorf("a secret is shown, or other text is masked: %s", printed)
	}
	if len(s.Databases) != 2 || len(s.Redis) != 2 || len(s.Brokers) != 1 || len(s.Watchers) != 1 || s.Python == "" || s.Error != "" {
		t.Fatalf("%s", printed)
	}
	if d := s.Databases[0]; d.Error != "" || d.Version != "15.1" || !d.Migrated || d.Pending != 1 || d.Address() != "p:5432" || d.Local() {
		t.Errorf("%+v", d)
	}
	if d := s.Databases[1]; d.Failure() != OtherFailure || d.Port != 6000 || !d.Local() {
		t.Errorf("%+v", d)
	}
	if r := s.Redis[0]; r.Error != "" || r.Version != "7.0" || !r.Used || r.Clustered {
		t.Errorf("%+v", r)
	}
	if r := s.Redis[1]; r.Error == "" || !r.Used || !r.Clustered {
		t.Errorf("%+v", r)
	}
	if b := s.Brokers[0]; b.Error == "" || b.Address() != "q:7" || b.User != "u" {
		t.Errorf("%+v", b)
	}
	if w := s.Watchers[0]; w.Found || w.Program != "/nowhere/webpack" {
		t.Errorf("%+v", w)
	}
}

// TestServicesSince24_4 checks a release that loads its settings as a separate module
// (24.4, sentry/runner/importer.py and default_settings.py).
func TestServicesSince24_4(t *testing.T) {
	t.Parallel()
	dir, tree := t.TempDir(), anotherSentry()
	tree["sentry/runner/importer.py"] = "SENTRY_CONF_PY = 'nowhere'\ndef populate_module(module):\n    exec(open(SENTRY_CONF_PY, 'rb').read(), module.__dict__)\n"
	tree["sentry/runner/default_settings.py"] = "import sys\nfrom sentry.runner.importer import populate_module\npopulate_module(sys.modules[__name__])\n"
	writeTree(t, dir, tree)
	s, printed := ask(t, dir, "conf")
	if s.Error+s.Unknown != "" || s.FromText || len(s.Databases) != 2 || !s.Databases[0].Migrated || !s.Redis[1].Used || len(s.Watchers) != 1 {
		t.Errorf("%s", printed)
	}
	if s, printed := ask(t, dir, "broken"); s.Line != 2 || !strings.Contains(s.Error, "name 'z'") {
		t.Errorf("%s", printed)
	}
}

// TestServicesOfUnknownRelease checks that the services are found in the text of the files
// if a release has another way to load its settings.
func TestServicesOfUnknownRelease(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]map[string]string{
		"no function": {"sentry/runner/importer.py": ""},
		"no module":   {"sentry/runner/importer.py": "", "sentry/runner/settings.py": ""},
	} {
		dir, tree := t.TempDir(), anotherSentry()
		maps.Copy(tree, replace)
		writeTree(t, dir, tree)
		if s, printed := ask(t, dir, "conf"); !strings.Contains(s.Unknown, "sentry.runner") || !s.FromText || len(s.Databases) != 2 || s.Databases[0].Version != "15.1" {
			t.Errorf("%s: %s", name, printed)
		}
	}
}

// textConf computes some of its values.
const textConf = `
import os
NAME = 'sentry'
DATABASES = {'default': {'ENGINE': 'sentry.db.postgres', 'NAME': NAME, 'HOST': os.environ.get('SILO_TEST_HOST', 'p'), 'PORT': os.environ['SILO_TEST_PORT']}}
DATABASES['default']['USER'] = 'ada'
DATABASES['default'].update(PASSWORD='hush')
SENTRY_OPTIONS = {}
SENTRY_OPTIONS.update({'x': 1})
SENTRY_OPTIONS['redis.clusters'] = {'default': {'hosts': {0: {'host': 'first'}}}}
BROKER_URL = 'redis://' + open('/nowhere').read()
SENTRY_WATCHERS = [('webpack', [os.path.join('a', 'b')])]
if os.environ.get('SILO_RUN_ID'):
    DATABASES = {}
raise SystemExit('not executed')
`

func TestServicesByText(t *testing.T) {
	t.Parallel()
	dir, tree := t.TempDir(), anotherSentry()
	tree["text/sentry.conf.py"] = textConf
	writeTree(t, dir, tree)
	s, printed := askBy(t, ServicesTextArgv, dir, "text")
	if s.Error != "" || !s.FromText || len(s.Databases) != 1 || len(s.Redis) != 1 || len(s.Brokers)+len(s.Watchers) != 0 {
		t.Fatalf("%s", printed)
	}
	if d := s.Databases[0]; d.Address() != "p:6000" || d.Database != "sentry" || d.User != "ada" {
		t.Errorf("%+v", d)
	}
	if s.Redis[0].Host != "first" {
		t.Errorf("%+v", s.Redis[0])
	}
	// If the configuration does not set them, Sentry's own defaults are used.
	if s, printed := askBy(t, ServicesTextArgv, dir, "broken"); len(s.Brokers) != 1 || s.Brokers[0].Host != "default" || len(s.Databases) != 0 {
		t.Errorf("%s", printed)
	}
	// If the configuration fails to load, the first command reads its text too.
	if s, printed := ask(t, dir, "text"); !strings.Contains(s.Error, "nowhere") || s.Line != 10 || !s.FromText || len(s.Databases) != 1 {
		t.Errorf("%s", printed)
	}
	if s, printed := ask(t, dir, "crooked"); !strings.HasPrefix(s.Unreadable, "SyntaxError") || s.FromText {
		t.Errorf("%s", printed)
	}
}

func TestServicesOfBrokenSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, anotherSentry())
	for conf, want := range map[string]Services{
		"broken":  {Error: "NameError: name 'z' is not defined", Line: 2},
		"crooked": {Error: "SyntaxError: invalid syntax", Line: 3},
		"leaving": {Error: "SystemExit: no", Line: 2},
	} {
		if got, printed := ask(t, dir, conf); got.Error != want.Error || got.Line != want.Line {
			t.Errorf("%s: %s", conf, printed)
		}
	}
	if got, _ := ask(t, dir, "absent"); !strings.Contains(got.Error, "No such file") || got.Line != 0 {
		t.Errorf("%+v", got)
	}
}
