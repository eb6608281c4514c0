package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"runtime"
	"slices"
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
	edgeBase  = 20000
	edgeSpan  = 10000
	edgeBlock = 20 // of them for each instance
)

// edgePrefix tells an edge's port from its silo's among remembered ports; no
// silo's name holds a colon.
const edgePrefix = "edge:"

// frontPort is what the port that routes by host is remembered as, and frontOffset
// its place in an instance's block of ports: the last.
const (
	frontPort   = edgePrefix + "*"
	frontOffset = edgeBlock - 1
)

// Site is where a plan is carried out: the instance's directory and the
// caller's environment.
type Site struct {
	Dir     *state.Dir
	Environ []string // the caller's, as os.Environ gives it
	Env     state.Lookup
	Version string
	Guard   []string     // the command that calls Bury once this process is dead; empty: none
	Root    bool         // the effective user is root
	Colour  bool         // silos are asked for colour, which their pipes do not: somebody sees it
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

	fingerprint string
	urls        []string     // every silo's address as an entry of an environment
	block       sentry.Block // the region config; empty for a monolith
	provider    tunnels.Provider
	front       *tunnels.HostRouter // of provider local, else nil
	frontAt     int                 // its port
	board       *board
	gate        *gate
}

// Placed is one silo with its place.
type Placed struct {
	Planned
	Port       int
	HealthPort int    // where its backend answers
	URL        string // its address
	BrowseURL  string // its address for browsers, by name; empty where there is none
	Preferred  int    // the port that it would have, were that not somebody else's; 0: it has it, or any would do
	Tunnel     tunnels.Tunnel

	held *ports.Reservation // of its ports
	out  *output            // where its processes write; nil before there is a supervisor
}

// Bind is the address that the silo's devserver is told to listen on.
func (p Placed) Bind() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port)) }

func (p Placed) health() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.HealthPort)) }

// wants are the ports that silos of a plan need. A port that the topology does
// not write is asked for as remembered from the last run, so that it stays the same.
func wants(p Plan, site Site, silos []Planned) []ports.Request {
	remembered := site.Dir.Ports()
	var list []ports.Request
	for _, s := range silos {
		want := ports.Request{Name: s.Name, Port: s.Port, Fixed: s.PortFixed, Span: span(s)}
		if last := remembered[s.Name]; !s.PortFixed && last != 0 {
			want.Port = last
		}
		list = append(list, want)
	}
	if p.Topology.Tunnels.Provider != tunnels.Local {
		return list
	}
	for _, s := range silos {
		i := slices.Index(p.Names(), s.Name)
		want := ports.Request{Name: edgePrefix + s.Name, Port: edgePort(site.Dir.Key, i), Span: 1}
		if last := remembered[want.Name]; last != 0 {
			want.Port = last
		}
		list = append(list, want)
	}
	if len(silos) > 0 && silos[0].Name == p.Silos[0].Name { // which is there from the start: there is one for all
		want := ports.Request{Name: frontPort, Port: edgePort(site.Dir.Key, frontOffset), Span: 1}
		if last := remembered[frontPort]; last != 0 {
			want.Port = last
		}
		list = append(list, want)
	}
	return list
}

// span is how many ports a silo takes: with watchers its own is webpack's, and
// the next one its backend's.
func span(s Planned) int {
	if s.Watchers {
		return 2
	}
	return 1
}

// edgePort is the port that an instance's i-th edge prefers before any was
// remembered: a block of its own for each instance, as far as a hash can.
func edgePort(key string, i int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails, says package hash
	return edgeBase + (int(h.Sum32()%(edgeSpan/edgeBlock))*edgeBlock+i)%edgeSpan
}

// Place reserves the ports and opens all tunnels at once. Nothing that failed
// leaves anything behind. It blocks as long as the slowest tunnel, bounded by
// ctx and by the provider.
func Place(ctx context.Context, plan Plan, site Site) (*Placement, error) {
	p := &Placement{Plan: plan, Site: site, RunID: runID(), board: newBoard()}
	if plan.Topology.Tunnels.Provider == tunnels.Local {
		p.front = tunnels.NewHostRouter()
	}
	p.gate = newGate(p)
	config, err := p.tunnelConfig()
	if err != nil {
		return nil, err
	}
	if p.provider, err = tunnels.New(config); err != nil {
		return nil, err
	}
	if p.Placed, err = p.settle(ctx, plan.Silos); err != nil {
		closeProvider(ctx, p.provider)
		return nil, err
	}
	// Only now: what is refused before has written nothing.
	if p.Secrets, err = site.Dir.RenewSecrets(); err == nil {
		err = p.finish()
	}
	if err != nil {
		return nil, errors.Join(err, p.leave(ctx))
	}
	return p, nil
}

// finish works out what follows from the places.
func (p *Placement) finish() (err error) {
	p.fingerprint, p.urls = p.Fingerprint(), nil
	for name, url := range p.addresses() {
		p.urls = append(p.urls, name+"="+url)
	}
	if !p.Monolith { // a monolith has no regions to write down
		p.block, err = p.RegionConfig()
	}
	p.remember()
	return err
}

// leave gives all ports and tunnels back.
func (p *Placement) leave(ctx context.Context) error {
	closeProvider(ctx, p.provider)
	return release(p.Placed)
}

// release gives the ports of silos back, as far as they are still held.
func release(placed []Placed) error {
	var errs []error
	for _, s := range placed {
		errs = append(errs, s.held.Close())
	}
	return errors.Join(errs...)
}

// settle gives silos their ports and tunnels, or nothing at all.
func (p *Placement) settle(ctx context.Context, silos []Planned) ([]Placed, error) {
	list := wants(p.Plan, p.Site, silos)
	reserved, there, err := reserveFor(ctx, p.Plan, p.Site, silos, list)
	if err != nil {
		return nil, err
	}
	if err := p.openFront(ctx, reserved); err != nil {
		return nil, errors.Join(err, reserved.Close())
	}
	placed := make([]Placed, len(silos))
	for i, s := range silos {
		port := portOf(reserved, there, s.Name)
		placed[i] = Placed{Planned: s, Port: port, HealthPort: sentry.HealthPort(s.Silo, port), held: reserved}
		placed[i].BrowseURL = p.browseURL(s)
		placed[i].Preferred = displacedFrom(list[i], port)
	}
	if err := p.open(ctx, placed); err != nil {
		return nil, errors.Join(err, reserved.Close())
	}
	return placed, nil
}

// displacedFrom is the port that was wanted, where it is another.
func displacedFrom(want ports.Request, port int) int {
	if want.Port == port {
		return 0
	}
	return want.Port
}

// Displaced tells, in words, of silos whose ports are not those that they would have
// had, and who has those.
func Displaced(list []Placed) (what []string) {
	for _, s := range list {
		if s.Preferred == 0 {
			continue
		}
		text := fmt.Sprintf("port of %s is %d: %d is taken", s.Name, s.Port, s.Preferred)
		if holders := ports.Holders(s.Preferred); len(holders) > 0 {
			text += fmt.Sprintf(" by %s (pid %d)", holders[0].Program, holders[0].PID)
		}
		what = append(what, text)
	}
	return what
}

// remember keeps the ports for the next run.
func (p *Placement) remember() {
	kept := p.Dir.Ports()
	for _, s := range p.Placed {
		kept[s.Name] = s.Port
		if edge := s.held.Port(edgePrefix + s.Name); edge != 0 {
			kept[edgePrefix+s.Name] = edge
		}
	}
	if p.frontAt != 0 {
		kept[frontPort] = p.frontAt
	}
	if err := p.Dir.SavePorts(kept); err != nil {
		p.Warn("the next run may have other ports: " + err.Error())
	}
}

// open gives silos their tunnels, all at once.
func (p *Placement) open(ctx context.Context, placed []Placed) (err error) {
	specs := make([]tunnels.Spec, len(placed))
	for i, s := range placed {
		if specs[i], err = p.tunnelSpec(s); err != nil {
			return err
		}
	}
	opened, err := tunnels.OpenAll(ctx, p.provider, specs)
	if err != nil {
		return err
	}
	for i := range placed {
		placed[i].Tunnel, placed[i].URL = opened[i], opened[i].URL()
	}
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
		Provider: t.Provider, Version: p.Version, Log: p.Trace, Warn: p.Warn, HostRouter: p.front,
		Changed: func(string, tunnels.Status) {
			if p.board != nil {
				p.board.nudge()
			}
		},
	}
	if p.gate != nil {
		config.Recording = p.gate.recording()
	}
	if t.Provider != tunnels.Ngrok {
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
	spec := tunnels.Spec{
		Name: s.Name, Upstream: func() string { return p.board.upstream(s.Name) },
		Starting: func() (string, bool) { return p.board.starting(s.Name) },
		Domain:   s.Domain, URL: s.Silo.URL, HostHeader: s.HostHeader,
		Hosts:         []string{p.browseHost(s.Name, s.IsControl()), s.Domain},
		TrafficPolicy: s.TrafficPolicy, BasicAuth: s.BasicAuth, AllowCIDRs: s.AllowCIDRs,
	}
	if p.Topology.Tunnels.Provider == tunnels.None {
		spec.Upstream = s.Bind // its address is its port, before anything listens there too
	}
	if p.Topology.Tunnels.Provider == tunnels.Local {
		listener, err := s.held.Listener(edgePrefix + s.Name)
		if err != nil {
			return spec, fmt.Errorf("hand over the edge of %s: %w", s.Name, err)
		}
		spec.Listener = listener
	}
	return spec, nil
}
