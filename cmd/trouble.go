package cmd

import (
	"fmt"
	"slices"
	"strings"

	"silo/state"
)

// told is what a foreground `up` or a detached supervisor's log has been told of
// the silos and their tunnels.
type told struct {
	phases  map[string]state.Phase
	tunnels map[string]string
}

func newTold() *told { return &told{map[string]state.Phase{}, map[string]string{}} }

// sayTrouble tells of silos that come and go, between their own lines.
func (a *app) sayTrouble(snapshot *state.Snapshot, said *told) {
	for _, s := range snapshot.Silos {
		if said.phases[s.Name] == s.State {
			continue
		}
		before, known := said.phases[s.Name]
		said.phases[s.Name] = s.State
		trouble := []state.Phase{state.Backoff, state.Failed, state.Unready}
		if s.Reason != nil && slices.Contains(trouble, s.State) {
			a.talk.Warn(fmt.Sprintf("%s: %s: %s", s.Name, s.State, *s.Reason))
		} else if known && s.State == state.Ready && before != state.Ready {
			a.note(s.Name + " is ready again")
		}
	}
	a.sayTunnels(snapshot, said)
}

// sayTunnels tells of tunnels that come and go; those of one session do it all at
// once and for one reason, which is one line.
func (a *app) sayTunnels(snapshot *state.Snapshot, said *told) {
	var news []string
	names, hints := map[string][]string{}, map[string]string{}
	for _, s := range snapshot.Silos {
		line := tunnelNews(s.Tunnel)
		before, known := said.tunnels[s.Name]
		said.tunnels[s.Name] = line
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
			a.note(text + " again")
		case hints[line] == "":
			a.talk.Warn(text)
		default:
			a.talk.Warn(text, hints[line])
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
