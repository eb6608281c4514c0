package orchestrator

import (
	"os"
	"time"

	"silo/state"
	"silo/tunnels"
)

// publish makes a snapshot of the cluster and pins it.
func (s *Supervisor) publish(c cluster) { s.board.publish(s.snapshot(c)) }

// snapshot is everything that is known, as one immutable value.
func (s *Supervisor) snapshot(c cluster) *state.Snapshot {
	pid := os.Getpid()
	p := s.now()
	snap := &state.Snapshot{
		SchemaVersion: state.SchemaVersion, Name: p.Topology.Name, PID: &pid,
		File: p.Topology.File, StartedAt: &s.startedAt, Provider: p.Topology.Tunnels.Provider,
		Dialect: p.Choice.Dialect.Name, Config: state.Config{Path: p.Topology.Sentry.Config},
		Topology: p.fingerprint, Mode: "silos", Version: p.Version, Found: p.Choice.Found, RunID: p.RunID,
		ProcessTime: s.born, Managed: new(p.Topology.Sentry.Managed), Dashboard: s.dashboard,
		Silos: make([]state.Silo, len(p.Placed)),
	}
	if p.Monolith {
		snap.Mode = "monolith"
	}
	known := make([]*silo, len(p.Placed))
	for i := range p.Placed {
		known[i] = c.at(i, p.Placed[i].Name)
		snap.Silos[i] = view(&p.Placed[i], *known[i])
	}
	snap.State = condition(c, known, snap.Silos)
	return snap
}

// at is the named silo, which is nearly always the i-th.
func (c *cluster) at(i int, name string) *silo {
	if i < len(c.silos) && c.silos[i].name == name {
		return &c.silos[i]
	}
	return c.named(name)
}

// condition sums the silos up.
func condition(c cluster, known []*silo, silos []state.Silo) state.Condition {
	if c.stopping {
		return state.InstanceStopping
	}
	sum := state.InstanceReady
	for i := range silos {
		s := &silos[i]
		switch s.State {
		case state.Planned, state.Starting, state.Stopping:
			if !known[i].everReady {
				return state.InstanceStarting
			}
			sum = state.InstanceDegraded
		case state.Unready, state.Backoff, state.Failed:
			sum = state.InstanceDegraded
		case state.Stopped:
			if known[i].quit { // nobody asked it to
				sum = state.InstanceDegraded
			}
		case state.Ready:
		}
		if s.Tunnel.State == state.TunnelLost || s.Tunnel.State == state.TunnelReconnecting {
			sum = state.InstanceDegraded
		}
	}
	return sum
}

// view is one silo as a snapshot shows it.
func view(p *Placed, s silo) state.Silo {
	v := state.Silo{
		Name: p.Name, Mode: p.Mode, State: s.phase, Port: p.Port, Bind: p.Bind(), URL: p.URL,
		Tunnel: tunnel(p.Tunnel), Restarts: s.restarts, Exit: s.exit, HealthPort: p.HealthPort,
		StartedAt: moment(s.startedAt), ReadyAt: moment(s.readyAt), TimedOut: s.timedOut, KillAt: moment(s.killAt),
	}
	if !p.IsControl() {
		v.RegionID, v.Category = &p.ID, &p.Category
	}
	if s.pid != 0 {
		v.PID = &s.pid
		if !s.loose { // whoever clears up after this supervisor ends what has both
			v.ProcessTime = &s.processTime
		}
	}
	if p.BrowseURL != "" {
		v.BrowseURL = &p.BrowseURL
	}
	if s.role != "" {
		v.Role = &s.role
	}
	reason := s.reason
	if reason == "" {
		reason = p.out.trouble()
	}
	if reason != "" {
		v.Reason = &reason
	}
	return v
}

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// tunnel puts a tunnel's status into the words of a snapshot.
func tunnel(t tunnels.Tunnel) state.Tunnel {
	if t == nil {
		return state.Tunnel{State: state.TunnelNone}
	}
	status := t.Status()
	v := state.Tunnel{State: state.TunnelState(status.State), Attempt: status.Attempt}
	if e := status.Err; e != nil {
		v.Error = &state.TunnelError{Code: e.Code, Text: e.Text, Hint: e.Hint}
	}
	return v
}
