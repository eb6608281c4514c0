package plan

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"silo/topology"
)

// Changes are the effects of a changed topology on running silos.
type Changes struct {
	Added     []string `json:"added"`
	Removed   []string `json:"removed"`
	Restarted []string `json:"restarted"`
	Reloading []string `json:"reloading"` // their processes reload the region config
	Kept      []string `json:"kept"`      // their processes are not touched
	Applied   []string `json:"applied"`   // descriptions of changes that affect no process
	Displaced []string `json:"displaced"` // added silos that did not get their preferred port, described
	StopFirst []string `json:"yielding"`  // silos that are stopped first, because others get their ports

	RewritesConfig bool `json:"-"` // the region config changes
}

// Any reports whether a silo starts or stops.
func (c Changes) Any() bool { return len(c.Added)+len(c.Removed)+len(c.Restarted) > 0 }

// KeepReloading limits Reloading to silos that are otherwise kept, and removes them from
// Kept.
func (c *Changes) KeepReloading() {
	c.Reloading = slices.DeleteFunc(c.Reloading, func(name string) bool { return !slices.Contains(c.Kept, name) })
	c.Kept = slices.DeleteFunc(c.Kept, func(name string) bool { return slices.Contains(c.Reloading, name) })
}

// ImmutableError lists changed settings that cannot be applied to a running instance.
type ImmutableError struct{ Settings []string }

func (e *ImmutableError) Error() string {
	return strings.Join(e.Settings, ", ") + " cannot be changed while the instance runs"
}

// Compare returns the changes that another plan makes to a running layout. It fails
// with an *ImmutableError if the change needs a new instance.
func (l *Layout) Compare(next Plan) (Changes, error) {
	if settings := l.immutable(next); len(settings) > 0 {
		return Changes{}, &ImmutableError{settings}
	}
	var c Changes
	sameEnv := maps.Equal(l.Topology.Sentry.Env, next.Topology.Sentry.Env)
	for _, s := range next.Silos {
		old, known := l.Find(s.Name)
		switch {
		case !known:
			c.Added = append(c.Added, s.Name)
		case needsRestart(old, s) || !sameEnv:
			c.Restarted = append(c.Restarted, s.Name)
		default:
			c.Kept = append(c.Kept, s.Name)
		}
	}
	for _, old := range l.Placed {
		if !slices.Contains(next.Names(), old.Name) {
			c.Removed = append(c.Removed, old.Name)
		}
	}
	c.Applied, c.StopFirst = l.applied(next), l.stopFirst(next)
	c.RewritesConfig = !next.Monolith && l.rewritesConfig(next, c)
	return c, nil
}

// rewritesConfig reports whether the list of regions changes.
func (l *Layout) rewritesConfig(next Plan, c Changes) bool {
	return len(c.Added)+len(c.Removed) > 0 || slices.ContainsFunc(next.Silos, func(s Silo) bool {
		old, known := l.Find(s.Name)
		return known && (old.ID != s.ID || old.Category != s.Category)
	})
}

// applied describes the changes to the region config, to probes and to policies.
func (l *Layout) applied(next Plan) (changes []string) {
	note := func(same bool, text string, values ...any) {
		if !same {
			changes = append(changes, fmt.Sprintf(text, values...))
		}
	}
	for _, s := range next.Silos {
		old, known := l.Find(s.Name)
		if !known {
			continue
		}
		note(old.ID == s.ID, "id of %s is %d (was %d)", s.Name, s.ID, old.ID)
		note(old.Category == s.Category, "category of %s is %s", s.Name, s.Category)
		note(reflect.DeepEqual(old.Ready, s.Ready), "ready of %s", s.Name)
		note(reflect.DeepEqual(old.Restart, s.Restart), "restart of %s", s.Name)
		note(reflect.DeepEqual(old.Stop, s.Stop), "stop of %s", s.Name)
	}
	isolation := next.Topology.Isolation
	note(l.Topology.Isolation == isolation, "isolation.regions is %s", isolation)
	return changes
}

// immutable returns the changed settings that a running instance cannot apply.
func (l *Layout) immutable(plan Plan) (settings []string) {
	note := func(key string, same bool) {
		if !same {
			settings = append(settings, key)
		}
	}
	old, next := l.Topology, plan.Topology
	note("the mode", l.Monolith == plan.Monolith)
	note("name", old.Name == next.Name)
	note("the dialect", l.Choice.Dialect.Name == plan.Choice.Dialect.Name)
	note("sentry.config", old.Sentry.Config == next.Sentry.Config)
	note("sentry.databases", old.Sentry.Databases == next.Sentry.Databases)
	note("sentry.addresses", old.Sentry.Addresses == next.Sentry.Addresses)
	note("tunnels.provider", old.Tunnels.Provider == next.Tunnels.Provider)
	note("tunnels.ngrok", old.Tunnels.Ngrok == next.Tunnels.Ngrok)
	note("logs", old.Logs == next.Logs)
	for _, s := range plan.Silos {
		if o, known := l.Find(s.Name); known {
			note("managed of "+s.Name, o.Managed == s.Managed)
			note("the tunnel of "+s.Name, sameTunnel(o.Silo.Silo, s.Silo))
		}
	}
	return settings
}

func sameTunnel(a, b topology.Silo) bool {
	return a.Domain == b.Domain && a.URL == b.URL && a.HostHeader == b.HostHeader && a.TrafficPolicy == b.TrafficPolicy &&
		slices.Equal(a.BasicAuth, b.BasicAuth) && slices.Equal(a.AllowCIDRs, b.AllowCIDRs)
}

// needsRestart reports whether a change needs a new process of the silo. Probes,
// policies and the region config (ready, restart, stop, id, category) do not.
func needsRestart(old Placed, next Silo) bool {
	return NeedsPorts(old, next) || old.Dir != next.Dir || old.TTY != next.TTY ||
		!slices.Equal(old.Argv, next.Argv) || !reflect.DeepEqual(old.Env, next.Env)
}

// NeedsPorts reports whether a placed silo needs different ports.
func NeedsPorts(old Placed, next Silo) bool {
	return old.Watchers != next.Watchers || next.PortFixed && next.Port != old.Port
}

// stopFirst returns the silos that are removed or move, and whose ports go to another
// silo. It omits a silo that keeps its ports, which is a conflict, and unmanaged silos.
func (l *Layout) stopFirst(next Plan) (names []string) {
	var requested []int // ports of silos that are added or move
	for _, s := range next.Silos {
		if old, known := l.Find(s.Name); s.PortFixed && (!known || NeedsPorts(old, s)) {
			for n := range s.PortCount() {
				requested = append(requested, s.Port+n)
			}
		}
	}
	for _, old := range l.Placed {
		if i := slices.Index(next.Names(), old.Name); !old.Managed || i >= 0 && !NeedsPorts(old, next.Silos[i]) {
			continue
		}
		for n := range old.PortCount() {
			if slices.Contains(requested, old.Port+n) {
				names = append(names, old.Name)
				break
			}
		}
	}
	return names
}
