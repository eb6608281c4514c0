package ui

import (
	"fmt"
	"slices"
	"strings"

	"silo/state"
)

// News tells of silos and tunnels that come and go, between the silos' own lines: a
// foreground `up`, and the log of a detached supervisor. What stands as it stood is
// told once.
type StateLog struct {
	p       *Printer
	quiet   bool // trouble alone
	phases  map[string]state.Phase
	tunnels map[string]string
}

// News begins to tell. Quiet: of trouble, and not of its end.
func (p *Printer) StateLog(quiet bool) *StateLog {
	return &StateLog{p, quiet, map[string]state.Phase{}, map[string]string{}}
}

// Update tells what a snapshot has that the one before had not; one at a time.
func (n *StateLog) Update(snapshot *state.Snapshot) {
	for _, s := range snapshot.Silos {
		if n.phases[s.Name] == s.State {
			continue
		}
		before, known := n.phases[s.Name]
		n.phases[s.Name] = s.State
		trouble := []state.Phase{state.Backoff, state.Failed, state.Unready}
		if s.Reason != nil && slices.Contains(trouble, s.State) {
			n.p.Warn(fmt.Sprintf("%s: %s: %s", s.Name, s.State, *s.Reason))
		} else if known && s.State == state.Ready && before != state.Ready {
			n.note(s.Name + " is ready again")
		}
	}
	n.ofTunnels(snapshot)
}

func (n *StateLog) note(text string) {
	if !n.quiet {
		n.p.Note(text)
	}
}

// ofTunnels tells of tunnels that come and go; those of one session do it all at
// once and for one reason, which is one line.
func (n *StateLog) ofTunnels(snapshot *state.Snapshot) {
	var news []string
	names, hints := map[string][]string{}, map[string]string{}
	for _, s := range snapshot.Silos {
		line := tunnelNews(s.Tunnel)
		before, known := n.tunnels[s.Name]
		n.tunnels[s.Name] = line
		if line == before || !known && line == tunnelOnline {
			continue
		}
		if !slices.Contains(news, line) {
			news = append(news, line)
		}
		names[line] = append(names[line], s.Name)
		if s.Tunnel.Error != nil {
			hints[line] = s.Tunnel.Error.Hint
		}
	}
	for _, line := range news {
		text := strings.Join(names[line], ", ") + ": " + line
		switch {
		case line == tunnelOnline:
			n.note(text + " again")
		case hints[line] == "":
			n.p.Warn(text)
		default:
			n.p.Warn(text, hints[line])
		}
	}
}

const tunnelOnline = "tunnel online"

// tunnelNews is how a tunnel stands; a further attempt to mend it is no news.
func tunnelNews(t state.Tunnel) string {
	switch {
	case t.State != state.TunnelLost && t.State != state.TunnelReconnecting:
		return tunnelOnline
	case t.Error == nil:
		return "tunnel " + string(t.State)
	}
	return fmt.Sprintf("tunnel %s: %s %s", t.State, t.Error.Code, t.Error.Text)
}
