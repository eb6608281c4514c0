package orchestrator

import (
	"cmp"
	"os"

	"silo/plan"
	"silo/state"
	"silo/tunnels"
)

// publish publishes a snapshot of a cluster.
func (s *Supervisor) publish(c cluster) { s.hub.publish(s.snapshot(c)) }

func (s *Supervisor) snapshot(c cluster) *state.Snapshot {
	p, pid := s.placement(), os.Getpid()
	snapshot := &state.Snapshot{
		SchemaVersion: state.SchemaVersion, Name: p.Topology.Name, PID: &pid,
		File: p.Topology.File, StartedAt: &s.startedAt, Provider: p.Topology.Tunnels.Provider,
		Dialect: p.Choice.Dialect.Name, Config: state.Config{Path: p.Topology.Sentry.Config},
		Topology: p.fingerprint, Mode: "silos", Version: p.Version, Found: p.Choice.Found, RunID: p.Run.ID,
		ProcessTime: s.processTime, Managed: new(p.Managed()), Dashboard: s.dashboard,
		Silos: make([]state.Silo, len(p.Placed)), State: state.InstanceReady,
	}
	if p.Monolith {
		snapshot.Mode = "monolith"
	}
	starting := false
	for i, placed := range p.Placed {
		live := *c.named(placed.Name)
		view := siloSnapshot(placed, p.open[placed.Name], live)
		snapshot.Silos[i] = view
		starting = starting || isStarting(live)
		if isDegraded(view, live) {
			snapshot.State = state.InstanceDegraded
		}
	}
	switch {
	case c.stopping:
		snapshot.State = state.InstanceStopping
	case starting:
		snapshot.State = state.InstanceStarting
	}
	return snapshot
}

// isStarting reports whether a silo is starting and has not been ready yet.
func isStarting(s silo) bool {
	active := s.phase == state.Planned || s.phase == state.Starting || s.phase == state.Stopping
	return active && !s.everReady
}

// isDegraded reports whether a silo prevents its instance from being ready.
func isDegraded(view state.Silo, s silo) bool {
	tunnel := view.Tunnel.State
	return tunnel == state.TunnelLost || tunnel == state.TunnelReconnecting ||
		s.phase != state.Ready && (s.phase != state.Stopped || s.quit)
}

// siloSnapshot returns one silo as a snapshot shows it.
func siloSnapshot(p plan.Placed, r resources, s silo) state.Silo {
	v := state.Silo{
		Name: p.Name, Mode: p.Mode, State: s.phase, Port: p.Port, Bind: p.Bind(), URL: p.URL,
		Tunnel: tunnelSnapshot(r.tunnel), Restarts: s.restarts, Exit: s.exit, HealthPort: p.HealthPort,
		StartedAt: nonZero(s.startedAt), ReadyAt: nonZero(s.readyAt), TimedOut: s.timedOut, KillAt: nonZero(s.killAt),
		BrowseURL: nonZero(p.BrowseURL), Role: nonZero(s.role), Reason: nonZero(cmp.Or(s.reason, r.output.problem())),
		PID: nonZero(s.pid), Managed: new(!s.unmanaged && s.debug == nil), Debug: s.debug != nil,
	}
	if !p.IsControl() {
		v.RegionID, v.Category = &p.ID, &p.Category
	}
	if s.pid != 0 && !s.unmanaged { // a cleanup ends processes that have both PID and time
		v.ProcessTime = &s.processTime
	}
	return v
}

// nonZero returns a pointer to a value, or nil for the zero value.
func nonZero[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// tunnelSnapshot returns a tunnel's status as a snapshot shows it.
func tunnelSnapshot(t tunnels.Tunnel) state.Tunnel {
	status := t.Status()
	v := state.Tunnel{State: state.TunnelState(status.State), Attempt: status.Attempt}
	if e := status.Err; e != nil {
		v.Error = &state.TunnelError{Code: e.Code, Text: e.Text, Hint: e.Hint}
	}
	return v
}
