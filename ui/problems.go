package ui

import (
	"strconv"
	"strings"

	"silo/state"
)

// trouble is one thing that is wrong: what, and what may mend it.
type trouble struct {
	glyph string
	ink   ink
	head  string // "us-west failed"
	text  string
	hint  string
}

// troublesShown is how many troubles are told one by one. Where more is wrong at
// once it has one cause, and the list would push the table off the screen.
const troublesShown = 8

// LeftHint is what helps where a supervisor has not ended by itself.
const CleanupHint = "silo down clears away what it may have left, silo up starts it again"

// troubles tells what is wrong with an instance, two lines each.
func (p *Printer) troubles(s state.Snapshot) []string {
	var all []trouble
	if s.Reason != nil {
		all = append(all, trouble{
			glyph: p.glyphs.trouble, ink: warn, head: clean(s.Name) + " " + string(s.State),
			text: clean(*s.Reason), hint: CleanupHint,
		})
	}
	for _, silo := range s.Silos {
		if t, is := p.siloTrouble(s, silo); is {
			all = append(all, t)
		}
		if t, is := p.tunnelTrouble(silo); is {
			all = append(all, t)
		}
	}
	if s.Config.InStep != nil && !*s.Config.InStep {
		all = append(all, trouble{
			glyph: p.glyphs.trouble, ink: warn, head: "region config out of step",
			text: clean(s.Config.Path), hint: "silo config check shows the difference, silo config write mends it",
		})
	}
	var lines []string
	for i, t := range all {
		if i == troublesShown {
			rest := "and " + strconv.Itoa(len(all)-i) + " more: silo status --json"
			return append(lines, "  "+p.paint(muted, rest))
		}
		lines = append(lines, p.tell(t)...)
	}
	return lines
}

func (p *Printer) tell(t trouble) []string {
	lead := t.head
	if t.glyph != "" && p.terminal {
		lead = t.glyph + " " + lead
	}
	body := p.hanging(lead, t.ink, t.text)
	if t.hint != "" {
		body = append(body, p.hint(t.hint)...)
	}
	return body
}

// hanging is a coloured lead, a colon and a text that goes on indented.
func (p *Printer) hanging(lead string, which ink, text string) []string {
	if text == "" {
		return []string{p.paint(which, lead)}
	}
	lines := wrap(text, width(lead)+len(": "), p.width())
	for i := range lines[1:] {
		lines[1+i] = "  " + lines[1+i]
	}
	lines[0] = strings.TrimRight(p.paint(which, lead+":")+" "+lines[0], " ")
	return lines
}

// hint is the line that tells what may help.
func (p *Printer) hint(text string) []string {
	const lead = "  hint: "
	lines := wrap(clean(text), len(lead), p.width())
	for i := range lines[1:] {
		lines[1+i] = spaces(len(lead)) + lines[1+i]
	}
	lines[0] = "  " + p.paint(busy, "hint:") + " " + lines[0]
	return lines
}

func (p *Printer) siloTrouble(s state.Snapshot, silo state.Silo) (trouble, bool) {
	t := trouble{head: clean(silo.Name) + " " + string(silo.State), text: p.ending(silo)}
	t.glyph, t.ink = p.phaseLook(silo.State)
	if !s.IsManaged() {
		return p.yoursTrouble(t, silo)
	}
	switch silo.State {
	case state.Failed:
		t.hint = "silo logs " + silo.Name
		if s.State != state.InstanceStopped {
			t.hint += " shows why, silo restart " + silo.Name + " tries again"
		}
	case state.Unready:
		t.hint = "silo logs -f " + silo.Name
	case state.Backoff:
		t.hint = "silo logs " + silo.Name
	case state.Ready: // and yet not all is well, as on a full disk
		return t, silo.Reason != nil
	case state.Planned, state.Starting, state.Stopping, state.Stopped:
		return trouble{}, false
	}
	return t, true
}

// yoursTrouble is that of a silo which somebody else starts and ends.
func (p *Printer) yoursTrouble(t trouble, silo state.Silo) (trouble, bool) {
	switch silo.State {
	case state.Failed:
		t.hint = "end what answers there, then silo up looks for it again"
	case state.Unready:
		t.hint = "silo run " + clean(silo.Name) + " -- CMD… starts it on a terminal of yours"
	case state.Planned, state.Starting, state.Ready, state.Stopping, state.Stopped, state.Backoff:
		return trouble{}, false
	}
	return t, true
}

func (p *Printer) tunnelTrouble(silo state.Silo) (trouble, bool) {
	t := trouble{head: clean(silo.Name) + " tunnel " + string(silo.Tunnel.State)}
	t.glyph, t.ink = p.tunnelLook(silo.Tunnel.State)
	switch {
	case silo.Tunnel.Error != nil:
		t.text = tunnelText(silo.Tunnel)
		t.hint = silo.Tunnel.Error.Hint
	case silo.Tunnel.State != state.TunnelLost && silo.Tunnel.State != state.TunnelReconnecting:
		return trouble{}, false
	}
	return t, true
}

// tunnelText is why a tunnel that has an error is not online, and how often it
// has been tried to bring it back where that was not the first time.
func tunnelText(t state.Tunnel) string {
	text := strings.TrimSpace(clean(t.Error.Code) + " " + clean(t.Error.Text))
	if t.Attempt > 1 {
		text += " (attempt " + strconv.Itoa(t.Attempt) + ")"
	}
	return text
}

// ending is why a silo is as it is: the reason it gives, else its last exit.
func (p *Printer) ending(silo state.Silo) string {
	switch {
	case silo.Reason != nil:
		return clean(*silo.Reason)
	case silo.Exit == nil:
		return ""
	case silo.Exit.Signal != nil:
		return "ended by SIG" + *silo.Exit.Signal + p.ago(silo)
	case silo.Exit.Code != nil:
		return "exited with code " + strconv.Itoa(*silo.Exit.Code) + p.ago(silo)
	}
	return ""
}

func (p *Printer) ago(silo state.Silo) string {
	return " " + Duration(p.now().Sub(silo.Exit.At)) + " ago"
}

// reason is what a pipe's last column says: why the silo is not ready, or what it
// lacks though it is, else why its tunnel is not online.
func (p *Printer) reason(silo state.Silo) string {
	if silo.State == state.Ready {
		silo.Exit = nil // of an earlier process
	}
	if text := p.ending(silo); text != "" {
		return text
	}
	if silo.Tunnel.Error != nil {
		return tunnelText(silo.Tunnel)
	}
	return ""
}
