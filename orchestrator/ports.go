package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"

	"silo/plan"
	"silo/ports"
	"silo/tunnels"
)

// The local provider prefers ports from edgeBase on, edgeBlock of them for each
// instance: below the ephemeral ranges of Linux and macOS, above the ports of common
// development tools.
const (
	edgeBase  = 20000
	edgeSpan  = 10000
	edgeBlock = 20
)

// Keys of remembered ports, in addition to the silos' names, which never contain a colon.
const (
	edgeKey   = "edge:"  // followed by a silo's name: the port of its local address
	routerKey = "edge:*" // the port that routes by host
)

// routerIndex is the position of the router's port in an instance's block: the last.
const routerIndex = edgeBlock - 1

// siloWants returns the ports that silos need. If the topology does not set a port, the silo
// prefers its port from the last run.
func siloWants(host Host, silos []plan.Silo) []ports.Request {
	remembered := host.Dir.Ports()
	wants := make([]ports.Request, len(silos))
	for i, s := range silos {
		wants[i] = ports.Request{Name: s.Name, Port: s.Port, Fixed: s.PortFixed, Span: s.PortCount()}
		if last := remembered[s.Name]; !s.PortFixed && last != 0 {
			wants[i].Port = last
		}
	}
	return wants
}

// edgeWants returns the ports that the local provider needs for silos, and the router's
// if control is among them.
func edgeWants(p plan.Plan, host Host, silos []plan.Silo) (wants []ports.Request) {
	if p.Topology.Tunnels.Provider != tunnels.Local {
		return nil
	}
	remembered := host.Dir.Ports()
	want := func(key string, index int) {
		port := remembered[key]
		if port == 0 {
			port = edgePort(host.Dir.Key, index)
		}
		wants = append(wants, ports.Request{Name: key, Port: port, Span: 1})
	}
	for _, s := range silos {
		want(edgeKey+s.Name, slices.Index(p.Names(), s.Name))
	}
	if slices.ContainsFunc(silos, func(s plan.Silo) bool { return s.IsControl() }) {
		want(routerKey, routerIndex)
	}
	return wants
}

// edgePort returns the port that an edge prefers if none is remembered. A hash gives
// instances different blocks, unless it collides.
func edgePort(instance string, index int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(instance)) // a hash never returns an error
	return edgeBase + (int(h.Sum32()%(edgeSpan/edgeBlock))*edgeBlock+index)%edgeSpan
}

// reserve reserves the ports of silos and edges. It does not reserve the port of an
// unmanaged silo that already answers.
func reserve(ctx context.Context, p plan.Plan, host Host, silos []plan.Silo, edges []ports.Request) (*ports.Reservation, []plan.Placed, error) {
	wants := siloWants(host, silos)
	reserved, running, err := reserveOrFind(ctx, p, host, silos, wants, edges)
	if err != nil {
		return nil, nil, err
	}
	placed := make([]plan.Placed, len(silos))
	for i, s := range silos {
		port, found := running[s.Name]
		if !found {
			port = reserved.Port(s.Name)
		}
		placed[i] = s.At(port)
		if wants[i].Port != port {
			placed[i].Preferred = wants[i].Port
		}
	}
	return reserved, placed, nil
}

// reserveOrFind also returns the ports, by name, of unmanaged silos that already run.
func reserveOrFind(ctx context.Context, p plan.Plan, host Host, silos []plan.Silo, wants, edges []ports.Request) (*ports.Reservation, map[string]int, error) {
	unmanaged := func(s plan.Silo) bool { return !s.Managed }
	for retry := slices.ContainsFunc(silos, unmanaged); ; retry = false {
		free, running := slices.Clone(wants), map[string]int{}
		for i, silo := range slices.Backward(silos) {
			if port := wants[i].Port; unmanaged(silo) && port != 0 && alreadyRuns(ctx, p, host, silos[i].At(port)) {
				running[silos[i].Name] = port
				free = slices.Delete(free, i, i+1)
			}
		}
		reserved, err := ports.Reserve(ctx, slices.Concat(free, edges))
		if retry && errors.As(err, new(ports.Conflicts)) {
			continue // a silo may have started between the two steps
		}
		return reserved, running, err
	}
}

// Displaced describes the silos that did not get their preferred port, and names the process
// that uses it.
func Displaced(silos []plan.Placed) (notes []string) {
	for _, s := range silos {
		if s.Preferred == 0 {
			continue
		}
		note := fmt.Sprintf("port of %s is %d: %d is taken", s.Name, s.Port, s.Preferred)
		if holders := ports.Holders(s.Preferred); len(holders) > 0 {
			note += fmt.Sprintf(" by %s (pid %d)", holders[0].Program, holders[0].PID)
		}
		notes = append(notes, note)
	}
	return notes
}

// Preview returns the layout that Prepare would produce now, and keeps nothing open. A
// taken port is an error as in Prepare. If an address is known only once its tunnel is
// open, the error wraps plan.ErrUnknownAddress and the layout is complete except for it.
func Preview(ctx context.Context, p plan.Plan, host Host) (*plan.Layout, error) {
	reserved, placed, err := reserve(ctx, p, host, p.Silos, edgeWants(p, host, p.Silos))
	if err != nil {
		return nil, err
	}
	defer func() { _ = reserved.Close() }() // the listeners were never used
	return layout(p, host, placed, reserved.Port)
}
