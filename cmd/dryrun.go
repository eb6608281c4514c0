package cmd

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"silo/orchestrator"
	"silo/ui"
)

// dryRun prints what `up` would do. It looks at ports, and touches nothing.
func (a *app) dryRun(ctx context.Context, r *upRequest) error {
	site := a.site(r.dir)
	if err := orchestrator.Preflight(ctx, r.plan, site); err != nil {
		a.talk.Warn("up would be refused: "+err.Error(), a.judge(err).Hints...)
	}
	place, err := orchestrator.Foresee(ctx, r.plan, site)
	unknown := errors.Is(err, orchestrator.ErrUnknownAddress)
	if err != nil && !unknown {
		return err
	}
	t, mode := r.plan.Topology, "silos"
	if r.plan.Monolith {
		mode = "monolith"
	}
	plan := ui.Plan{
		Name: t.Name, File: t.File, Provider: t.Tunnels.Provider, Dialect: r.plan.Choice.Dialect.Name,
		Found: r.plan.Choice.Found, Config: t.Sentry.Config, Mode: mode,
	}
	if r.json {
		return writeJSON(a.Stdout, planned(place, r.plan))
	}
	for i, s := range r.plan.Silos {
		if !s.Wanted {
			continue
		}
		row := ui.PlanSilo{
			Name: s.Name, Mode: string(s.Mode), Argv: s.Argv, Dir: s.Dir, Ports: "any",
		}
		if !unknown {
			row.Ports, row.Address = portsOf(place.Placed[i]), place.Placed[i].URL
		}
		plan.Silos = append(plan.Silos, row)
	}
	a.out.Plan(plan)
	return nil
}

// portsOf are the ports that a silo takes.
func portsOf(s orchestrator.Placed) string {
	if s.Watchers {
		return fmt.Sprintf("%d-%d", s.Port, s.Port+1)
	}
	return strconv.Itoa(s.Port)
}
