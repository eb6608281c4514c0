package sentry

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"silo/topology"
)

// loaded is what testdata/load.py prints.
type loaded struct {
	Mode           string
	Regions        map[string][]any
	Local, Control string
	Secret, Subnet string
	Beat           string
	Queues         []string
	Web            string
}

// realReleases are installed Sentrys: $REAL_SENTRY_DIR/RELEASE/venv, and a
// configuration that `sentry init` made in RELEASE/conf.
func realReleases(t *testing.T) map[string]string {
	t.Helper()
	dir := os.Getenv("REAL_SENTRY_DIR")
	if dir == "" {
		t.Skip("REAL_SENTRY_DIR names no directory of installed Sentrys (RELEASE/venv, RELEASE/conf)")
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "venv", "bin", "sentry"))
	if err != nil || len(found) == 0 {
		t.Fatal("no Sentry below REAL_SENTRY_DIR", err)
	}
	all := map[string]string{}
	for _, program := range found {
		root := filepath.Dir(filepath.Dir(filepath.Dir(program)))
		all[filepath.Base(root)] = root
	}
	return all
}

func TestRealSentryReadsTheRegionConfig(t *testing.T) {
	t.Parallel()
	for release, root := range realReleases(t) {
		program := filepath.Join(root, "venv", "bin", "sentry")
		choice, err := Choose(t.Context(), "auto", Look{Dir: t.TempDir(), Command: []string{program, "devserver"}, Env: os.LookupEnv})
		if err != nil || choice.Release != release {
			t.Errorf("%s: chose %+v, %v", release, choice, err)
			continue
		}
		conf := t.TempDir()
		if err := os.CopyFS(conf, os.DirFS(filepath.Join(root, "conf"))); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(conf, "sentry.conf.py")
		block, err := Render(Config{
			Instance: "acme", File: "silo.toml", Dialect: choice.Dialect, ControlURL: "http://127.0.0.1:8000", Workers: true,
			Regions: []Region{{"us-west", 1, "http://127.0.0.1:8002", "MULTI_TENANT"}, {"big-bank", 4095, "https://b.example.com", "SINGLE_TENANT"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), path, block); err != nil {
			t.Fatal(err)
		}
		for _, mode := range []string{"CONTROL", "REGION", "MONOLITH", "by itself"} {
			t.Run(release+" "+mode, func(t *testing.T) {
				t.Parallel()
				checkLoaded(t, choice.Dialect, filepath.Join(root, "venv", "bin", "python"), path, mode)
			})
		}
	}
}

func checkLoaded(t *testing.T, d Dialect, python, path, mode string) {
	t.Helper()
	l := Launch{
		Mode: mode, Port: 8000, ConfigPath: path, Instance: "i", RunID: "r", RPCSecret: "one", SubnetSecret: "two",
		Silo: topology.Silo{Name: "us-west", Command: []string{"sentry", "devserver", "--workers"}},
	}
	load := exec.CommandContext(t.Context(), python, "testdata/load.py", filepath.Dir(path))
	load.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	byItself := mode == "by itself"
	if !byItself {
		for _, v := range Environ(load.Env, l, d) {
			load.Env = append(load.Env, v.Name+"="+v.Value)
		}
		load.Env = append(load.Env, "UWSGI_HTTP=as devserver sets it for its children")
	}
	out, err := load.Output()
	if err != nil {
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var got loaded
	if err := json.Unmarshal(out[strings.LastIndex(string(out), "\n")+1:], &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want := map[string]string{"us-west": "[1,\"http://127.0.0.1:8002\",\"MULTI_TENANT\"]", "big-bank": "[4095,\"https://b.example.com\",\"SINGLE_TENANT\"]"}
	regions := map[string]string{}
	for name, r := range got.Regions {
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		regions[name] = string(text)
	}
	if !maps.Equal(regions, want) || got.Control != "http://127.0.0.1:8000" {
		t.Errorf("regions %v, control %q", regions, got.Control)
	}
	if mode == "REGION" && got.Local != "us-west" {
		t.Errorf("local region %q", got.Local)
	}
	if byItself {
		if got.Mode != "MONOLITH" || got.Secret+got.Subnet+got.Web+strings.Join(got.Queues, "") != "" || strings.Contains(got.Beat, "acme") {
			t.Errorf("without silo's variables: %+v", got)
		}
		return
	}
	if got.Mode != mode || d.Secrets && got.Secret+got.Subnet != "onetwo" || strings.Join(got.Queues, " ") != "us-west" || got.Web != "uwsgi" ||
		!strings.HasSuffix(got.Beat, "us-west") {
		t.Errorf("%+v", got)
	}
}
