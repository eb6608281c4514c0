package doctor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"silo/ports"
	"silo/state"
	"silo/topology"
	"silo/tunnels"
)

// lookAtPorts tries each silo's port for an instant.
func lookAtPorts(ctx context.Context, v *visit, c *Check) {
	_, _ = v.block() // it tries the same ports: not both at once
	running := v.Instance != nil && v.Instance.Running()
	remembered, free := map[string]int{}, []string(nil)
	if v.Instance != nil {
		remembered = v.Instance.Ports()
	}
	for _, s := range v.Topology.Silos() {
		port := s.Port
		if last := remembered[s.Name]; last != 0 && !s.PortFixed {
			port = last
		}
		if port == 0 {
			free = append(free, "any ("+s.Name+")")
			continue
		}
		if note := v.lookAtPort(ctx, s, port, running, c); note != "" {
			free = append(free, note)
		}
	}
	if len(free) > 0 {
		c.add(OK, "free: "+strings.Join(free, ", "))
	}
}

// lookAtPort tells of a port that is not free, and else returns its name.
func (v *visit) lookAtPort(ctx context.Context, s topology.Silo, port int, running bool, c *Check) (free string) {
	want := ports.Want{Name: s.Name, Port: port, Fixed: true, Span: 1}
	named := fmt.Sprintf("%d (%s)", port, s.Name)
	if s.Watchers {
		want.Span, named = 2, fmt.Sprintf("%d and %d (%s)", port, port+1, s.Name)
	}
	held, err := ports.Reserve(ctx, []ports.Want{want})
	var taken ports.Conflicts
	switch {
	case err == nil:
		_ = held.Close() // it was only a question
		return named
	case !errors.As(err, &taken):
		c.add(Fail, err.Error(), "port of "+s.Name+" in silo.toml")
	case running && v.own(s.Name, port):
		c.add(OK, named+": this instance runs, and has it")
	case !v.Topology.Sentry.Managed:
		c.add(OK, taken.Error()+", and you start the devservers yourself")
	default:
		v.lookAtTaken(s, taken, c)
	}
	return ""
}

// own tells whether the running instance has that port for that silo.
func (v *visit) own(name string, port int) bool {
	last, err := v.Instance.Last()
	return err == nil && slices.ContainsFunc(last.Silos, func(s state.Silo) bool { return s.Name == name && s.Port == port })
}

func (v *visit) lookAtTaken(s topology.Silo, taken ports.Conflicts, c *Check) {
	for _, one := range taken {
		mend := "the holder may be another user's process"
		if s, ours := v.holding(one); ours {
			mend = "silo -f " + s.File + " down ends " + s.Name + ", which has it"
		} else if one.Holder != nil {
			mend = fmt.Sprintf("kill %d ends %s", one.Holder.PID, strings.TrimSpace(one.Holder.Args))
		}
		if s.PortFixed {
			c.add(Fail, one.String(), mend, "or change port of "+s.Name+" in silo.toml")
		} else {
			c.add(Warn, one.String()+"; another one is taken instead", mend)
		}
	}
}

// holding is the running instance that has a port: its silos would only be started
// again when they are killed.
func (v *visit) holding(c ports.Conflict) (state.Snapshot, bool) {
	if c.Holder == nil {
		return state.Snapshot{}, false
	}
	return state.Holding(v.Env, c.Holder.PID, c.Port)
}

// What ngrok's plans below pay-as-you-go allow (ngrok-docs,
// pricing-limits/free-plan-limits.mdx).
const (
	freeDomains   = 1
	freeEndpoints = 3
)

// lookAtTunnels looks for what the provider needs.
func lookAtTunnels(ctx context.Context, v *visit, c *Check) {
	t := v.Topology.Tunnels
	if t.Provider != tunnels.Ngrok {
		c.add(OK, map[string]string{
			tunnels.Local:    "local: addresses on this machine, which need nothing",
			tunnels.External: "external: somebody else keeps the addresses; silo check, once it runs, tries them",
			tunnels.None:     "none: each silo's own port is its address",
		}[t.Provider])
		return
	}
	token, source, err := tunnels.FindToken(t.Ngrok.Authtoken, v.Env, v.Home, runtime.GOOS)
	if err != nil {
		ngrokFault(err, c)
		return
	}
	provider, err := tunnels.New(tunnels.Config{Provider: t.Provider, Ngrok: tunnels.NgrokConfig{
		Authtoken: token, TokenSource: source, ServerAddr: t.Ngrok.ServerAddr, RootCAs: t.Ngrok.RootCAs,
	}})
	if err != nil {
		ngrokFault(err, c)
		return
	}
	_ = provider.Close(ctx) // it was never used
	c.add(OK, "ngrok: an authtoken from "+source+" (the service was not asked whether it is valid)")
	v.lookAtPlan(c)
}

func ngrokFault(err error, c *Check) {
	hint := ""
	if known := new(tunnels.Error); errors.As(err, &known) {
		hint = known.Hint
	}
	c.add(Fail, "ngrok: "+err.Error(), hint)
}

// lookAtPlan counts what a small plan does not give.
func (v *visit) lookAtPlan(c *Check) {
	silos := v.Topology.Silos()
	domains := map[string]bool{}
	for _, s := range silos {
		if s.Domain == "" {
			domains[s.Name] = true // one that ngrok makes up counts, too
		} else {
			domains[s.Domain] = true
		}
	}
	const local = `or provider = "local" in [tunnels], which needs no account`
	if len(domains) > freeDomains {
		c.add(Warn, fmt.Sprintf("%d host names: ngrok's free plan gives %d", len(domains), freeDomains), "a paid plan, with the domains reserved in ngrok's dashboard", local)
	}
	if len(silos) > freeEndpoints {
		c.add(Warn, fmt.Sprintf("%d endpoints: ngrok's free and hobbyist plans allow %d", len(silos), freeEndpoints), "pay-as-you-go", local)
	}
}
