package sentry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"silo/topology"
)

// writeTree writes files below dir. A name that ends in "*" is executable.
func writeTree(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if bare, isProgram := strings.CutSuffix(name, "*"); isProgram {
			name, mode = bare, 0o755
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDetect reads golden files whose first part is the expected result: the name of
// the dialect or none, then the traits of the source, such as the mode of regions.
func TestDetect(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/detect/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		_, parts := readParts(t, file)
		dir, want := t.TempDir(), strings.Fields(parts[0].text)
		for _, p := range parts[1:] {
			writeTree(t, dir, map[string]string{p.name: p.text})
		}
		d, found, ok := sourceTree(dir).dialect()
		got := []string{"none"}
		if ok {
			got = slices.Concat([]string{d.Name, d.RegionMode}, d.Fallback)
			for word, is := range map[string]bool{"early": d.EarlyAuth, "strict": d.StrictRegions, "gateway": d.PublicGateway} {
				if is {
					got = append(got, word)
				}
			}
			slices.Sort(got[min(2, len(got)):])
			slices.Sort(want[min(2, len(want)):])
		}
		if len(want) == 1 {
			got = got[:1]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %s (%s), want %s", file, got, found, want)
		}
		seen[want[0]] = true
	}
	for _, d := range Dialects() {
		if !seen[d.Name] {
			t.Errorf("no golden file for the signature of %s", d.Name)
		}
	}
}

const (
	region2211 = "class Region:\n    name: str\n\n    id: int\n"
	region2371 = "from pydantic.tools import parse_obj_as\nsnowflake_id: int\n"
)

// site is the site-packages directory of the virtual environments in these tests.
const site = "lib/python3.8/site-packages/"

func TestChooseAuto(t *testing.T) {
	t.Parallel()
	wheel := map[string]string{
		"venv/bin/sentry*": "#!$DIR/venv/bin/python\n", "venv/bin/python*": "",
		"venv/" + site + "sentry/types/region.py": region2211, "venv/" + site + "sentry-22.11.0.dist-info/METADATA": "",
		"venv/" + site + "sentry_sdk-1.11.0.dist-info/METADATA": "",
	}
	checkout := map[string]string{
		"src/src/sentry/types/region.py": region2371, "src/setup.cfg": "[metadata]\nname = sentry\nversion = 23.8.0.dev0\n", "src/.git/HEAD": "",
	}
	for name, c := range map[string]struct {
		files            []map[string]string
		command          string
		dir, path        string
		env              map[string]string
		dialect, release string
		found, warning   string
	}{
		"program in PATH": {
			files: []map[string]string{wheel}, path: "venv/bin",
			dialect: "tuple-id", release: "22.11.0", found: "sentry 22.11.0 at $DIR/venv/" + site + "sentry (marker \"id: int\" in types/region.py)",
		},
		"program by its path": {files: []map[string]string{wheel}, command: "$DIR/venv/bin/sentry devserver", dialect: "tuple-id", release: "22.11.0"},
		"program by a path from dir": {
			files: []map[string]string{wheel, {"work/x": ""}}, dir: "work", command: "../venv/bin/sentry devserver",
			dialect: "tuple-id", release: "22.11.0",
		},
		"python -m": {files: []map[string]string{wheel}, command: "$DIR/venv/bin/python -m sentry devserver", dialect: "tuple-id", release: "22.11.0"},
		"a link from elsewhere": {
			files: []map[string]string{wheel, {"bin/sentry": "-> $DIR/venv/bin/sentry"}}, path: "bin",
			dialect: "tuple-id", release: "22.11.0",
		},
		"a script elsewhere, by its interpreter line": {
			files: []map[string]string{wheel, {"bin/sentry*": "#!$DIR/venv/bin/python -I\n"}}, path: "bin",
			dialect: "tuple-id", release: "22.11.0",
		},
		"env finds the interpreter": {
			files: []map[string]string{wheel, {"bin/sentry*": "#!/usr/bin/env -S python\n"}}, path: "bin:$DIR/venv/bin",
			dialect: "tuple-id", release: "22.11.0",
		},
		"pip's shell line for long paths": {
			files: []map[string]string{wheel, {"bin/sentry*": "#!/bin/sh\n'''exec' \"$DIR/venv/bin/python\" \"$0\" \"$@\"\n' '''\n"}}, path: "bin",
			dialect: "tuple-id", release: "22.11.0",
		},
		"editable by direct_url.json": {
			files: []map[string]string{checkout, {
				"venv/bin/sentry*": "#!$DIR/venv/bin/python3\n",
				"venv/" + site + "sentry-23.7.0.dev0.dist-info/direct_url.json": `{"url": "file://$DIR/src", "dir_info": {"editable": true}}`,
			}},
			path: "venv/bin", dialect: "dict", release: "23.8.0.dev0", found: "sentry 23.8.0.dev0 at $DIR/src/src/sentry (marker",
		},
		"editable by egg-link": {
			files: []map[string]string{checkout, {"venv/bin/sentry*": "#!$DIR/venv/bin/python3\n", "venv/" + site + "sentry.egg-link": "$DIR/src/src\n../"}},
			path:  "venv/bin", dialect: "dict", release: "23.8.0.dev0",
		},
		"editable by easy-install.pth": {
			files: []map[string]string{checkout, {"venv/bin/sentry*": "#!$DIR/venv/bin/python3\n", "venv/" + site + "easy-install.pth": "import sys\n/nowhere\n$DIR/src/src\n"}},
			path:  "venv/bin", dialect: "dict", release: "23.8.0.dev0",
		},
		"checkout around dir":           {files: []map[string]string{checkout, {"src/src/x": ""}}, dir: "src/src", dialect: "dict", release: "23.8.0.dev0"},
		"checkout for a custom program": {files: []map[string]string{checkout}, dir: "src", command: "./run.sh", dialect: "dict", release: "23.8.0.dev0"},
		"the program overrides the checkout, with a warning": {
			files: []map[string]string{wheel, checkout}, dir: "src", path: "venv/bin",
			dialect: "tuple-id", release: "22.11.0", warning: "not the checkout",
		},
		"not above the repository": {files: []map[string]string{checkout, {"src/other/.git/HEAD": ""}}, dir: "src/other", dialect: "tuple-id", warning: "no Sentry was found"},
		"VIRTUAL_ENV":              {files: []map[string]string{wheel}, env: map[string]string{"VIRTUAL_ENV": "$DIR/venv"}, dir: "venv/bin", dialect: "tuple-id", release: "22.11.0"},
		"venv next to it":          {files: []map[string]string{wheel}, command: "make run", dialect: "tuple-id", release: "22.11.0"},
		"a shim answers --version": {
			files: []map[string]string{{"bin/sentry*": "#!/bin/bash\n"}}, path: "bin",
			dialect: "dict", release: "23.7.1", found: "--version",
		},
		"stand-in": {command: "silo devserver", dialect: "tuple-id", found: "silo's stand-in for Sentry"},
		"nothing":  {dialect: "tuple-id", found: "no Sentry found", warning: "sentry.dialect"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			expand := strings.NewReplacer("$DIR", dir).Replace
			for _, files := range c.files {
				for name, text := range files {
					if target, isLink := strings.CutPrefix(expand(text), "-> "); isLink {
						writeTree(t, dir, map[string]string{filepath.Join(filepath.Dir(name), ".here"): ""})
						if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
							t.Fatal(err)
						}
						continue
					}
					writeTree(t, dir, map[string]string{name: expand(text)})
				}
			}
			if c.command == "" {
				c.command = "sentry devserver"
			}
			env := map[string]string{"PATH": filepath.Join(dir, "none")}
			if c.path != "" {
				env["PATH"] = dir + "/" + expand(c.path)
			}
			for name, value := range c.env {
				env[name] = expand(value)
			}
			finder := Finder{
				Dir: filepath.Join(dir, c.dir), Command: strings.Fields(expand(c.command)),
				Env: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
				Run: func(_ context.Context, argv []string, _ string) ([]byte, error) {
					return []byte("sentry, version 23.7.1 (abc)\n"), map[bool]error{false: errors.New("not a sentry")}[filepath.Base(argv[0]) == "sentry"]
				},
			}
			got, err := Choose(t.Context(), "auto", finder)
			if err != nil || got.Dialect.Name != c.dialect || got.Release != c.release {
				t.Errorf("got %s of %q, %v; want %s of %q", got.Dialect.Name, got.Release, err, c.dialect, c.release)
			}
			if !strings.Contains(got.Found, expand(c.found)) || !strings.Contains(got.Warning, c.warning) || c.warning == "" && got.Warning != "" {
				t.Errorf("found %q, warning %q; want %q, %q", got.Found, got.Warning, expand(c.found), c.warning)
			}
		})
	}
}

func TestChooseNamed(t *testing.T) {
	t.Parallel()
	for want, dialect := range map[string]string{
		"22.10.0": "tuple-id", "22.11": "tuple-id", "22.12.0.dev0": "tuple-id", "23.1.1": "tuple-id", "23.2.0": "tuple-id", "23.3.0": "tuple-id",
		"23.3.1": "tuple-template", "23.4.0": "tuple-template", "23.5.0": "tuple-template", "23.5.1": "tuple-snowflake", "23.5.2": "tuple-snowflake",
		"23.6.0": "tuple-json", "23.6.2": "tuple-json", "23.7.0": "dict", "23.7.1": "dict", "23.11.2": "dict", "23.12.0": "dict-silo", "25.2.1": "dict-silo",
		"25.3.0": "list", "26.2.1": "list", "26.3.1": "cells-transition", "26.4.0": "cells", "26.5.0": "cells", "26.6.0": "cells-strict", "26.11.0": "cells-strict",
		"31.1.0": "cells-strict", "tuple-id": "tuple-id", "dict": "dict", "tuple-json": "tuple-json", "cells-strict": "cells-strict",
	} {
		got, err := Choose(t.Context(), want, Finder{})
		if err != nil || got.Dialect.Name != dialect || got.Runnable() != nil || got.Dialect.Template == "" {
			t.Errorf("%s: %s, %v, %v", want, got.Dialect.Name, err, got.Runnable())
		}
		if (want == "31.1.0") != (got.Warning != "") {
			t.Errorf("%s: warning %q", want, got.Warning)
		}
	}
	for _, want := range []string{"22.9.0", "10.0.0", "nonsense", "23", "23.x.1"} {
		if got, err := Choose(t.Context(), want, Finder{}); err == nil {
			t.Errorf("%s: chose %s", want, got.Dialect.Name)
		}
	}
}

// The topology and the choice of a dialect warn about the same releases.
func TestNewestReleaseIsShared(t *testing.T) {
	t.Parallel()
	home := func(name string) (string, bool) { return "/home", name == "HOME" }
	for release, newer := range map[string]bool{"26.7.0": false, "26.11.0": false, "26.11.3": false, "26.12.0": true, "27.1.0": true} {
		topo, err := topology.Parse("silo.toml", []byte("version = 1\nsentry.dialect = \""+release+"\"\nregion.us.id = 1\n"), nil, home)
		if err != nil {
			t.Fatal(err)
		}
		choice, err := Choose(t.Context(), release, Finder{})
		if err != nil || len(topo.Warnings) > 0 != newer || choice.Warning != "" != newer {
			t.Errorf("%s: newer %t, but %v and %q, %v", release, newer, topo.Warnings, choice.Warning, err)
		}
	}
}

// 22.12.0 can be configured and run as a monolith, but not as silos.
func TestChooseBrokenRelease(t *testing.T) {
	t.Parallel()
	got, err := Choose(t.Context(), "22.12.0", Finder{})
	if err != nil || got.Dialect.Name != "tuple-id" || got.Dialect.Template == named(t, "tuple-id").Template {
		t.Errorf("%+v, %v", got, err)
	}
	if err := got.Runnable(); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "sentry 22.12.0 cannot run as silos: a region of this release cannot start") {
		t.Error(err)
	}
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"src/sentry/types/region.py": region2211, "setup.cfg": "version = 22.12.0"})
	found, err := Choose(t.Context(), "auto", Finder{Dir: dir, Env: func(string) (string, bool) { return "", false }})
	if err != nil || !errors.Is(found.Runnable(), ErrBroken) {
		t.Errorf("%+v, %v", found, err)
	}
}

// A Sentry that is newer than any known release, by its version or because no signature
// matches, gets the newest dialect and a warning.
func TestChooseUnknownIsNewest(t *testing.T) {
	t.Parallel()
	cells := map[string]string{"src/sentry/types/cell.py": "load(settings.SENTRY_CELLS)", "src/sentry/conf/types/cell_config.py": "class CellConfig:\n    name: str\n"}
	for name, files := range map[string]map[string]string{
		"newer version, known markers": {"pyproject.toml": "version = \"28.1.0\"\n"},
		"newer version, no markers":    {"pyproject.toml": "version = \"28.1.0\"\n", "src/sentry/conf/server.py": "", "src/sentry/types/cell.py": ""},
		"no version, unknown markers":  {"src/sentry/types/cell.py": "load(settings.SENTRY_SHARDS)"},
	} {
		dir := t.TempDir()
		writeTree(t, dir, cells)
		writeTree(t, dir, files)
		got, err := Choose(t.Context(), "auto", Finder{Dir: dir, Env: func(string) (string, bool) { return "", false }})
		if err != nil || got.Dialect.Name != "cells-strict" || !strings.Contains(got.Warning, "newer than any known release") {
			t.Errorf("%s: %s, warning %q, %v", name, got.Dialect.Name, got.Warning, err)
		}
	}
}

func TestChooseUnsupported(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, version, problem string }{
		"before 22.10":                 {"subdomain: str", "22.9.0", "older than 22.10.0"},
		"older than 22.10, no markers": {"", "22.8.0", "silos exist from 22.10.0 on"},
		"no markers, no version":       {"", "", "or incomplete"},
	} {
		dir := t.TempDir()
		writeTree(t, dir, map[string]string{"src/sentry/types/region.py": c.text, "setup.cfg": "version = " + c.version})
		got, err := Choose(t.Context(), "auto", Finder{Dir: dir, Env: func(string) (string, bool) { return "", false }})
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.problem) || got.Release != c.version || !strings.Contains(got.Found, dir) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestChooseVersionTimeout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"sentry*": "#!/bin/bash\n"})
	finder := Finder{Dir: dir, Command: []string{"./sentry", "devserver"}, Env: func(string) (string, bool) { return "", false }}
	finder.Run = func(ctx context.Context, _ []string, _ string) ([]byte, error) {
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > versionLimit {
			t.Error("--version runs without a deadline")
		}
		return nil, fmt.Errorf("exit status 1")
	}
	if got, err := Choose(t.Context(), "auto", finder); err != nil || !strings.Contains(got.Warning, "exit status 1") {
		t.Error(got, err)
	}
	finder.Run = func(context.Context, []string, string) ([]byte, error) { return nil, context.Canceled }
	if _, err := Choose(t.Context(), "auto", finder); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	finder.Run = func(context.Context, []string, string) ([]byte, error) { return []byte("hello"), nil }
	if got, err := Choose(t.Context(), "auto", finder); err != nil || !strings.Contains(got.Warning, "prints no release") {
		t.Error(got, err)
	}
}

func TestMissingNodePackages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"src/sentry/conf/server.py": ""})
	f := Finder{Dir: dir, Command: []string{"sentry"}, Env: func(string) (string, bool) { return "", false }}
	if got, missing := f.MissingNodePackages(); !missing || got != filepath.Join(dir, "node_modules") {
		t.Errorf("%q, %v", got, missing)
	}
	if err := os.Mkdir(filepath.Join(dir, "node_modules"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, missing := f.MissingNodePackages(); missing {
		t.Errorf("%q is not missing", got)
	}
	f.Dir = t.TempDir()
	if got, missing := f.MissingNodePackages(); missing {
		t.Errorf("%q, without a Sentry", got)
	}
}
