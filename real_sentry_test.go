//go:build realsentry

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"silo/sentry"
	"silo/state"
	"silo/wait/waittest"
)

// realTopology is a control silo and two regions on free ports. Both regions are
// MULTI_TENANT, because some releases compare the addresses of these with a template.
const realTopology = `version = 1

[sentry]
command = [%s]
config  = "conf/sentry.conf.py"

[tunnels]
%s

[control]
port = 0

[region.us-west]
id   = 1
port = 0

[region.eu]
id   = 2
port = 0
`

// realChainConf and realChain are a prefix for sentry.conf.py and a module next to it. The
// module's view in control calls the view in each region, which calls the one in control.
const (
	realChainConf = `import os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
`
	realChainEnd = `
ROOT_URLCONF = "silo_chain"
`
	realChain = `from urllib.request import urlopen

from django.conf import settings
from django.http import HttpResponse
from django.urls import re_path

from sentry.conf.urls import *  # NOQA
from sentry.conf.urls import urlpatterns as _sentry


def get(address, left):
    with urlopen("%s/silo-chain/%d" % (address, left), timeout=30) as answer:
        return answer.read().decode()


def chain(request, left):
    if left == "0":
        return HttpResponse("control")
    if left == "1":
        return HttpResponse("region>" + get(settings.SENTRY_CONTROL_ADDRESS, 0))
    from sentry.types import region

    names = ("get_global_directory", "load_global_regions", "_load_global_regions")  # of 24.1, 23.6 and 22.10 on
    load = next(getattr(region, name) for name in names if hasattr(region, name))
    return HttpResponse(" ".join(sorted("control>" + get(r.address, 1) for r in load().regions)))


urlpatterns = [re_path(r"^silo-chain/(\d)$", chain), *_sentry]
`
)

// realLoader prints the configuration that Sentry has loaded, and the responses that its
// silo clients get from the other silos.
const realLoader = `
import json
from sentry.runner import configure
configure()
from django.conf import settings
from sentry.silo import SiloMode
from sentry.types import region

names = ("get_global_directory", "load_global_regions", "_load_global_regions")  # of 24.1, 23.6 and 22.10 on
regions = next(getattr(region, name) for name in names if hasattr(region, name))().regions
regions = sorted(regions, key=lambda r: getattr(r, "snowflake_id", getattr(r, "id", None)))
mode = SiloMode.get_current_mode()
got = {
    "mode": mode.name,
    "control": getattr(settings, "SENTRY_CONTROL_ADDRESS", None) or "",
    "prefix": settings.SENTRY_OPTIONS.get("system.url-prefix", ""),
    "local": region.get_local_region().name if mode == SiloMode.REGION else "",
    "regions": [
        {"name": r.name, "id": getattr(r, "snowflake_id", getattr(r, "id", None)), "address": r.address, "category": r.category.name}
        for r in regions
    ],
    "answers": [],
}
try:
    from sentry.silo import client
    clients = [client.RegionSiloClient(r) for r in regions if mode == SiloMode.CONTROL]
    if mode == SiloMode.REGION and hasattr(client, "ControlSiloClient"):  # not in 24.1
        clients = [client.ControlSiloClient()]
    got["answers"] = [c.request("GET", "/_health/").status_code for c in clients]
except Exception as e:
    got["answers"] = [repr(e)]
print("\n" + json.dumps(got))
`

// loaded is the output of realLoader.
type loaded struct {
	Mode    string         `json:"mode"`
	Control string         `json:"control"`
	Prefix  string         `json:"prefix"`
	Local   string         `json:"local"`
	Regions []loadedRegion `json:"regions"`
	Answers []any          `json:"answers"` // one status per silo, or one error
}

type loadedRegion struct {
	Name     string `json:"name"`
	ID       int    `json:"id"`
	Address  string `json:"address"`
	Category string `json:"category"`
}

// TestRealSentry runs the built program with each real Sentry. The services that their
// configurations name must run.
func TestRealSentry(t *testing.T) {
	installed, silo := realSentries(t), buildSilo(t)
	const domain = "provider = \"external\"\ndomain   = \"acme.ngrok.app\""
	const noWatchers = "--no-watchers"
	for _, its := range installed {
		for _, c := range []struct {
			name    string
			tunnels string
			flags   []string
			walk    func(*engineer)
		}{
			{"plain", "", []string{noWatchers}, (*engineer).day},
			{"domain", domain, []string{noWatchers}, (*engineer).far},
			{"chain", "", []string{noWatchers}, (*engineer).chain},
			{"monolith", "", []string{noWatchers}, (*engineer).monolith},
			{"workers", "", []string{noWatchers, "--workers"}, (*engineer).day},
			{"killed", "", []string{noWatchers}, (*engineer).kill},
			{"workers killed", "", []string{noWatchers, "--workers"}, (*engineer).kill},
			{"watchers", "", nil, (*engineer).pairs},
			{"not root", "", []string{noWatchers}, (*engineer).day},
			{"watchers, not root", "", nil, (*engineer).pairs},
		} {
			t.Run(its.name+"/"+c.name, func(t *testing.T) {
				e := newEngineer(t, silo, its, c.tunnels, c.flags)
				if !slices.Contains(c.flags, noWatchers) {
					e.watch()
				}
				if strings.HasSuffix(c.name, "not root") {
					e.stepDown(its)
				}
				if e.choice.Runnable() != nil && c.name != "monolith" {
					e.refused()
					return
				}
				c.walk(e)
			})
		}
	}
}

// engineer is a test with the environment of a checkout, a topology and the silo program.
type engineer struct {
	*testing.T
	silo, dir, runtime string
	uid                int    // user that the program runs as
	original           []byte // of the configuration file
	env                []string
	choice             sentry.Choice // the release
}

func newEngineer(t *testing.T, silo string, its installedSentry, tunnels string, flags []string) *engineer {
	runtime, err := os.MkdirTemp("", "silo") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runtime) })
	e := &engineer{T: t, silo: silo, dir: t.TempDir(), runtime: runtime, uid: os.Getuid(), choice: its.choice}
	if err := os.CopyFS(filepath.Join(e.dir, "conf"), os.DirFS(its.conf)); err != nil {
		t.Fatal(err)
	}
	e.original = []byte(realChainConf + e.config() + realChainEnd)
	for name, text := range map[string][]byte{"sentry.conf.py": e.original, "silo_chain.py": []byte(realChain)} {
		if err := os.WriteFile(filepath.Join(e.dir, "conf", name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := []string{`"sentry"`, `"devserver"`}
	for _, flag := range flags {
		command = append(command, strconv.Quote(flag))
	}
	text := fmt.Sprintf(realTopology, strings.Join(command, ", "), tunnels)
	if err := os.WriteFile(filepath.Join(e.dir, "silo.toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "SENTRY_") && !strings.HasPrefix(name, "SILO_") && !strings.HasPrefix(name, "UWSGI_") {
			e.env = append(e.env, entry)
		}
	}
	e.env = append(e.env,
		"PATH="+filepath.Join(its.venv, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"),
		"SILO_STATE_DIR="+filepath.Join(e.dir, "state"), "XDG_RUNTIME_DIR="+runtime, "TMPDIR="+runtime) // celery beat writes files there
	t.Cleanup(func() { _, _, _ = e.try("", "down") }) // after a failed test
	return e
}

func (e *engineer) config() string {
	data, err := os.ReadFile(filepath.Join(e.dir, "conf", "sentry.conf.py"))
	if err != nil {
		e.Fatal(err)
	}
	return string(data)
}

// try runs the program and returns its standard output, exit code and complete output.
func (e *engineer) try(stdin string, args ...string) (string, int, string) {
	c := exec.Command(e.silo, args...)
	var out, all bytes.Buffer
	c.Dir, c.Env, c.Stdin, c.SysProcAttr = e.dir, e.env, strings.NewReader(stdin), e.as()
	c.Stdout, c.Stderr = io.MultiWriter(&out, &all), &all
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		e.Fatal(err)
	}
	return out.String(), c.ProcessState.ExitCode(), all.String()
}

// run fails the test unless the program exits with code. It logs the duration.
func (e *engineer) run(code int, args ...string) string {
	e.Helper()
	started := time.Now()
	out, got, all := e.try("", args...)
	if got != code {
		e.Fatalf("silo %s exited with %d, want %d:\n%s", strings.Join(args, " "), got, code, all)
	}
	if took := time.Since(started); took > time.Second {
		e.Logf("silo %-24s %5.1f s", strings.Join(args, " "), took.Seconds())
	}
	return out
}

// status returns the output of `silo status --json`.
func (e *engineer) status() state.Snapshot {
	e.Helper()
	out, _, all := e.try("", "status", "--json")
	var s state.Snapshot
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		e.Fatalf("status --json: %v:\n%s", err, all)
	}
	return s
}

// settled returns a ready status, or the last one after 30 s. On a busy machine a silo may
// not answer a probe within its 250 ms.
func (e *engineer) settled() (s state.Snapshot) {
	e.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		if s = e.status(); s.State == state.InstanceReady {
			break
		}
	}
	return s
}

// up starts all silos and compares the status with the topology.
func (e *engineer) up() state.Snapshot {
	e.Helper()
	e.run(0, "up", "-d")
	s := e.settled()
	e.run(0, "status")
	if s.Dialect != e.choice.Dialect.Name || !strings.Contains(s.Found, "sentry "+e.choice.Release+" at ") {
		e.Errorf("detected dialect %s (%s), want %s of %s", s.Dialect, s.Found, e.choice.Dialect.Name, e.choice.Release)
	}
	if s.State != state.InstanceReady || s.PID == nil || s.Config.InStep == nil || !*s.Config.InStep || len(s.Silos) != 3 {
		e.Fatalf("status after up: %+v", s)
	}
	for i, want := range []struct {
		name string
		mode state.Mode
	}{{"control", state.Control}, {"us-west", state.Region}, {"eu", state.Region}} {
		got := s.Silos[i]
		if got.Name != want.name || got.Mode != want.mode || got.State != state.Ready || got.PID == nil || got.Restarts != 0 {
			e.Errorf("status is %+v, want %v", got, want)
		}
	}
	e.owns(s)
	return s
}

// day runs the commands that are used every day.
func (e *engineer) day() {
	s := e.up()
	e.holdsConfig()
	for _, silo := range s.Silos {
		e.answers(silo, silo.URL, "http://"+silo.Bind)
		e.loads(s, silo.Name, silo.URL)
	}
	if e.choice.Release == "23.7.1" && !strings.Contains(e.run(0, "logs", "control"), "POST 200 /api/0/internal/rpc/") {
		e.Error("no region called control")
	}
	e.run(0, "restart", "us-west")
	e.answers(e.status().Silos[1], s.Silos[1].URL)
	e.reload(e.status())
	e.down()
}

// far uses addresses that cannot be reached from here: silos become ready without them.
func (e *engineer) far() {
	s := e.up()
	e.holdsConfig()
	for _, silo := range s.Silos {
		e.answers(silo, "http://"+silo.Bind)
		e.loads(s, silo.Name, "")
	}
	e.down()
}

// chain makes control call regions that call control, with more concurrent calls than the
// devserver has threads by default.
func (e *engineer) chain() {
	s := e.up()
	const calls = 6
	answers, started := make(chan string, calls), time.Now()
	for range calls {
		go func() {
			client := http.Client{Timeout: time.Minute}
			response, err := client.Get(s.Silos[0].URL + "/silo-chain/2")
			if err != nil {
				answers <- err.Error()
				return
			}
			defer func() { _ = response.Body.Close() }()
			text, err := io.ReadAll(response.Body)
			answers <- fmt.Sprint(response.StatusCode, " ", string(text), " ", err)
		}()
	}
	for range calls {
		if got, want := waittest.Receive(e.T, answers, "answer of control"), "200 control>region>control control>region>control <nil>"; got != want {
			e.Errorf("control called regions that called control: %s", got)
		}
	}
	e.Logf("control > region > control, %d concurrent, %5.1f s", calls, time.Since(started).Seconds())
	e.down()
}

// monolith runs one devserver before and after the silos, without editing the topology in
// between.
func (e *engineer) monolith() {
	one := func() {
		e.run(0, "up", "-d", "--mode", "monolith")
		s := e.status()
		if len(s.Silos) != 1 || s.Silos[0].Mode != state.Monolith || s.State != state.InstanceReady {
			e.Fatalf("status after up --mode monolith: %+v", s)
		}
		for _, path := range []string{"/api/0/organizations/", "/api/0/users/me/"} {
			if code := e.get(s.Silos[0].URL + path); code != 401 && code != 403 {
				e.Errorf("%s is %d", path, code)
			}
		}
		got := e.load("control")
		if e.monolithLoads(got, s.Silos[0].URL); got.Mode != "MONOLITH" || got.Control != "" {
			e.Errorf("the monolith loaded %+v", got)
		}
		e.run(0, "down")
	}
	one()
	if e.choice.Runnable() == nil {
		e.up()
		e.run(0, "down")
	} else {
		e.run(0, "config", "write")
	}
	one() // with silo's block in the file
	e.run(0, "config", "remove")
	if !bytes.Equal([]byte(e.config()), e.original) {
		e.Errorf("the configuration changed:\n%s", e.config())
	}
}

// monolithLoads checks the regions of a monolith. With silo's block, they are those of the
// topology and Sentry's own one, all at the monolith's address.
func (e *engineer) monolithLoads(got loaded, url string) {
	e.Helper()
	var names, want []string
	for _, r := range got.Regions {
		if names = append(names, r.Name); r.Address != url {
			e.Errorf("region %s of the monolith is at %s, not at %s", r.Name, r.Address, url)
		}
	}
	if slices.Sort(names); len(e.choice.Dialect.Fallback) > 0 {
		want = []string{"--monolith--"}
		if strings.Contains(e.config(), "us-west") {
			want = []string{"--monolith--", "eu", "us-west"}
		}
	}
	if !slices.Equal(names, want) {
		e.Errorf("the monolith has the regions %v, want %v", names, want)
	}
}

// refused checks a release that cannot run as silos: up fails at once.
func (e *engineer) refused() {
	started := time.Now()
	_, code, all := e.try("", "up", "-d")
	if code != 5 || !strings.Contains(all, "cannot run as silos") || !bytes.Equal([]byte(e.config()), e.original) {
		e.Errorf("exit %d: %s", code, all)
	}
	e.Logf("refused after %.1f s", time.Since(started).Seconds())
	e.run(0, "config", "print")
	e.run(3, "config", "check")
	e.run(0, "config", "write")
	e.run(0, "config", "check")
	e.run(0, "config", "remove")
}

// kill kills the supervisor before it runs down.
func (e *engineer) kill() {
	s := e.up()
	left := e.tree(*s.PID)
	started := time.Now()
	if err := syscall.Kill(*s.PID, syscall.SIGKILL); err != nil {
		e.Fatal(err)
	}
	e.run(0, "down")
	// The guardian may still be cleaning up while down runs. It must exit by itself.
	for end := time.Now().Add(2 * time.Second); len(e.left(left)) > 0 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	e.Logf("gone after kill and down %5.1f s", time.Since(started).Seconds())
	e.nothing(s, left)
}

func (e *engineer) down() {
	s := e.status()
	left := e.tree(*s.PID)
	e.Logf("%d processes below the supervisor", len(left)-1)
	e.run(0, "down")
	e.nothing(s, left)
	e.run(0, "config", "remove")
	if !bytes.Equal([]byte(e.config()), e.original) {
		e.Errorf("the configuration changed:\n%s", e.config())
	}
}

// holdsConfig checks that the file contains the printed block exactly.
func (e *engineer) holdsConfig() {
	e.Helper()
	block := e.run(0, "tunnels", "--print-config")
	if !strings.Contains(block, "SENTRY_REGION_CONFIG") || !strings.Contains(e.config(), block) {
		e.Errorf("the file does not contain\n%s", block)
	}
	e.run(0, "config", "check")
}

// answers checks the mode of a silo at each address.
func (e *engineer) answers(s state.Silo, at ...string) {
	e.Helper()
	for _, base := range at {
		want := map[string]int{"/_health/": 200}
		for _, probe := range e.choice.Dialect.Probes {
			if want[probe.Path] = probe.Region; s.Mode == state.Control {
				want[probe.Path] = probe.Control
			}
		}
		for path, want := range want {
			if code := e.get(base + path); code != want && (want != 401 || code != 403) { // 23.1.1 returns 403
				e.Errorf("%s: %s%s is %d, want %d", s.Name, base, path, code, want)
			}
		}
	}
}

func (e *engineer) get(url string) int {
	e.Helper()
	response, err := http.Get(url)
	if err != nil {
		e.Error(err)
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// load runs Sentry's loader in a silo's environment.
func (e *engineer) load(name string) loaded {
	e.Helper()
	out, code, all := e.try(realLoader, "run", name, "--", "python", "-")
	out = strings.TrimSpace(out)
	var got loaded
	if err := json.Unmarshal([]byte(out[strings.LastIndex(out, "\n")+1:]), &got); err != nil || code != 0 {
		e.Fatalf("loader in %s exited with %d, %v:\n%s", name, code, err, all)
	}
	return got
}

// loads compares the configuration that a silo loads with the status. If address is not
// empty, its silo clients must reach the others.
func (e *engineer) loads(s state.Snapshot, name, address string) {
	e.Helper()
	got := e.load(name)
	called := func(silo state.Silo) string { // the address that other silos use
		if address == "" && e.choice.Dialect.SplitAddresses {
			return "http://" + silo.Bind
		}
		return silo.URL
	}
	i := slices.IndexFunc(s.Silos, func(s state.Silo) bool { return s.Name == name })
	local, others := "", 2
	if s.Silos[i].Mode == state.Region {
		local, others = name, 1
	}
	if got.Mode != string(s.Silos[i].Mode) || got.Control != called(s.Silos[0]) || got.Local != local || len(got.Regions) != 2 || got.Prefix != s.Silos[0].URL {
		e.Fatalf("%s loaded %+v", name, got)
	}
	for j, r := range got.Regions {
		want := s.Silos[j+1]
		if r.Name != want.Name || r.Address != called(want) || r.ID != *want.RegionID || r.Category != *want.Category {
			e.Errorf("%s loaded region %+v, want %+v", name, r, want)
		}
	}
	reached := slices.Repeat([]any{200.0}, others)
	hasClient := e.choice.Release > "23" // 22.10 has none, and 22.11's fails on each request
	if local != "" && e.choice.Release > "24" {
		hasClient = false // a region has no client for control
	}
	if hasClient && (address != "" || e.choice.Dialect.SplitAddresses) && !slices.Equal(got.Answers, reached) {
		e.Errorf("silo clients in %s get %v, want %v", name, got.Answers, reached)
	}
}

// reload breaks and restores the block while the silos run. They must reload it without a
// restart.
func (e *engineer) reload(before state.Snapshot) {
	e.Helper()
	booted := func(name string) int {
		return strings.Count(e.run(0, "logs", name), "WSGI app 0 (mountpoint='') ready")
	}
	boots := map[string]int{}
	for _, s := range before.Silos {
		boots[s.Name] = booted(s.Name)
	}
	wrong := strings.Replace(e.config(), before.Silos[0].URL, "http://127.0.0.1:1", 1)
	if err := os.WriteFile(filepath.Join(e.dir, "conf", "sentry.conf.py"), []byte(wrong), 0o600); err != nil {
		e.Fatal(err)
	}
	e.run(3, "config", "check")
	e.run(0, "config", "write")
	for started := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		s, again := e.status(), true
		for i, silo := range s.Silos {
			if silo.Restarts != 0 || silo.PID == nil || *silo.PID != *before.Silos[i].PID || silo.State != state.Ready && silo.State != state.Unready {
				e.Fatalf("%s while reloading: %+v", silo.Name, silo)
			}
			again = again && silo.State == state.Ready && booted(silo.Name) > boots[silo.Name]
		}
		if again {
			e.Logf("reloaded after           %5.1f s", time.Since(started).Seconds())
			break
		}
		if time.Since(started) > 2*time.Minute {
			e.Fatalf("not ready again: %+v", s)
		}
	}
	e.holdsConfig()
}

// process is a line of ps. The start time distinguishes it from a later process with its PID.
type process struct{ pid, parent, user, started, line string }

// processes returns all living processes.
func (e *engineer) processes() map[string]process {
	e.Helper()
	out, err := exec.Command("ps", "-axo", "pid=,ppid=,uid=,stat=,lstart=,command=").Output()
	if err != nil {
		e.Fatal(err)
	}
	all := map[string]process{}
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		if len(f) > 9 && !strings.HasPrefix(f[3], "Z") {
			all[f[0]] = process{f[0], f[1], f[2], strings.Join(f[4:9], " "), line}
		}
	}
	return all
}

// tree returns a process and its descendants.
func (e *engineer) tree(root int) []process {
	all := e.processes()
	tree := []process{all[strconv.Itoa(root)]}
	for i := 0; i < len(tree); i++ {
		for _, p := range all {
			if p.parent == tree[i].pid {
				tree = append(tree, p)
			}
		}
	}
	return tree
}

// left returns those of the processes in ran that are alive, and on Linux all others that
// have this instance's environment.
func (e *engineer) left(ran []process) []string {
	e.Helper()
	all, lines := e.processes(), []string{}
	for _, p := range ran {
		if now, alive := all[p.pid]; alive && now.started == p.started {
			lines = append(lines, now.line)
		}
	}
	environs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range environs {
		data, err := os.ReadFile(file)
		line := all[filepath.Base(filepath.Dir(file))].line
		if err == nil && bytes.Contains(data, []byte("SILO_STATE_DIR="+e.dir)) && !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	return lines
}

// nothing checks that only state files of an instance are left.
func (e *engineer) nothing(s state.Snapshot, ran []process) {
	e.Helper()
	for _, line := range e.left(ran) {
		e.Errorf("still running: %s", line)
	}
	for _, silo := range s.Silos {
		for _, address := range []string{silo.Bind, backendOf(silo), strings.TrimPrefix(silo.URL, "http://")} {
			if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
				_ = conn.Close()
				e.Errorf("%s still answers at %s", silo.Name, address)
			}
		}
	}
	if sockets, _ := filepath.Glob(filepath.Join(e.runtime, "silo", "*")); len(sockets) > 0 {
		e.Errorf("left: %v", sockets)
	}
	e.run(4, "status")
}
