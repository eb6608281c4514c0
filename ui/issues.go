package ui

import (
	"fmt"
	"strconv"
	"strings"

	"silo/state"
)

// issue is one problem, with hints.
type issue struct {
	state string // decides the glyph and the colour
	head  string // "us-west failed"
	text  string
	hint  string
}

// maxIssues is how many issues are listed. More issues at once usually have one cause,
// and would push the table off the screen.
const maxIssues = 8

// CleanupHint is the hint for a supervisor that was killed.
const CleanupHint = "silo down cleans up after it, silo up starts it again"

// configHint is the hint for a region config that differs from the topology.
const configHint = "silo config check shows the difference, silo config write fixes it"

// issues returns the problems of an instance, two lines each.
func (p *Printer) issues(s state.Snapshot) []string {
	var all []issue
	if s.Reason != nil {
		all = append(all, issue{"warn", clean(s.Name) + " " + string(s.State), clean(*s.Reason), CleanupHint})
	}
	for _, silo := range s.Silos {
		if i, ok := p.siloIssue(s, silo); ok {
			all = append(all, i)
		}
		if i, ok := tunnelIssue(silo); ok {
			all = append(all, i)
		}
	}
	if s.Config.InStep != nil && !*s.Config.InStep {
		all = append(all, issue{"warn", "region config out of step", clean(s.Config.Path), configHint})
	}
	var lines []string
	for n, i := range all {
		if n == maxIssues {
			return append(lines, "  "+p.paint(muted, fmt.Sprintf("and %d more: silo status --json", len(all)-n)))
		}
		lines = append(lines, p.issue(i)...)
	}
	return lines
}

func (p *Printer) issue(i issue) []string {
	glyph, s := p.look(i.state)
	head := i.head
	if p.terminal {
		head = glyph + " " + head
	}
	if i.text != "" {
		head += ":"
	}
	lines := p.paragraph(p.paint(s, head)+" ", 2, i.text, plain)
	if i.hint != "" {
		lines = append(lines, p.hint(2, i.hint)...)
	}
	return lines
}

func (p *Printer) siloIssue(s state.Snapshot, silo state.Silo) (issue, bool) {
	i := issue{state: string(silo.State), head: clean(silo.Name) + " " + string(silo.State), text: p.ending(silo)}
	logs, managed := "silo logs "+silo.Name, s.Manages(silo)
	switch silo.State {
	case state.Failed:
		switch {
		case !managed:
			i.hint = "stop the process that answers there, then silo up looks for the silo again"
		case s.State == state.InstanceStopped:
			i.hint = logs
		default:
			i.hint = logs + " shows why, silo restart " + silo.Name + " tries again"
		}
	case state.Unready:
		i.hint = "silo logs -f " + silo.Name
		if silo.Debug {
			i.hint = "see the terminal of silo debug " + clean(silo.Name)
		} else if !managed {
			i.hint = "silo run " + clean(silo.Name) + " -- CMD… starts it in your terminal"
		}
	case state.Backoff:
		i.hint = logs
	case state.Ready: // with a reason, such as a full disk
		return i, silo.Reason != nil && managed
	default:
		return i, false
	}
	return i, managed || silo.State != state.Backoff
}

func tunnelIssue(silo state.Silo) (issue, bool) {
	i := issue{state: string(silo.Tunnel.State), head: clean(silo.Name) + " tunnel " + string(silo.Tunnel.State), text: tunnelError(silo.Tunnel)}
	if silo.Tunnel.Error != nil {
		i.hint = silo.Tunnel.Error.Hint
		return i, true
	}
	return i, silo.Tunnel.State == state.TunnelLost || silo.Tunnel.State == state.TunnelReconnecting
}

// tunnelError returns the error of a tunnel, and the number of the attempt after
// the first.
func tunnelError(t state.Tunnel) string {
	if t.Error == nil {
		return ""
	}
	text := strings.TrimSpace(clean(t.Error.Code) + " " + clean(t.Error.Text))
	if t.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", t.Attempt)
	}
	return text
}

// ending returns why a silo is in its state: its reason, else its last exit.
func (p *Printer) ending(silo state.Silo) string {
	if silo.Reason != nil {
		return clean(*silo.Reason)
	}
	if silo.Exit == nil {
		return ""
	}
	ago := ", " + Duration(p.now().Sub(silo.Exit.At)) + " ago"
	switch {
	case silo.Exit.Signal != nil:
		return "ended by SIG" + *silo.Exit.Signal + ago
	case silo.Exit.Code != nil:
		return "exited with code " + strconv.Itoa(*silo.Exit.Code) + ago
	}
	return ""
}

// reason returns the text of the last column in a pipe: why the silo is not ready, a ready
// silo's problem, or the error of its tunnel.
func (p *Printer) reason(silo state.Silo) string {
	if silo.State == state.Ready {
		silo.Exit = nil // of an earlier process
	}
	if text := p.ending(silo); text != "" {
		return text
	}
	return tunnelError(silo.Tunnel)
}
