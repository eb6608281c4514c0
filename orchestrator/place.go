package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"silo/plan"
	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/tunnels"
)

// closeTimeout bounds how long closing a provider may take: a dead tunnel service must not
// block a stop.
const closeTimeout = 2 * time.Second

// placement is a layout whose ports are reserved and whose tunnels are open. It is
// immutable once newPlacement or replace has returned it.
type placement struct {
	plan.Layout
	Host

	fingerprint string
	block       sentry.Block // the region config; empty for a monolith
	open        map[string]resources
	provider    tunnels.Provider
	router      *tunnels.HostRouter // of provider local, else nil
	routerPort  int
	hub         *snapshotHub
	traffic     *trafficObserver
}

// resources are the port, tunnel and log of one silo.
type resources struct {
	ports  *ports.Reservation
	tunnel tunnels.Tunnel
	output *output // nil before the supervisor exists
}

// newPlacement reserves the ports and opens all tunnels concurrently. If it fails, it leaves
// nothing open and has written no file. It blocks until the slowest tunnel is open, bounded by
// ctx and by the provider.
func newPlacement(ctx context.Context, layout plan.Plan, host Host) (*placement, error) {
	p := &placement{Layout: plan.Layout{Plan: layout, Run: host.NewRun()}, Host: host, hub: newSnapshotHub(), open: map[string]resources{}}
	p.traffic = newTrafficObserver(p)
	config, err := tunnelConfig(layout, host)
	if err != nil {
		return nil, err
	}
	if layout.Topology.Tunnels.Provider == tunnels.Local {
		p.router = tunnels.NewHostRouter()
	}
	config.HostRouter, config.Recording = p.router, p.traffic.recording()
	config.Changed = func(string, tunnels.Status) { p.hub.nudge() }
	if p.provider, err = tunnels.New(config); err != nil {
		return nil, err
	}
	if p.Placed, err = p.openSilos(ctx, layout.Silos); err != nil {
		closeProvider(ctx, p.provider)
		return nil, err
	}
	if p.Run.Secrets, err = host.Dir.RenewSecrets(); err == nil { // the first write to disk
		err = p.complete()
	}
	if err != nil {
		return nil, errors.Join(err, p.close(ctx))
	}
	return p, nil
}

// complete fills in what depends on the layout, and remembers the ports.
func (p *placement) complete() (err error) {
	p.fingerprint = p.Fingerprint()
	if !p.Monolith {
		p.block, err = p.RegionConfig()
	}
	remembered := p.Dir.Ports()
	for _, s := range p.Placed {
		remembered[s.Name] = s.Port
		if edge := p.open[s.Name].ports.Port(edgeKey + s.Name); edge != 0 {
			remembered[edgeKey+s.Name] = edge
		}
	}
	if p.routerPort != 0 {
		remembered[routerKey] = p.routerPort
	}
	if err := p.Dir.SavePorts(remembered); err != nil {
		p.Warn("the next run may use other ports: " + err.Error())
	}
	return err
}

// close closes all tunnels, ports and logs.
func (p *placement) close(ctx context.Context) error {
	closeProvider(ctx, p.provider)
	var errs []error
	for _, r := range p.open {
		errs = append(errs, r.ports.Close())
		r.output.close()
	}
	return errors.Join(errs...)
}

func closeProvider(ctx context.Context, provider tunnels.Provider) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	_ = provider.Close(ctx) // nothing more can be done if a tunnel does not close
}

// openSilos opens ports and tunnels for all silos, or for none if it fails.
func (p *placement) openSilos(ctx context.Context, silos []plan.Silo) ([]plan.Placed, error) {
	reserved, placed, err := reserve(ctx, p.Plan, p.Host, silos, edgeWants(p.Plan, p.Host, silos))
	if err != nil {
		return nil, err
	}
	if err := p.openTunnels(ctx, reserved, placed); err != nil {
		return nil, errors.Join(err, reserved.Close())
	}
	return placed, nil
}

func (p *placement) openTunnels(ctx context.Context, reserved *ports.Reservation, placed []plan.Placed) (err error) {
	if err := p.serveRouter(ctx, reserved); err != nil {
		return err
	}
	specs := make([]tunnels.Spec, len(placed))
	for i, s := range placed {
		if specs[i], err = p.tunnelSpec(s, reserved); err != nil {
			return err
		}
	}
	opened, err := tunnels.OpenAll(ctx, p.provider, specs)
	if err != nil {
		return err
	}
	for i, t := range opened {
		s := &placed[i]
		s.URL, s.BrowseURL = t.URL(), p.BrowseURL(s.Silo, p.routerPort)
		p.open[s.Name] = resources{ports: reserved, tunnel: t}
	}
	return nil
}

// serveRouter serves the port that routes by host, if it is among those reserved.
func (p *placement) serveRouter(ctx context.Context, reserved *ports.Reservation) error {
	port := reserved.Port(routerKey)
	if port == 0 {
		return nil
	}
	listeners, err := reserved.Listeners(routerKey)
	if err != nil {
		return fmt.Errorf("serve host names: %w", err)
	}
	p.routerPort = port
	p.router.Serve(ctx, listeners, p.Warn)
	return nil
}

func (p *placement) tunnelSpec(s plan.Placed, reserved *ports.Reservation) (tunnels.Spec, error) {
	spec := tunnels.Spec{
		Name: s.Name, Upstream: func() string { return p.hub.upstream(s.Name) },
		Starting: func() (string, bool) { return p.hub.starting(s.Name) },
		Domain:   s.Domain, URL: s.Silo.URL, HostHeader: s.HostHeader, Hosts: []string{p.BrowseHost(s.Silo), s.Domain},
		TrafficPolicy: s.TrafficPolicy, BasicAuth: s.BasicAuth, AllowCIDRs: s.AllowCIDRs,
	}
	switch p.Topology.Tunnels.Provider {
	case tunnels.None:
		spec.Upstream = s.Bind // the address is the port itself
	case tunnels.Local:
		listener, err := reserved.Listener(edgeKey + s.Name)
		if err != nil {
			return spec, fmt.Errorf("serve the address of %s: %w", s.Name, err)
		}
		spec.Listener = listener
	}
	return spec, nil
}

// tunnelConfig returns the part of the provider's configuration that the plan determines.
func tunnelConfig(p plan.Plan, host Host) (tunnels.Config, error) {
	t := p.Topology.Tunnels
	config := tunnels.Config{Provider: t.Provider, Version: host.Version, Log: host.Trace, Warn: host.Warn}
	if t.Provider != tunnels.Ngrok {
		return config, nil
	}
	home, _ := host.Env("HOME")
	token, source, err := tunnels.FindToken(t.Ngrok.Authtoken, host.Env, home, runtime.GOOS)
	if err != nil {
		return config, err
	}
	config.Ngrok = tunnels.NgrokConfig{
		Authtoken: token, TokenSource: source, ServerAddr: t.Ngrok.ServerAddr,
		RootCAs: t.Ngrok.RootCAs, Metadata: t.Ngrok.Metadata,
	}
	return config, nil
}

// writeConfig writes the region config. A monolith has none.
func (p *placement) writeConfig(ctx context.Context) (sentry.Change, error) {
	if p.Monolith {
		return sentry.Change{}, nil
	}
	return sentry.Write(ctx, p.Topology.Sentry.Config, p.block)
}

// renewsSecrets reports whether rotated secrets take effect at the next start of all silos.
func (p *placement) renewsSecrets() bool {
	return p.Choice.Dialect.Secrets && p.Dir.SecretsRotated()
}

// clusterSilos returns the silos of a plan as step sees them before their first start.
func clusterSilos(p plan.Plan) []silo {
	silos := make([]silo, len(p.Silos))
	for i, s := range p.Silos {
		phase := state.Stopped
		if s.Wanted {
			phase = state.Planned
		}
		silos[i] = silo{name: s.Name, control: s.IsControl(), unmanaged: !s.Managed, policy: s.Restart, grace: s.Stop.Grace, phase: phase}
	}
	return silos
}
