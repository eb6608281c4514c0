package sentry

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"silo/templates"
)

func TestProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{
		"path/python3*": "", "path/sentry*": "#!/usr/bin/env python3\n",
		"env/bin/sentry*": "#!/opt/env/bin/python3.8\n", "odd/sentry*": "#!/bin/sh\nexec true\n",
		"app/.venv/bin/sentry*": "#!/srv/app/.venv/bin/python\n",
		"bare/x":                "",
	})
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		command           string
		dir, path, active string
		argv, python      string // no python: an error
	}{
		"by its name, in PATH":      {command: "sentry devserver", argv: at("path/sentry"), python: at("path/python3")},
		"by its path":               {command: at("env/bin/sentry") + " devserver", argv: at("env/bin/sentry"), python: "/opt/env/bin/python3.8"},
		"as a module":               {command: "python3 -m sentry devserver", argv: at("path/python3") + " -m sentry", python: at("path/python3")},
		"a wrapper script":          {command: "make run", dir: "app", argv: at("app/.venv/bin/sentry"), python: "/srv/app/.venv/bin/python"},
		"in an active environment":  {command: "make run", dir: "app", active: "env", argv: at("env/bin/sentry"), python: "/opt/env/bin/python3.8"},
		"a script and PATH":         {command: "make run", argv: at("path/sentry"), python: at("path/python3")},
		"a script without Sentry":   {command: "make run", path: "bare"},
		"not in PATH":               {command: "sentry devserver", path: "bare"},
		"not a Python script":       {command: "sentry devserver", path: "odd"},
		"the stand-in":              {command: "silo devserver"},
		"the stand-in, by its path": {command: "/usr/bin/silo devserver"},
		"another program":           {command: "devserver", path: "bare"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"PATH": at("path")}
			if c.path != "" {
				env["PATH"] = at(c.path)
			}
			if c.active != "" {
				env["VIRTUAL_ENV"] = at(c.active)
			}
			work := at("bare")
			if c.dir != "" {
				work = at(c.dir)
			}
			got, err := Finder{Dir: work, Command: strings.Fields(c.command), Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}.Program()
			if argv := strings.Join(got.Argv, " "); argv != c.argv || got.Python != c.python {
				t.Errorf("got %s with Python %s, want %s with %s (%v)", argv, got.Python, c.argv, c.python, err)
			}
			if errors.Is(err, ErrNoProgram) != (c.python == "") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// naming stands in for Sentry. It applies the database part of a region config to given
// settings, twice, and prints the resulting names.
const naming = `
import json, os, sys, types
for name in "sentry", "sentry.conf", "sentry.conf.server":
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = []
text = sys.argv[1]
for line in sys.stdin:
    job = json.loads(line)
    own = {"default": {"NAME": job["base"]}, "replica": {"NAME": job["base"]}, "other": {"NAME": "other"}, "none": {}}
    sys.modules["sentry.conf.server"].DATABASES = own
    os.environ["SILO_DATABASE"] = job["silo"]
    got = []
    for _ in range(2):
        settings = {"os": os, **({"DATABASES": own} if job["named"] else {})}
        exec("if True:" + text, settings)
        all = settings["DATABASES"]
        assert all["replica"] == all["default"] and all["other"] == {"NAME": "other"} and all["none"] == {}
        got.append(all["default"]["NAME"])
    assert own["default"]["NAME"] == job["base"]
    del os.environ["SILO_DATABASE"]
    settings = {"os": os}
    exec("if True:" + text, settings)
    assert "DATABASES" not in settings
    print(json.dumps(got), flush=True)
`

func TestDatabaseNames(t *testing.T) {
	t.Parallel()
	text, err := databasesPart()
	if err != nil {
		t.Fatal(err)
	}
	python := startPython(t, "-c", naming, text)
	long, accents := strings.Repeat("a", 60), strings.Repeat("é", 30)
	for _, c := range []struct{ base, silo, want string }{
		{"sentry", "control", "sentry_control"},
		{"sentry", "us-west", "sentry_us_west"},
		{`a"; DROP DATABASE "b`, "eu", `a"; DROP DATABASE "b_eu`},
		{strings.Repeat("a", 55), "control", strings.Repeat("a", 55) + "_control"},
		{long, "control", strings.Repeat("a", 54) + "_"},
		{accents, "control", strings.Repeat("é", 27) + "_"},
	} {
		for _, named := range []bool{true, false} {
			job, err := json.Marshal(map[string]any{"base": c.base, "silo": DatabaseSuffix(c.silo), "named": named})
			if err != nil {
				t.Fatal(err)
			}
			var got [2]string
			if err := json.Unmarshal([]byte(python.ask(t, string(job))), &got); err != nil {
				t.Fatal(err)
			}
			if cut := len(c.base)+len(c.silo) > 62; got[0] != got[1] || len(got[0]) > 63 || !cut && got[0] != c.want || cut && !strings.HasPrefix(got[0], c.want[:55]) {
				t.Errorf("%s with base %s: got %q and then %q, want %s", c.silo, c.base, got[0], got[1], c.want)
			}
		}
	}
}

func TestLongDatabaseNamesDiffer(t *testing.T) {
	t.Parallel()
	text, err := databasesPart()
	if err != nil {
		t.Fatal(err)
	}
	python := startPython(t, "-c", naming, text)
	seen := map[string]string{}
	for _, silo := range []string{"us-west", "us-east", "us-east-1", "control"} {
		job, err := json.Marshal(map[string]any{"base": strings.Repeat("long", 15), "silo": DatabaseSuffix(silo), "named": true})
		if err != nil {
			t.Fatal(err)
		}
		name := python.ask(t, string(job))
		if other := seen[name]; other != "" {
			t.Errorf("%s and %s have the same database name %s", silo, other, name)
		}
		seen[name] = silo
	}
}

// quoting prints how the script quotes each text, or the error.
const quoting = `
import json, sys, types
script = types.ModuleType("script")
exec(sys.argv[1], vars(script))
for line in sys.stdin:
    text = json.loads(line)
    try:
        print(json.dumps([script.identifier(text), script.literal(text)]), flush=True)
    except ValueError as e:
        print(json.dumps(["refused", str(e)]), flush=True)
`

// Identifiers and literals are quoted as in
// https://www.postgresql.org/docs/15/sql-syntax-lexical.html.
func TestDatabaseQuoting(t *testing.T) {
	t.Parallel()
	python := startPython(t, "-c", quoting, templates.Text("python/databases.py"))
	for text, want := range map[string][2]string{
		"sentry_eu":            {`"sentry_eu"`, `'sentry_eu'`},
		`a"; DROP DATABASE "b`: {`"a""; DROP DATABASE ""b"`, `'a"; DROP DATABASE "b'`},
		`it's`:                 {`"it's"`, `'it''s'`},
		"a\nb":                 {"\"a\nb\"", "'a\nb'"},
		"a\x00b":               {"refused", `the database name 'a\x00b' contains a NUL character`},
	} {
		job, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var got [2]string
		if err := json.Unmarshal([]byte(python.ask(t, string(job))), &got); err != nil || got != want {
			t.Errorf("%q is quoted as %q, want %q (%v)", text, got, want, err)
		}
	}
}

func TestParseDatabases(t *testing.T) {
	t.Parallel()
	all, err := ParseDatabases([]byte(`{"silo": "us", "name": "a_us", "exists": true, "ours": true, "upgrade": ["--noinput"]}` + "\n" + `{"silo": "eu", "error": "x"}` + "\n"))
	if err != nil || len(all) != 2 || !all[0].Owned || all[0].Upgrade[0] != "--noinput" || all[1].Error != "x" {
		t.Errorf("%+v, %v", all, err)
	}
	if _, err := ParseDatabases([]byte("Traceback\n")); err == nil {
		t.Error("ParseDatabases accepts a traceback")
	}
}

// An overlay is the configuration without silo's old block, with its original __file__,
// followed by the new block.
func TestOverlay(t *testing.T) {
	t.Parallel()
	name, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 in PATH")
	}
	dir, into := t.TempDir(), t.TempDir()
	path := filepath.Join(dir, "it's \"conf\"", "sentry.conf.py")
	before := "from __future__ import annotations\nimport os\nROOT = os.path.dirname(__file__)\nSEEN = globals().get('SEEN', 0) + 1"
	old := Block{Instance: "acme", file: "silo.toml", text: "raise SystemExit('the old block')\n"}
	whole, err := insertBlock([]byte(before), old)
	if err != nil {
		t.Fatal(err)
	}
	writeTree(t, filepath.Dir(path), map[string]string{"sentry.conf.py": string(whole), "config.yml": "a: 1\n"})
	conf, err := Overlay(into, path, Block{text: "NEW = 1\n"})
	if err != nil || conf != into {
		t.Fatalf("%s, %v", conf, err)
	}
	show := "import sys; s = {}; exec(open(sys.argv[1]).read(), s); print(s['ROOT'] == sys.argv[2], s['SEEN'], s['NEW'], s['__file__'] == sys.argv[3])"
	out, err := exec.CommandContext(t.Context(), name, "-c", show, filepath.Join(into, "sentry.conf.py"), filepath.Dir(path), path).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "True 1 1 True" {
		t.Errorf("%s, %v", out, err)
	}
	if options, err := os.ReadFile(filepath.Join(into, "config.yml")); err != nil || string(options) != "a: 1\n" {
		t.Errorf("config.yml: %q, %v", options, err)
	}
	if info, err := os.Stat(filepath.Join(into, "original")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the overlay: %v, %v", info, err)
	}
	if _, err := Overlay(into, filepath.Join(dir, "none.py"), old); !errors.Is(err, ErrMissing) {
		t.Errorf("a missing configuration: %v", err)
	}
}
