package plan

import (
	"strings"
	"testing"

	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// The addresses for calls between silos depend on sentry.addresses, the provider and the
// dialect. Browsers always get the silo's own address.
func TestRegionConfigAddresses(t *testing.T) {
	t.Parallel()
	const public, backend = "https://us.acme.ngrok.app", "http://127.0.0.1:8003"
	for _, c := range []struct{ addresses, provider, dialect, want string }{
		{"auto", "ngrok", "tuple-id", public},
		{"auto", "ngrok", "tuple-json", public},
		{"auto", "ngrok", "dict", backend},
		{"auto", "external", "cells-strict", backend},
		{"auto", "local", "dict", public},
		{"auto", "none", "dict", public},
		{"public", "ngrok", "dict", public},
		{"loopback", "ngrok", "tuple-id", backend},
		{"loopback", "local", "tuple-json", backend},
	} {
		choice, err := sentry.Choose(t.Context(), c.dialect, sentry.Finder{})
		if err != nil {
			t.Fatal(err)
		}
		topo := &topology.Topology{Name: "acme", File: "/x/silo.toml", Sentry: topology.Sentry{Addresses: c.addresses}, Tunnels: topology.Tunnels{Provider: c.provider}}
		p := &Layout{Plan: Plan{Topology: topo, Choice: choice}, Placed: []Placed{
			{Silo: Silo{Silo: topology.Silo{Name: "control"}, Mode: state.Control}, Port: 8000, HealthPort: 8001, URL: "https://acme.ngrok.app"},
			{Silo: Silo{Silo: topology.Silo{Name: "us", ID: 1, Category: "MULTI_TENANT"}, Mode: state.Region}, Port: 8002, HealthPort: 8003, URL: public},
		}}
		block, err := p.RegionConfig()
		if err != nil {
			t.Fatal(err)
		}
		unguarded, guarded, _ := strings.Cut(block.Text(), `if os.environ.get("SILO_RUN_ID"):`)
		if !strings.Contains(unguarded, `"`+c.want+`"`) || choice.Dialect.Minimal == strings.Contains(guarded, `["system.url-prefix"] = "https://acme.ngrok.app"`) {
			t.Errorf("%+v:\n%s", c, block.Text())
		}
	}
}
