package ui

import (
	"fmt"
	"slices"
	"strings"

	"silo/state"
)

// StateLog prints when problems of silos and tunnels begin and end, between the silos'
// output: in a foreground `silo up` and in the log of a detached supervisor. Each change is
// printed once.
type StateLog struct {
	p       *Printer
	quiet   bool // only problems
	silos   map[string]seenSilo
	tunnels map[string]string
}

// seenSilo is what was last seen of a silo. The process differs after a restart that
// ended between two snapshots.
type seenSilo struct {
	phase state.Phase
	pid   int // 0: none
}

// StateLog returns a StateLog. With quiet, it omits the end of problems.
func (p *Printer) StateLog(quiet bool) *StateLog {
	return &StateLog{p, quiet, map[string]seenSilo{}, map[string]string{}}
}

// Update prints the changes since the last snapshot. It must not be called
// concurrently.
func (l *StateLog) Update(snapshot *state.Snapshot) {
	for _, s := range snapshot.Silos {
		before, known := l.silos[s.Name]
		now := seenSilo{s.State, value(s.PID)}
		l.silos[s.Name] = now
		if before.phase == now.phase && (s.State != state.Ready || before.pid == now.pid) {
			continue
		}
		problem := slices.Contains([]state.Phase{state.Backoff, state.Failed, state.Unready}, s.State)
		if problem && s.Reason != nil {
			l.p.Warn(fmt.Sprintf("%s: %s: %s", s.Name, s.State, *s.Reason))
		} else if known && s.State == state.Ready {
			l.note(s.Name + " is ready again")
		}
	}
	l.updateTunnels(snapshot)
}

func (l *StateLog) note(text string) {
	if !l.quiet {
		l.p.Note(text)
	}
}

// updateTunnels prints one line for all tunnels that changed in the same way:
// the tunnels of one session fail together.
func (l *StateLog) updateTunnels(snapshot *state.Snapshot) {
	var changes []string
	names, hints := map[string][]string{}, map[string][]string{}
	for _, s := range snapshot.Silos {
		change := tunnelChange(s.Tunnel)
		before, known := l.tunnels[s.Name]
		l.tunnels[s.Name] = change
		if change == before || !known && change == tunnelOnline {
			continue
		}
		if names[change] == nil {
			changes = append(changes, change)
		}
		names[change] = append(names[change], s.Name)
		if s.Tunnel.Error != nil && s.Tunnel.Error.Hint != "" {
			hints[change] = []string{s.Tunnel.Error.Hint}
		}
	}
	for _, change := range changes {
		text := strings.Join(names[change], ", ") + ": " + change
		if change == tunnelOnline {
			l.note(text + " again")
		} else {
			l.p.Warn(text, hints[change]...)
		}
	}
}

const tunnelOnline = "tunnel online"

// tunnelChange describes the state of a tunnel without the number of the attempt.
func tunnelChange(t state.Tunnel) string {
	switch {
	case t.State != state.TunnelLost && t.State != state.TunnelReconnecting:
		return tunnelOnline
	case t.Error == nil:
		return "tunnel " + string(t.State)
	}
	return fmt.Sprintf("tunnel %s: %s %s", t.State, t.Error.Code, t.Error.Text)
}
