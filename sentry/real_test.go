package sentry

import (
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"silo/topology"
)

// loaded is the output of testdata/load.py.
type loaded struct {
	Mode           string
	Regions        map[string][]any
	Local, Control string
	Secret, Subnet string
	Beat           string
	Queues         []string
	Web            string

	URLPrefix, Template, Cookies string
	Hosts, Origins               []string
	Django                       int
	Single, Snowflake            bool
	ForwardsTo                   map[string]string
}

// realReleases returns installed releases of Sentry: $REAL_SENTRY_DIR/RELEASE/venv, with a
// configuration made by `sentry init` in RELEASE/conf.
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

// realAddresses are the addresses of a test's silos: on loopback, and in a public domain.
// Both regions are MULTI_TENANT, so Sentry 23.3.1 to 23.6.2 compares them with a template.
func realAddresses() map[string]func(name string) string {
	ports := map[string]string{"": "20000", "us-west": "20001", "eu": "20002"}
	return map[string]func(string) string{
		"loopback": func(name string) string { return "http://127.0.0.1:" + ports[name] },
		"domain":   func(name string) string { return "https://" + strings.TrimPrefix(name+".acme.ngrok.app", ".") },
	}
}

func TestRealSentryReadsRegionConfig(t *testing.T) {
	t.Parallel()
	for release, root := range realReleases(t) {
		program := filepath.Join(root, "venv", "bin", "sentry")
		choice, err := Choose(t.Context(), "auto", Finder{Dir: t.TempDir(), Command: []string{program, "devserver"}, Env: os.LookupEnv})
		if err != nil || !strings.HasPrefix(choice.Release, release) { // a directory 24.1 may have a checkout of 24.1.0.dev0
			t.Errorf("%s: chose %+v, %v", release, choice, err)
			continue
		}
		for kind, address := range realAddresses() {
			conf := t.TempDir()
			if err := os.CopyFS(conf, os.DirFS(filepath.Join(root, "conf"))); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(conf, "sentry.conf.py")
			config := Config{
				Instance: "acme", File: "silo.toml", Dialect: choice.Dialect, ControlURL: address(""), Workers: true, PerSilo: true,
				Regions: []Region{{Name: "us-west", ID: 1, URL: address("us-west"), Category: "MULTI_TENANT"}, {Name: "eu", ID: 4095, URL: address("eu"), Category: "MULTI_TENANT"}},
			}
			block, err := Render(config)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Write(t.Context(), path, block); err != nil {
				t.Fatal(err)
			}
			for _, mode := range []string{"CONTROL", "REGION", "MONOLITH", "by itself", "CONTROL by itself"} {
				t.Run(release+" "+kind+" "+mode, func(t *testing.T) {
					t.Parallel()
					checkLoaded(t, config, filepath.Join(root, "venv", "bin", "python"), path, mode)
				})
			}
		}
	}
}

// loadReal loads a configuration with a release's Python, in a silo's environment or with
// only the mode set.
func loadReal(t *testing.T, config Config, python, path, mode string) loaded {
	t.Helper()
	load := exec.CommandContext(t.Context(), python, "testdata/load.py", filepath.Dir(path))
	load.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	mode, byItself := strings.CutSuffix(mode, "by itself")
	switch {
	case !byItself:
		l := Launch{
			Mode: mode, Port: 8000, ConfigPath: path, Instance: "i", RunID: "r", RPCSecret: "one,zero", SubnetSecret: "two",
			Silo: topology.Silo{Name: "us-west", Command: []string{"sentry", "devserver", "--workers"}},
			URLs: map[string]string{"SILO_URL_CONTROL": config.ControlURL},
		}
		if mode != "MONOLITH" {
			l.Database = "us_west"
		}
		for _, v := range Environ(load.Env, l, config.Dialect) {
			load.Env = append(load.Env, v.Name+"="+v.Value)
		}
		load.Env = append(load.Env, "UWSGI_HTTP=as devserver sets it for its children")
	case mode != "":
		load.Env = append(load.Env, "SENTRY_SILO_MODE="+strings.TrimSpace(mode))
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
	return got
}

func checkLoaded(t *testing.T, config Config, python, path, mode string) {
	t.Helper()
	got := loadReal(t, config, python, path, mode)
	wantRegions, wantControl := map[string][]any{}, config.ControlURL
	for _, r := range config.Regions {
		wantRegions[r.Name] = []any{float64(r.ID), r.URL, r.Category}
	}
	if mode == "MONOLITH" {
		wantControl = ""
		wantRegions = map[string][]any{}
		if len(config.Dialect.Fallback) > 0 { // all of the names that a mapping may have
			for _, r := range append(config.Regions, Region{Name: "--monolith--", ID: 1, Category: "MULTI_TENANT"}) {
				wantRegions[r.Name] = []any{float64(r.ID), config.ControlURL, r.Category}
			}
		}
	}
	if !reflect.DeepEqual(got.Regions, wantRegions) || got.Control != wantControl {
		t.Errorf("regions %v, control %q; want %v, %q", got.Regions, got.Control, wantRegions, wantControl)
	}
	if mode == "REGION" && got.Local != "us-west" {
		t.Errorf("local region %q", got.Local)
	}
	if strings.HasSuffix(mode, "by itself") {
		if got.Mode != cmp.Or(strings.TrimSuffix(mode, " by itself"), "MONOLITH") && mode != "by itself" || got.Secret+got.Subnet+got.Web+got.Cookies+strings.Join(got.Queues, "") != "" ||
			len(got.Origins) > 0 || strings.Contains(got.Beat, "acme") {
			t.Errorf("without silo's variables: %+v", got)
		}
		return
	}
	if got.Single != (mode == "MONOLITH") || got.Snowflake != (mode != "MONOLITH") {
		t.Errorf("single organization %t, snowflakes %t", got.Single, got.Snowflake)
	}
	if config.Dialect.PublicGateway && mode == "CONTROL" {
		for _, r := range config.Regions {
			if got.ForwardsTo[r.Name] != r.URL+"/" {
				t.Errorf("control forwards requests for %s to %s", r.Name, got.ForwardsTo[r.Name])
			}
		}
	}
	if got.Mode != mode || config.Dialect.Secrets && got.Secret+got.Subnet != "one,zerotwo" || strings.Join(got.Queues, " ") != "us-west" || got.Web != "uwsgi" ||
		!strings.HasSuffix(got.Beat, "us-west") {
		t.Errorf("%+v", got)
	}
	checkPublic(t, config, got, mode)
}

// checkPublic compares the settings for browsers with those that Django loaded.
func checkPublic(t *testing.T, config Config, got loaded, mode string) {
	t.Helper()
	want := config.public()
	switch {
	case mode == "MONOLITH":
		want.URLTemplate = ""
	case mode == "CONTROL" && config.Dialect.PublicGateway:
		want.URLTemplate = "{region}" // Sentry replaces this with the address
	}
	origins := want.OriginHosts
	if got.Django >= 4 {
		origins = want.Origins
	}
	cookies := strings.TrimSuffix(strings.Repeat(want.CookieDomain+" ", 3), " ")
	if want.CookieDomain == "" {
		cookies = ""
	}
	if got.URLPrefix != want.URLPrefix || got.Template != want.URLTemplate || got.Cookies != cookies || !slices.Equal(got.Origins, origins) ||
		len(want.Hosts) > 0 && !slices.Equal(got.Hosts, want.Hosts) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
