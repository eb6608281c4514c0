package devserver

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refusal is a start that fails.
type refusal struct {
	name string
	args []string
	env  environ
	conf string // of sentry.conf.py; empty: a valid one
	code int
	last string // line of standard error
	real bool   // Sentry 23.7.1 prints the same line
}

func refusals() []refusal {
	const dicts = "SENTRY_REGION_CONFIG = [{\"name\": \"us\", \"snowflake_id\": %s, \"category\": \"%s\", \"address\": \"http://127.0.0.1:1\"}]\nSENTRY_MONOLITH_REGION = \"%s\"\n"
	control := environ{"SENTRY_SILO_MODE": "CONTROL"}
	return []refusal{
		{name: "unknown option", args: []string{"--nope"}, code: 2, last: "Error: No such option: --nope"},
		{name: "two addresses", args: []string{"127.0.0.1:1", "b"}, code: 2, last: "Error: Got unexpected extra argument (b)", real: true},
		{name: "no value", args: []string{"--environment"}, code: 2, last: "Error: Option '--environment' requires an argument."},
		{name: "value for a switch", args: []string{"--workers=1"}, code: 2, last: "Error: Option '--workers' does not take a value."},
		{name: "bad duration", args: []string{"--delay", "5"}, code: 2, last: "Error: Invalid value for '--delay': '5' is not a duration like 500ms"},
		{name: "negative duration", args: []string{"--delay=-5s"}, code: 2, last: "Error: Invalid value for '--delay': '-5s' is not a duration like 500ms"},
		{name: "bad exit status", args: []string{"--exit-code", "256"}, code: 2, last: "Error: Invalid value for '--exit-code': '256' is not an exit status of 0 to 255"},
		{name: "bad signal", args: []string{"--ignore", "TERM,KILL"}, code: 2, last: "Error: Invalid value for '--ignore': 'KILL' is not TERM, INT or HUP"},

		{name: "no config", env: environ{"SENTRY_CONF": "/nonexistent"}, code: 1, last: "Error: Configuration file does not exist. Use 'sentry init' to initialize the file.", real: true},
		{name: "no config file", env: environ{"SENTRY_CONF": "/nonexistent/sentry.conf.py"}, code: 1, last: "Error: Configuration file does not exist. Use 'sentry init' to initialize the file.", real: true},
		{name: "open bracket", conf: "X = (\n", code: 1, last: "!! Configuration error: ConfigurationError('SyntaxError: unexpected EOF while parsing (<string>, line 2)')"},
		{name: "region id too large", env: control, conf: fmt.Sprintf(dicts, "4096", "MULTI_TENANT", "us"), code: 1, last: "Exception: Region ID exceed max bit value of 12", real: true},
		{name: "negative region id", env: control, conf: fmt.Sprintf(dicts, "-1", "MULTI_TENANT", "us"), code: 1, last: "Exception: Region ID exceed max bit value of 12", real: true},
		{name: "unknown category", env: control, conf: fmt.Sprintf(dicts, "1", "MANY", "us"), code: 1, last: "sentry.types.region.RegionConfigurationError: Unable to parse region_config.", real: true},
		{name: "monolith region missing", env: control, conf: fmt.Sprintf(dicts, "1", "MULTI_TENANT", "eu"), code: 1, last: "sentry.types.region.RegionConfigurationError: The SENTRY_MONOLITH_REGION setting must point to a region name (settings.SENTRY_MONOLITH_REGION='eu'; region names = ['us'])", real: true},

		{name: "mode in lower case", env: environ{"SENTRY_SILO_MODE": "control"}, code: 1, last: "KeyError: 'control'", real: true},
		{name: "unknown mode", env: environ{"SENTRY_SILO_MODE": "CONTROL_PLANE"}, code: 1, last: "KeyError: 'CONTROL_PLANE'", real: true},
		{name: "region without a name", env: environ{"SENTRY_SILO_MODE": "REGION"}, code: 1, last: "Exception: SENTRY_REGION must be set when server is in REGION silo mode"},
		{name: "region not in config", env: environ{"SENTRY_SILO_MODE": "REGION", "SENTRY_REGION": "asia"}, code: 1, last: "sentry.types.region.RegionResolutionError: No region with name: 'asia' (expected one of ['us-west'] or a single-tenant name)"},
		{name: "control without regions", env: control, conf: "DEBUG = True\n", code: 1, last: "Exception: $DIR/sentry.conf.py has no SENTRY_REGION_CONFIG, and a server in CONTROL silo mode needs one"},
		{name: "region without regions", env: environ{"SENTRY_SILO_MODE": "REGION", "SENTRY_REGION": "us"}, conf: "\n", code: 1, last: "Exception: $DIR/sentry.conf.py has no SENTRY_REGION_CONFIG, and a server in REGION silo mode needs one"},

		{name: "bind without port", env: environ{"SENTRY_DEVSERVER_BIND": "localhost"}, code: 1, last: "expected <host>:<port>, got localhost", real: true},
		{name: "argument wins", args: []string{"nohost"}, env: environ{"SENTRY_DEVSERVER_BIND": "127.0.0.1:0"}, code: 1, last: "expected <host>:<port>, got nohost", real: true},
		{name: "bind to IPv6", env: environ{"SENTRY_DEVSERVER_BIND": "[::1]:8102"}, code: 1, last: "ValueError: invalid literal for int() with base 10: ':1]:8102'", real: true},
		{name: "port is not a number", env: environ{"SENTRY_DEVSERVER_BIND": "127.0.0.1:abc"}, code: 1, last: "ValueError: invalid literal for int() with base 10: 'abc'", real: true},
		{name: "port too large", env: environ{"SENTRY_DEVSERVER_BIND": "127.0.0.1:65536"}, code: 1, last: "OverflowError: port must be 0-65535, got 65536"},
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, r := range refusals() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			text := r.conf
			if text == "" {
				text = regionConfig("1", "2", "3")
			}
			dir := conf(t, text)
			s := start(t, environ{"SENTRY_CONF": dir}.with(r.env), r.args...)
			if got := status(s.end()); got != r.code {
				t.Errorf("status %d, want %d", got, r.code)
			}
			if got, want := lastLine(s.err.String()), strings.ReplaceAll(r.last, "$DIR", dir); got != want {
				t.Errorf("last line\n got %s\nwant %s", got, want)
			}
			if s.out.String() != "" {
				t.Errorf("standard output: %s", s.out)
			}
		})
	}
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return text[strings.LastIndexByte(text, '\n')+1:]
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	holder, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, holder)
	s := start(t, environ{"SENTRY_CONF": conf(t, ""), "SENTRY_DEVSERVER_BIND": holder.Addr().String()})
	if got := status(s.end()); got != 1 {
		t.Errorf("status %d", got)
	}
	want := "probably another instance of uWSGI is running on the same address (" + holder.Addr().String() + ").\nbind(): Address already in use [core/socket.c line 769]\n"
	if s.err.String() != want {
		t.Errorf("got  %s\nwant %s", s.err, want)
	}
}

func TestConfIsFound(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".sentry"), 0o700); err != nil {
		t.Fatal(err)
	}
	rewrite(t, filepath.Join(home, ".sentry"), "")
	odd := filepath.Join(home, "settings")
	if err := os.WriteFile(odd, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	usual := filepath.Join(home, ".sentry", "sentry.conf.py")
	for _, c := range []struct {
		name string
		env  environ
		want string // empty: refused
	}{
		{"default", environ{"HOME": home}, usual},
		{"directory", environ{"SENTRY_CONF": filepath.Join(home, ".sentry")}, usual},
		{"tilde", environ{"HOME": home, "SENTRY_CONF": "~/.sentry"}, usual},
		{"home itself", environ{"HOME": filepath.Join(home, ".sentry"), "SENTRY_CONF": "~"}, usual},
		{"file", environ{"SENTRY_CONF": usual}, usual},
		{"file of any name", environ{"SENTRY_CONF": odd}, odd},
		{"directory without", environ{"SENTRY_CONF": home}, ""},
		{"directory with a file's name", environ{"SENTRY_CONF": filepath.Dir(t.TempDir()) + ".py"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := findConf(c.env.get)
			if got != c.want || (err != nil) != (c.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	s := start(t, environ{}, "--help")
	if err := s.end(); err != nil {
		t.Fatal(err)
	}
	for _, o := range options() {
		if !strings.Contains(s.out.String(), "--"+o.name) {
			t.Errorf("--help does not name --%s", o.name)
		}
	}
	for line := range strings.Lines(s.out.String()) {
		if len([]rune(line)) > 121 {
			t.Errorf("long line: %s", line)
		}
	}
	if s.err.String() != "" {
		t.Errorf("standard error: %s", s.err)
	}
}
