package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"silo/api"
	"silo/orchestrator"
	"silo/plan"
	"silo/sentry"
	"silo/state"
	"silo/ui"
)

// dryRun prints what `up` would do. It looks at ports, and touches nothing. What
// `up` would take for a conflict is one here; what is only missing on this machine
// is a warning.
func (a *app) dryRun(ctx context.Context, r *upRequest) error {
	var place *plan.Layout
	var notes []string
	client, err := api.Dial(ctx, r.dir)
	switch {
	case err == nil:
		defer client.Close()
		place, notes, err = a.previewRunning(ctx, client, r)
	case errors.Is(err, api.ErrNotRunning):
		place, err = a.previewFirst(ctx, r)
	}
	if err == nil {
		notes = append(notes, orchestrator.Displaced(place.Placed)...)
	}
	if len(notes) > 0 {
		notes = append(notes, "")
	}
	unknown := errors.Is(err, plan.ErrUnknownAddress)
	if err != nil && !unknown {
		return err
	}
	t, mode := r.plan.Topology, "silos"
	if r.plan.Monolith {
		mode = "monolith"
	}
	plan := ui.Plan{
		Name: t.Name, File: t.File, Provider: t.Tunnels.Provider, Dialect: r.plan.Choice.Dialect.Name,
		Found: r.plan.Choice.Found, Config: t.Sentry.Config, Mode: mode, Notes: notes,
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
			row.Ports, row.Address = portRange(place.Placed[i]), place.Placed[i].URL
		}
		plan.Silos = append(plan.Silos, row)
	}
	a.results.Plan(plan)
	return nil
}

// previewFirst is where silos would be, were the instance started now.
func (a *app) previewFirst(ctx context.Context, r *upRequest) (*plan.Layout, error) {
	site := a.host(r.dir)
	if file, err := sentry.ReadFile(r.plan.Topology.Sentry.Config); err == nil { // else Preflight tells
		if err := r.dir.CheckClaim(file.Path); err != nil {
			return nil, err
		}
	}
	if err := orchestrator.Preflight(ctx, r.plan, site); err != nil {
		a.messages.Warn("up would be refused: "+err.Error(), a.classify(err).Hints...)
	}
	return orchestrator.Preview(ctx, r.plan, site)
}

// outlook is where silos of a running instance would be, and what would change.
func (a *app) previewRunning(ctx context.Context, client *api.Client, r *upRequest) (*plan.Layout, []string, error) {
	running, err := a.requireMode(ctx, client, r)
	if err != nil {
		return nil, nil, err
	}
	changes, err := client.PreviewUp(ctx, r.plan.Monolith, wantedNames(r.plan)...)
	if err != nil {
		return nil, nil, err
	}
	place := &plan.Layout{Plan: r.plan, Placed: make([]plan.Placed, len(r.plan.Silos))}
	inherited := map[string]int{} // ports, from silos of this instance
	moving := r.plan
	moving.Silos = nil
	for i, s := range r.plan.Silos {
		place.Placed[i].Silo = s
		at := slices.IndexFunc(running.Silos, func(silo state.Silo) bool { return silo.Name == s.Name })
		if at >= 0 {
			live := running.Silos[at]
			place.Placed[i].Port, place.Placed[i].URL = live.Port, live.URL
			if live.BrowseURL != nil {
				place.Placed[i].BrowseURL = *live.BrowseURL
			}
		}
		if at < 0 || s.PortFixed && s.Port != running.Silos[at].Port {
			if s.PortFixed && portIsYielded(running, changes, s.Port) {
				inherited[s.Name] = s.Port
				s.Port, s.PortFixed = 0, false
			}
			moving.Silos = append(moving.Silos, s)
		}
	}
	notes := previewNotes(running, r, changes)
	moved, err := orchestrator.Preview(ctx, moving, a.host(r.dir))
	if err != nil {
		return nil, notes, err
	}
	for _, s := range moved.Placed {
		to := &place.Placed[slices.Index(r.plan.Names(), s.Name)]
		to.Port, to.Preferred = s.Port, s.Preferred
		if port, is := inherited[s.Name]; is {
			to.Port, to.Preferred = port, 0
		}
		if to.URL == "" {
			to.URL, to.BrowseURL = s.URL, s.BrowseURL
		}
	}
	for i, s := range place.Placed {
		place.Placed[i].HealthPort = sentry.HealthPort(s.Silo.Silo, s.Port)
	}
	return place, notes, nil
}

// yields tells whether a port is that of a silo which leaves it to another.
func portIsYielded(running *state.Snapshot, c plan.Changes, port int) bool {
	return slices.ContainsFunc(running.Silos, func(s state.Silo) bool {
		return slices.Contains(c.StopFirst, s.Name) && (s.Port == port || s.HealthPort == port)
	})
}

// previewNotes tell what `up` would change.
func previewNotes(running *state.Snapshot, r *upRequest, c plan.Changes) []string {
	said := changeLines(c, "to be ")
	for _, s := range running.Silos {
		if (s.State == state.Stopped || s.State == state.Failed) && slices.Contains(wantedNames(r.plan), s.Name) {
			said = append(said, "to be started: "+s.Name)
		}
	}
	if len(said) == 0 {
		said = []string{"nothing would change"}
	}
	return append([]string{fmt.Sprintf("already running, with supervisor pid %d", *running.PID)}, said...)
}

// sayings are what a changed topology means for the silos, in words. will stands
// before each deed.
func changeLines(c plan.Changes, will string) (list []string) {
	for _, kind := range []struct {
		what  string
		names []string
	}{{"added", c.Added}, {"removed", c.Removed}, {"started again", c.Restarted}, {"applied", c.Applied}} {
		if len(kind.names) > 0 {
			list = append(list, will+kind.what+": "+strings.Join(kind.names, ", "))
		}
	}
	if c.Any() && len(c.Kept) > 0 {
		list = append(list, "not touched: "+strings.Join(c.Kept, ", "))
		for _, name := range c.Added {
			list = append(list, sentry.URLVariable(name)+" is in their environment once silo restart has started them again")
		}
	}
	return append(list, c.Displaced...)
}

// portRange are the ports that a silo takes.
func portRange(s plan.Placed) string {
	if s.Watchers {
		return fmt.Sprintf("%d-%d", s.Port, s.Port+1)
	}
	return strconv.Itoa(s.Port)
}
