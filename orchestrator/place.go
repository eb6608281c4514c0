package orchestrator

import (
	"context"
	"fmt"
	"hash/fnv"
	"net"
	"runtime"
	"strconv"
	"time"

	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/tunnels"
)

// edgeBase and edgeSpan bound the ports on which the local provider prefers to
// give addresses: below Linux's and macOS's ephemeral ranges, above what
// developers' tools use.
const (
	edgeBase = 20000
	edgeSpan = 10000
)

// edgePrefix tells an edge's port from its silo's among remembered ports; no
// silo's name holds a colon.
const edgePrefix = "edge:"

// Site is where a plan is carried out: the instance's directory and the
// caller's environment.
type Site struct {
	Dir     *state.Dir
	Environ []string // the caller's, as os.Environ gives it
	Env     state.Lookup
	Version string
	Root    bool         // the effective user is root
	Warn    func(string) // takes what a user should know; never nil
	Trace   func(string) // takes what only somebody who looks for a fault wants to know; never nil
}

// Placement is a Plan with a port and an address for every silo. It is frozen;
// the ports stay reserved until their silos start, the tunnels are open.
type Placement struct {
	Plan
	Site
	RunID   string
	Secrets state.Secrets
	Placed  []Placed // as Plan.Silos

	reserved *ports.Reservation
	provider tunnels.Provider
	board    *board
}

// Placed is one silo with its place.
type Placed struct {
	Planned
	Port       int
	HealthPort int    // where its backend answers
	URL        string // its address
	Tunnel     tunnels.Tunnel
}

// Bind is the address that the silo's devserver is told to listen on.
func (p Placed) Bind() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

func (p Placed) health() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.HealthPort)) }

// wants are the ports that a plan needs. A port that the topology does not
// write is asked for as remembered from the last run, so that it stays the same.
func wants(p Plan, site Site) []ports.Want {
	remembered := site.Dir.Ports()
	var list []ports.Want
	for _, s := range p.Silos {
		span := 1
		if s.Watchers {
			span = 2
		}
		want := ports.Want{Name: s.Name, Port: s.Port, Fixed: s.PortFixed, Span: span}
		if last := remembered[s.Name]; !s.PortFixed && last != 0 {
			want.Port = last
		}
		list = append(list, want)
	}
	if p.Topology.Tunnels.Provider != "local" {
		return list
	}
	for i, s := range p.Silos {
		want := ports.Want{Name: edgePrefix + s.Name, Port: edgePort(site.Dir.Key, i), Span: 1}
		if last := remembered[want.Name]; last != 0 {
			want.Port = last
		}
		list = append(list, want)
	}
	return list
}

// edgePort is the port that an instance's i-th edge prefers before any was
// remembered: a block of its own for each instance, as far as a hash can.
func edgePort(key string, i int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails, says package hash
	return edgeBase + (int(h.Sum32()%(edgeSpan/20))*20+i)%edgeSpan
}

// Place reserves the ports and opens all tunnels at once. Nothing that failed
// leaves anything behind. It blocks as long as the slowest tunnel, bounded by
// ctx and by the provider.
func Place(ctx context.Context, plan Plan, site Site) (*Placement, error) {
	secrets, err := site.Dir.Secrets()
	if err != nil {
		return nil, err
	}
	reserved, err := ports.Reserve(ctx, wants(plan, site))
	if err != nil {
		return nil, err
	}
	p := &Placement{
		Plan: plan, Site: site, RunID: runID(), Secrets: secrets,
		reserved: reserved, board: newBoard(),
	}
	for _, s := range plan.Silos {
		port := reserved.Port(s.Name)
		p.Placed = append(p.Placed, Placed{Planned: s, Port: port, HealthPort: sentry.HealthPort(s.Silo, port)})
	}
	if err := p.open(ctx); err != nil {
		_ = reserved.Close() // the reason is the tunnel's
		return nil, err
	}
	return p, p.remember()
}

// remember keeps the ports for the next run.
func (p *Placement) remember() error {
	kept := p.Dir.Ports()
	for _, want := range wants(p.Plan, p.Site) {
		kept[want.Name] = p.reserved.Port(want.Name)
	}
	return p.Dir.SavePorts(kept)
}

// open gives every silo its tunnel.
func (p *Placement) open(ctx context.Context) error {
	config, err := p.tunnelConfig()
	if err != nil {
		return err
	}
	provider, err := tunnels.New(config)
	if err != nil {
		return err
	}
	specs := make([]tunnels.Spec, len(p.Placed))
	for i, s := range p.Placed {
		if specs[i], err = p.tunnelSpec(s); err != nil {
			closeProvider(ctx, provider)
			return err
		}
	}
	opened, err := tunnels.OpenAll(ctx, provider, specs)
	if err != nil {
		closeProvider(ctx, provider)
		return err
	}
	for i := range p.Placed {
		p.Placed[i].Tunnel, p.Placed[i].URL = opened[i], opened[i].URL()
	}
	p.provider = provider
	return nil
}

// closeProvider ends a provider in bounded time: a dead edge must not hold a
// teardown up.
func closeProvider(ctx context.Context, provider tunnels.Provider) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = provider.Close(ctx) // nothing can be done about a tunnel that will not close
}

func (p *Placement) tunnelConfig() (tunnels.Config, error) {
	t := p.Topology.Tunnels
	config := tunnels.Config{
		Provider: t.Provider, Version: p.Version, Log: p.Trace,
		Changed: func(string, tunnels.Status) { p.board.nudge() },
	}
	if t.Provider != "ngrok" {
		return config, nil
	}
	home, _ := p.Env("HOME")
	token, source, err := tunnels.FindToken(t.Ngrok.Authtoken, p.Env, home, runtime.GOOS)
	if err != nil {
		return config, err
	}
	config.Ngrok = tunnels.NgrokConfig{
		Authtoken: token, TokenSource: source, ServerAddr: t.Ngrok.ServerAddr,
		RootCAs: t.Ngrok.RootCAs, Metadata: t.Ngrok.Metadata,
	}
	return config, nil
}

func (p *Placement) tunnelSpec(s Placed) (tunnels.Spec, error) {
	bind := s.Bind()
	spec := tunnels.Spec{
		Name: s.Name, Upstream: func() string {
			if p.board.launched(s.Name) {
				return bind
			}
			return ""
		},
		Starting: func() (string, bool) { return p.board.starting(s.Name) },
		Domain:   s.Domain, URL: s.Silo.URL, HostHeader: s.HostHeader,
		TrafficPolicy: s.TrafficPolicy, BasicAuth: s.BasicAuth, AllowCIDRs: s.AllowCIDRs,
	}
	if p.Topology.Tunnels.Provider == "local" {
		listener, err := p.reserved.Listener(edgePrefix + s.Name)
		if err != nil {
			return spec, fmt.Errorf("hand over the edge of %s: %w", s.Name, err)
		}
		spec.Listener = listener
	}
	return spec, nil
}
