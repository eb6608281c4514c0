package orchestrator

import (
	"context"
	"maps"
	"slices"

	"silo/plan"
	"silo/ports"
)

// Predict returns the layout that Prepare would produce if all ports were free. It
// checks no port. If remember is set, ports that the topology does not set are stored
// for the next call and the next run. If an address is known only once its tunnel is
// open, the error wraps plan.ErrUnknownAddress and the layout is complete except for
// it.
func Predict(ctx context.Context, p plan.Plan, host Host, remember bool) (*plan.Layout, error) {
	wants := siloWants(host, p.Silos)
	all := slices.Concat(wants, edgeWants(p, host, p.Silos))
	assigned, err := ports.Assign(ctx, all)
	if err != nil {
		return nil, err
	}
	placed := make([]plan.Placed, len(p.Silos))
	for i, s := range p.Silos {
		placed[i] = s.At(assigned[s.Name])
	}
	if remember {
		kept := host.Dir.Ports()
		before := maps.Clone(kept)
		for _, w := range all {
			if !w.Fixed {
				kept[w.Name] = assigned[w.Name]
			}
		}
		if !maps.Equal(kept, before) {
			if err := host.Dir.SavePorts(kept); err != nil {
				host.Warn("the next run may use other ports: " + err.Error())
			}
		}
	}
	return layout(p, host, placed, func(key string) int { return assigned[key] })
}

// layout adds the addresses to the layout of placed silos. port returns the ports of edgeWants.
func layout(p plan.Plan, host Host, placed []plan.Placed, port func(key string) int) (*plan.Layout, error) {
	var unknown []error
	for i, s := range placed {
		url, err := p.KnownURL(s, port(edgeKey+s.Name))
		if err != nil {
			unknown = append(unknown, err)
		}
		placed[i].URL, placed[i].BrowseURL = url, p.BrowseURL(s.Silo, port(routerKey))
	}
	l := &plan.Layout{Plan: p, Run: host.NewRun(), Placed: placed}
	if len(unknown) > 0 {
		return l, unknown[0]
	}
	return l, nil
}
