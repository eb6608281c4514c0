package topology_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"silo/topology"
)

// numbered returns n keys, each followed by after.
func numbered(key, after string, n int) string {
	var out strings.Builder
	for i := range n {
		out.WriteString(`"` + key + strconv.Itoa(i) + `"` + after)
	}
	return out.String()
}

// TestRoundTrip renders topologies with random keys and parses them.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawTopology(t)
		text := render(t, want)
		got, err := topology.Parse(want.File, []byte(text), nil, lookup(map[string]string{"HOME": "/home/ada"}))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreFields(topology.Topology{}, "Warnings")); diff != "" {
			t.Fatalf("want - got +\n%s\n%s", diff, text)
		}
	})
}

var word = rapid.StringMatching(`[a-z][a-z0-9]{0,8}`)

// drawTopology draws a topology whose written ports do not conflict with defaults.
func drawTopology(t *rapid.T) *topology.Topology {
	want := &topology.Topology{
		File: "/home/ada/acme/silo.toml", Dir: "/home/ada/acme",
		Name: word.Draw(t, "name"),
		Sentry: topology.Sentry{
			Dir: "/home/ada/acme/" + word.Draw(t, "dir"), Command: drawCommand(t), Config: "/home/ada/.sentry/sentry.conf.py",
			Dialect:   rapid.SampledFrom([]string{"auto", "22.10.0", "24.1.0", "list", "cells"}).Draw(t, "dialect"),
			Addresses: rapid.SampledFrom([]string{"public", "loopback", "auto"}).Draw(t, "addresses"),
			Databases: rapid.SampledFrom([]string{"shared", "per-silo"}).Draw(t, "databases"),
		},
		Tunnels: topology.Tunnels{
			Provider: rapid.SampledFrom([]string{"local", "ngrok", "none"}).Draw(t, "provider"),
			Domain:   rapid.SampledFrom([]string{"", "acme.test"}).Draw(t, "domain"),
			Ngrok:    topology.Ngrok{Authtoken: word.Draw(t, "authtoken"), Metadata: rapid.String().Filter(literal).Draw(t, "metadata")},
		},
		Isolation: rapid.SampledFrom([]string{"off", "warn", "block"}).Draw(t, "isolation"),
		Logs:      topology.Logs{Max: rapid.Int64Range(1, 1<<40).Draw(t, "max"), Keep: rapid.IntRange(1, 10000).Draw(t, "keep")},
	}
	want.Control = drawSilo(t, want, "control", 0)
	names := rapid.SliceOfNDistinct(word.Filter(func(name string) bool {
		return !slices.Contains([]string{"control", "all", "monolith"}, name)
	}), 1, 6, rapid.ID[string]).Draw(t, "regions")
	ids := rapid.SliceOfNDistinct(rapid.IntRange(1, 4095), len(names), len(names), rapid.ID[int]).Draw(t, "ids")
	slices.Sort(ids)
	for i, name := range names {
		region := drawSilo(t, want, name, i+1)
		region.ID = ids[i]
		region.Category = rapid.SampledFrom([]string{"MULTI_TENANT", "SINGLE_TENANT"}).Draw(t, "category")
		want.Regions = append(want.Regions, region)
	}
	return want
}

func drawSilo(t *rapid.T, within *topology.Topology, name string, i int) topology.Silo {
	silo := topology.Silo{
		Name: name, Port: 8000 + 2*i, Watchers: rapid.Bool().Draw(t, "watchers"), TTY: rapid.Bool().Draw(t, "tty"), Managed: rapid.Bool().Draw(t, "managed"), Domain: within.Tunnels.Domain,
		HostHeader: rapid.SampledFrom([]string{"preserve", "rewrite", "sentry.test"}).Draw(t, "host_header"),
		BasicAuth:  rapid.SliceOfN(rapid.Just("ada:correct horse"), 0, 2).Draw(t, "basic_auth"),
		AllowCIDRs: rapid.SliceOfN(rapid.SampledFrom([]string{"10.0.0.0/8", "::/0"}), 0, 2).Draw(t, "allow_cidrs"),
		Dir:        "/srv/" + word.Draw(t, "dir"), Command: drawCommand(t), Env: drawEnv(t),
		Ready: topology.Ready{
			Off: rapid.Bool().Draw(t, "off"), Path: "/" + word.Draw(t, "path"),
			Status: rapid.IntRange(100, 599).Draw(t, "status"), Timeout: drawDuration(t), Interval: drawDuration(t),
		},
		Restart: topology.Restart{
			Policy: rapid.SampledFrom([]string{"no", "on-failure", "always"}).Draw(t, "policy"),
			Max:    rapid.IntRange(0, 100).Draw(t, "max"), Backoff: drawDuration(t), Window: drawDuration(t),
		},
		Stop: topology.Stop{
			Signal: rapid.SampledFrom([]string{"TERM", "INT", "HUP", "QUIT", "KILL", "USR1", "USR2"}).Draw(t, "signal"),
			Grace:  drawDuration(t),
		},
	}
	silo.Restart.BackoffMax = silo.Restart.Backoff + drawDuration(t)
	if silo.Ready.Off {
		silo.Ready = topology.Ready{Off: true, Path: "/_health/", Status: 200, Timeout: 3 * time.Minute, Interval: 100 * time.Millisecond}
	}
	if i > 0 && silo.Domain != "" {
		silo.Domain = name + "." + silo.Domain
	}
	switch rapid.IntRange(0, 2).Draw(t, "port") {
	case 1:
		silo.Port = 0
	case 2:
		silo.Port, silo.PortFixed = 20000+10*i+rapid.IntRange(0, 8).Draw(t, "fixed"), true
	}
	return silo
}

func drawDuration(t *rapid.T) time.Duration {
	return time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "duration"))
}

func drawCommand(t *rapid.T) []string {
	return append([]string{word.Draw(t, "program")}, rapid.SliceOfN(rapid.String().Filter(literal), 0, 3).Draw(t, "arguments")...)
}

func drawEnv(t *rapid.T) map[string]string {
	return rapid.MapOfN(rapid.StringMatching(`[A-Z][A-Z_]{0,6}x`), rapid.String().Filter(literal), 0, 3).Draw(t, "env")
}

// literal reports whether a string is unchanged by expansion and valid in an
// environment.
func literal(text string) bool {
	return !strings.HasPrefix(text, "~") && !strings.Contains(text, "${") && !strings.ContainsRune(text, 0)
}

// render renders a topology as TOML, with silos in any order.
func render(t *rapid.T, want *topology.Topology) string {
	var out strings.Builder
	line := func(key string, value any) { fmt.Fprintf(&out, "%s = %s\n", key, tomlOf(value)) }
	line("version", 1)
	line("name", want.Name)
	line("isolation.regions", want.Isolation)
	line("logs", map[string]any{"max": want.Logs.Max, "keep": want.Logs.Keep})
	out.WriteString("[sentry]\n")
	line("dir", strings.TrimPrefix(want.Sentry.Dir, want.Dir+"/"))
	line("command", want.Sentry.Command)
	line("dialect", want.Sentry.Dialect)
	line("addresses", want.Sentry.Addresses)
	line("databases", want.Sentry.Databases)
	line("env", want.Sentry.Env)
	out.WriteString("[tunnels]\n")
	line("provider", want.Tunnels.Provider)
	line("domain", want.Tunnels.Domain)
	line("ngrok.authtoken", want.Tunnels.Ngrok.Authtoken)
	line("ngrok.metadata", want.Tunnels.Ngrok.Metadata)
	silos := rapid.Permutation(want.Silos()).Draw(t, "order")
	for _, silo := range silos {
		header := "control"
		if !silo.IsControl() {
			header = "region." + silo.Name
		}
		fmt.Fprintf(&out, "[%s]\n", header)
		if !silo.IsControl() {
			line("id", silo.ID)
			line("category", silo.Category)
		}
		renderSilo(line, silo)
	}
	return out.String()
}

func renderSilo(line func(string, any), silo topology.Silo) {
	if silo.PortFixed || silo.Port == 0 {
		line("port", silo.Port)
	}
	line("watchers", silo.Watchers)
	line("tty", silo.TTY)
	line("managed", silo.Managed)
	line("host_header", silo.HostHeader)
	line("basic_auth", silo.BasicAuth)
	line("allow_cidrs", silo.AllowCIDRs)
	line("dir", silo.Dir)
	line("command", silo.Command)
	line("env", silo.Env)
	if silo.Ready.Off {
		line("ready", false)
	} else {
		line("ready", map[string]any{
			"path": silo.Ready.Path, "status": silo.Ready.Status,
			"timeout": silo.Ready.Timeout.String(), "interval": silo.Ready.Interval.String(),
		})
	}
	line("restart.policy", silo.Restart.Policy)
	line("restart.max", silo.Restart.Max)
	line("restart.backoff", silo.Restart.Backoff.String())
	line("restart.backoff_max", silo.Restart.BackoffMax.String())
	line("restart.window", silo.Restart.Window.String())
	line("stop", map[string]any{"signal": silo.Stop.Signal, "grace": silo.Stop.Grace.String()})
}

// tomlOf returns a value in TOML.
func tomlOf(value any) string {
	var parts []string
	switch value := value.(type) {
	case string:
		return quoted(value)
	case []string:
		for _, item := range value {
			parts = append(parts, quoted(item))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]string:
		for name, item := range value {
			parts = append(parts, quoted(name)+" = "+quoted(item))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	case map[string]any:
		for name, item := range value {
			parts = append(parts, name+" = "+tomlOf(item))
		}
		return "{ " + strings.Join(parts, ", ") + " }"
	default:
		return fmt.Sprint(value)
	}
}

// quoted returns a TOML basic string.
func quoted(text string) string {
	var out strings.Builder
	for _, r := range text {
		if r == '"' || r == '\\' || r < ' ' || r == 0x7f {
			fmt.Fprintf(&out, `\u%04X`, r)
			continue
		}
		out.WriteRune(r)
	}
	return `"` + out.String() + `"`
}

// thousand returns a topology of a thousand regions.
func thousand() []byte {
	var out strings.Builder
	out.WriteString("version = 1\ntunnels.domain = \"acme.test\"\n")
	for i := range 1000 {
		fmt.Fprintf(&out, "\n[region.r%d]\nid = %d\nport = %d\nenv = { A = \"${HOME}\", B = \"b\" }\nready = { timeout = \"2m\" }\nstop.grace = \"3s\"\n", i, i+1, 10000+2*i)
	}
	return []byte(out.String())
}

func BenchmarkParseThousandRegions(b *testing.B) {
	text, env := thousand(), lookup(map[string]string{"HOME": "/home/ada"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := topology.Parse("/home/ada/acme/silo.toml", text, nil, env); err != nil {
			b.Fatal(err)
		}
	}
}
