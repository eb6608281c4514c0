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

// dryRun prints what `up` would do. It checks ports and changes nothing. A conflict is an
// error, as in `up`; other reasons why `up` would fail are warnings.
func (a *app) dryRun(ctx context.Context, r *upRequest) error {
	var layout *plan.Layout
	var notes []string
	client, err := api.Dial(ctx, r.dir)
	switch {
	case err == nil:
		defer client.Close()
		layout, notes, err = a.previewRunning(ctx, client, r, true)
	case errors.Is(err, api.ErrNotRunning):
		layout, err = a.previewFirst(ctx, r)
	}
	if err != nil && !errors.Is(err, plan.ErrUnknownAddress) {
		return err
	}
	if r.json {
		return a.printJSON(planned(layout))
	}
	notes = append(notes, orchestrator.Displaced(layout.Placed)...)
	if len(notes) > 0 {
		notes = append(notes, "")
	}
	t := r.plan.Topology
	a.warnOverrides(t.Sentry.Config)
	shown := ui.Plan{
		Name: t.Name, File: t.File, Provider: t.Tunnels.Provider, Dialect: r.plan.Choice.Dialect.Name,
		Found: r.plan.Choice.Found, Config: t.Sentry.Config, Mode: "silos", Notes: notes,
	}
	if r.plan.Monolith {
		shown.Mode = "monolith"
	}
	for _, s := range layout.Placed {
		if !s.Wanted {
			continue
		}
		ports := strconv.Itoa(s.Port)
		if s.Watchers {
			ports = fmt.Sprintf("%d-%d", s.Port, s.Port+1)
		}
		shown.Silos = append(shown.Silos, ui.PlanSilo{Name: s.Name, Mode: string(s.Mode), Argv: s.Argv, Dir: s.Dir, Ports: ports, Address: s.URL})
	}
	a.results.Plan(shown)
	return nil
}

// previewFirst returns the layout of an instance that does not run.
func (a *app) previewFirst(ctx context.Context, r *upRequest) (*plan.Layout, error) {
	host := a.host(r.dir)
	if file, err := sentry.ReadFile(r.plan.Topology.Sentry.Config); err == nil { // otherwise Preflight reports it
		if err := r.dir.CheckClaim(file.Path); err != nil {
			return nil, err
		}
	}
	if err := orchestrator.Preflight(ctx, r.plan, host); err != nil {
		a.warn("up would be refused: "+err.Error(), a.classify(err).Hints...)
	}
	return orchestrator.Preview(ctx, r.plan, host)
}

// previewRunning returns the layout that a running instance would have after
// `up`, and notes about the changes. If reserve is set, a taken port is an error. If
// an address is unknown, the error is plan.ErrUnknownAddress, and the rest of
// the layout is complete.
func (a *app) previewRunning(ctx context.Context, client *api.Client, r *upRequest, reserve bool) (*plan.Layout, []string, error) {
	running, err := a.requireMode(ctx, client, r)
	if err != nil {
		return nil, nil, err
	}
	changes, err := client.PreviewUp(ctx, r.plan.Monolith, wantedNames(r.plan)...)
	if err != nil {
		return nil, nil, err
	}
	place := &plan.Layout{Plan: r.plan, Placed: make([]plan.Placed, len(r.plan.Silos))}
	inherited := map[string]int{} // ports that earlier silos of this instance use
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
			if reserve && s.PortFixed && portIsYielded(running, changes, s.Port) {
				inherited[s.Name] = s.Port
				s.Port, s.PortFixed = 0, false
			}
			moving.Silos = append(moving.Silos, s)
		}
	}
	var moved *plan.Layout
	if reserve {
		moved, err = orchestrator.Preview(ctx, moving, a.host(r.dir))
	} else {
		moved, err = orchestrator.Predict(ctx, moving, a.host(r.dir), true)
	}
	if err != nil && !errors.Is(err, plan.ErrUnknownAddress) {
		return nil, nil, err
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
	return place, previewNotes(running, r, changes), err
}

// portIsYielded reports whether a silo that uses the port will be stopped first.
func portIsYielded(running *state.Snapshot, c plan.Changes, port int) bool {
	return slices.ContainsFunc(running.Silos, func(s state.Silo) bool {
		return slices.Contains(c.StopFirst, s.Name) && (s.Port == port || s.HealthPort == port)
	})
}

// previewNotes lists what `up` would change.
func previewNotes(running *state.Snapshot, r *upRequest, c plan.Changes) []string {
	lines := changeLines(c, "to be ")
	for _, s := range running.Silos {
		if (s.State == state.Stopped || s.State == state.Failed) && slices.Contains(wantedNames(r.plan), s.Name) {
			lines = append(lines, "to be started: "+s.Name)
		}
	}
	if len(lines) == 0 {
		lines = []string{"nothing would change"}
	}
	return append([]string{fmt.Sprintf("already running (supervisor pid %d)", *running.PID)}, lines...)
}

// changeLines describes the changes of a topology. Each line begins with prefix.
func changeLines(c plan.Changes, prefix string) (list []string) {
	reload := "reloading"
	if prefix != "" {
		reload = "reloaded"
	}
	for _, kind := range []struct {
		verb  string
		names []string
	}{{"added", c.Added}, {"removed", c.Removed}, {"started again", c.Restarted}, {"applied", c.Applied}, {reload, c.Reloading}} {
		if len(kind.names) > 0 {
			list = append(list, prefix+kind.verb+": "+strings.Join(kind.names, ", "))
		}
	}
	if c.Any() && len(c.Kept) > 0 {
		list = append(list, "not touched: "+strings.Join(c.Kept, ", "))
	}
	if len(c.Kept)+len(c.Reloading) > 0 {
		for _, name := range c.Added {
			list = append(list, "run silo restart to add "+sentry.URLVariable(name)+" to their environment")
		}
	}
	return append(list, c.Displaced...)
}
