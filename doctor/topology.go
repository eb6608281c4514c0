package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"

	"silo/topology"
	"silo/tunnels"
)

func checkTopology(_ context.Context, e *examination, c *Check) {
	var problems topology.Problems
	switch {
	case errors.As(e.TopologyErr, &problems):
		for _, p := range problems {
			c.add(Fail, p.String(), p.Hint)
		}
		c.add(Fail, plural(len(problems), "problem")+" in "+e.File, "fix the file, then run silo doctor again for the skipped checks")
	case e.File == "":
		c.add(Fail, "no silo.toml in this directory or above; the other checks use the defaults", "silo init", "silo up --demo, which needs no topology")
	case e.TopologyErr != nil:
		c.add(Fail, e.TopologyErr.Error(), "silo init", "name another file with -f")
	default:
		t := e.Topology
		c.add(OK, fmt.Sprintf("%s: %q, control and %s, tunnels by %s", t.File, t.Name, plural(len(t.Regions), "region"), t.Tunnels.Provider))
		for _, p := range t.Warnings {
			c.add(Warn, p.String(), cmp.Or(p.Hint, "fix it in "+e.File))
		}
	}
}

// The limits of ngrok's plans below pay-as-you-go (ngrok-docs,
// pricing-limits/free-plan-limits.mdx).
const (
	freeDomains   = 1
	freeEndpoints = 3
)

func checkTunnels(ctx context.Context, e *examination, c *Check) {
	t := e.Topology.Tunnels
	if t.Provider != tunnels.Ngrok {
		c.add(OK, map[string]string{
			tunnels.Local:    "local: addresses on this machine, without any requirements",
			tunnels.External: "external: not checked here; once the instance runs, silo check tries the addresses",
			tunnels.None:     "none: each silo's address is its own port",
		}[t.Provider])
		return
	}
	token, source, err := tunnels.FindToken(t.Ngrok.Authtoken, e.Env, e.Home, runtime.GOOS)
	var provider tunnels.Provider
	if err == nil {
		provider, err = tunnels.New(tunnels.Config{Provider: t.Provider, Ngrok: tunnels.NgrokConfig{
			Authtoken: token, TokenSource: source, ServerAddr: t.Ngrok.ServerAddr, RootCAs: t.Ngrok.RootCAs,
		}})
	}
	if err != nil {
		hint := ""
		if known := new(tunnels.Error); errors.As(err, &known) {
			hint = known.Hint
		}
		c.add(Fail, "ngrok: "+err.Error(), hint)
		return
	}
	_ = provider.Close(ctx) // it has opened nothing
	c.add(OK, "ngrok: authtoken from "+source+" (not verified with the service)")

	silos, domains := e.Topology.Silos(), map[string]bool{}
	for _, s := range silos {
		domains[cmp.Or(s.Domain, s.Name)] = true // domains that ngrok assigns count too
	}
	const local = `or set provider = "local" in [tunnels], which needs no account`
	if len(domains) > freeDomains {
		c.add(Warn, fmt.Sprintf("%d host names; ngrok's free plan includes %d", len(domains), freeDomains), "reserve the domains in ngrok's dashboard, with a paid plan", local)
	}
	if len(silos) > freeEndpoints {
		c.add(Warn, fmt.Sprintf("%d endpoints; ngrok's free and hobbyist plans allow %d", len(silos), freeEndpoints), "switch to ngrok's pay-as-you-go plan", local)
	}
}
