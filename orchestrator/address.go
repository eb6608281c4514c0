package orchestrator

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/tunnels"
)

// ErrUnknownAddress says that an address comes into being only with its tunnel.
var ErrUnknownAddress = errors.New("the address is known only once its tunnel is open")

// runID names one run: every process of it carries the name, which is how what
// is left after a crash is found.
func runID() string { return strings.ToLower(rand.Text()) }

// Foresee gives every silo the address that Place would give it, without
// opening or keeping anything. It fails with ErrUnknownAddress where only a
// tunnel can tell.
func Foresee(ctx context.Context, plan Plan, site Site) (*Placement, error) {
	list := wants(plan, site, plan.Silos)
	reserved, there, err := reserveFor(ctx, plan, site, plan.Silos, list)
	if err != nil {
		return nil, err
	}
	defer func() { _ = reserved.Close() }() // nothing was handed over: closing frees all
	p := &Placement{Plan: plan, Site: site, RunID: runID(), frontAt: reserved.Port(frontPort)}
	for i, s := range plan.Silos {
		port := portOf(reserved, there, s.Name)
		placed := Placed{Planned: s, Port: port, HealthPort: sentry.HealthPort(s.Silo, port), BrowseURL: p.browseURL(s), Preferred: displacedFrom(list[i], port)}
		if placed.URL, err = foreseen(plan, placed, reserved); err != nil {
			return nil, err
		}
		p.Placed = append(p.Placed, placed)
	}
	return p, nil
}

func foreseen(plan Plan, s Placed, reserved *ports.Reservation) (string, error) {
	switch provider := plan.Topology.Tunnels.Provider; {
	case provider == "local":
		port := reserved.Port(edgePrefix + s.Name)
		return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), nil
	case provider == "none":
		return "http://" + s.Bind(), nil
	case provider == "external" && s.Silo.URL != "":
		return s.Silo.URL, nil
	case s.Domain != "":
		return "https://" + s.Domain, nil
	default:
		return "", fmt.Errorf("%s: %w", s.Name, ErrUnknownAddress)
	}
}

// RegionConfig is the region config that matches the placement.
func (p *Placement) RegionConfig() (sentry.Block, error) {
	config := sentry.Config{
		Instance: p.Topology.Name, File: p.Topology.File,
		Dialect: p.Choice.Dialect, Workers: p.workers(), PerSilo: p.PerSilo(),
	}
	for _, s := range p.Placed {
		if s.IsControl() {
			config.ControlURL, config.ControlPublic = p.address(s), s.URL
			continue
		}
		config.Regions = append(config.Regions, sentry.Region{Name: s.Name, ID: s.ID, URL: p.address(s), Public: s.URL, Category: s.Category})
	}
	return sentry.Render(config)
}

// address is what the other silos call one by.
func (p *Placement) address(s Placed) string {
	if p.direct() {
		return "http://" + s.health()
	}
	return s.URL
}

// direct tells whether silos call one another on this machine, past their
// tunnels. By itself that is so where an address leads out of the machine and
// back, and Sentry keeps it apart from what browsers are given.
func (p *Placement) direct() bool {
	switch provider := p.Topology.Tunnels.Provider; p.Topology.Sentry.Addresses {
	case "loopback":
		return true
	case "auto":
		return p.Choice.Dialect.SplitAddresses && (provider == tunnels.Ngrok || provider == tunnels.External)
	}
	return false
}

// Recall is the placement of a running instance, as its snapshot tells it. It
// holds nothing open.
func Recall(plan Plan, site Site, snapshot *state.Snapshot) *Placement {
	p := &Placement{Plan: plan, Site: site, RunID: snapshot.RunID}
	for _, planned := range plan.Silos {
		i := slices.IndexFunc(snapshot.Silos, func(s state.Silo) bool { return s.Name == planned.Name })
		if i < 0 {
			continue // the file has changed since: what runs is what counts
		}
		s := snapshot.Silos[i]
		p.Placed = append(p.Placed, Placed{Planned: planned, Port: s.Port, HealthPort: s.HealthPort, URL: s.URL})
	}
	return p
}

// Share gives a placement the instance's secrets, which are made where there
// are none yet, for an environment that is whole.
func (p *Placement) Share() (err error) {
	p.Secrets, err = p.Dir.Secrets()
	return err
}

// Directory is where a silo's processes are started.
func (p *Placement) Directory(name string) string {
	for _, s := range p.Placed {
		if s.Name == name {
			return s.Dir
		}
	}
	return ""
}

// URLVariable is the name of the environment variable that holds a silo's address.
func URLVariable(name string) string { return sentry.URLVariable(name) }
