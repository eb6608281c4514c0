package ui

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"

	"silo/state"
)

// Progress shows how silos start or stop.
//
// On a terminal it is a block that is redrawn in place: a headline and one row per silo
// with its state, elapsed time and last line of output. If the window is too small, it
// shows counts and the slowest silos. In a pipe, and on a terminal that cannot move its
// cursor, it is one plain line for each change of a silo's state, such as "us-west ready in
// 1.2s".
//
// It starts no goroutine and has no clock. The caller calls Update, never
// concurrently, for each snapshot and about ten times a second.
type Progress struct {
	p       *Printer
	block   *liveBlock
	names   []string // the silos to show; none: all
	created time.Time
	seen    map[string]seenState
}

// seenState is the last seen state of a silo, and its start.
type seenState struct {
	phase state.Phase
	since time.Time
}

// Progress returns a Progress for the named silos, or for all. It does not show earlier
// changes.
func (p *Printer) Progress(names ...string) *Progress {
	p, block := p.newLiveBlock()
	return &Progress{
		p: p, block: block, names: names, created: p.now(),
		seen: map[string]seenState{},
	}
}

// Update shows a snapshot. The last line of a silo's output is shown without
// escape sequences and control characters, cut to the width.
func (g *Progress) Update(s state.Snapshot, lastLine map[string]string) {
	silos := slices.DeleteFunc(slices.Clone(s.Silos), func(silo state.Silo) bool {
		return len(g.names) > 0 && !slices.Contains(g.names, silo.Name)
	})
	longest := 0
	for _, silo := range silos {
		longest = max(longest, ansi.StringWidth(silo.Name))
	}
	var changes []string
	for _, silo := range silos {
		before, known := g.seen[silo.Name]
		if known && before.phase == silo.State {
			continue
		}
		g.seen[silo.Name] = seenState{phase: silo.State, since: g.p.now()}
		if g.isChange(silo, known) {
			changes = append(changes, pad(clean(silo.Name), longest+gap)+g.change(silo))
		}
	}
	if s.State == state.InstanceStopping || s.State == state.InstanceStopped {
		slices.Reverse(changes) // regions stop first, control last
	}
	if g.p.canRedraw() {
		g.block.draw(g.frame(s, silos, lastLine))
	} else {
		g.p.print(changes)
	}
}

// Done removes the block, so that further output replaces it. It may be called twice.
func (g *Progress) Done() { g.block.erase() }

// isChange reports whether a silo reached its state since this Progress was created.
// For a new silo, a final state or one from before does not count.
func (g *Progress) isChange(silo state.Silo, known bool) bool {
	switch {
	case known:
		return silo.State != state.Planned
	case silo.State == state.Ready:
		return silo.ReadyAt == nil || !silo.ReadyAt.Before(g.created)
	case silo.State == state.Failed:
		return silo.Exit == nil || !silo.Exit.At.Before(g.created)
	}
	return silo.State != state.Planned && silo.State != state.Stopped
}

// change describes a silo's new state in plain text.
func (g *Progress) change(silo state.Silo) string {
	_, s := g.p.look(string(silo.State))
	text := g.p.paint(s, string(silo.State))
	switch silo.State {
	case state.Ready:
		if d := startDuration(silo); d > 0 {
			text += " in " + Duration(d)
		}
	case state.Stopped:
		if wasKilled(silo) {
			text += " (killed)"
		}
	case state.Failed, state.Unready, state.Backoff:
		if ending := g.p.ending(silo); ending != "" {
			text += ": " + ending
		}
	default:
	}
	return text
}

// startDuration returns how long a ready silo took to start; 0 for an unmanaged one.
func startDuration(silo state.Silo) time.Duration {
	if silo.ReadyAt == nil || silo.StartedAt == nil {
		return 0
	}
	return silo.ReadyAt.Sub(*silo.StartedAt)
}

func wasKilled(silo state.Silo) bool { return silo.Exit != nil && value(silo.Exit.Signal) == "KILL" }

// frame returns a headline and as many rows as the height allows.
func (g *Progress) frame(s state.Snapshot, silos []state.Silo, lastLine map[string]string) []string {
	const around = 3 // headline, empty line, the cursor's line
	lines := g.p.headline(s, Duration(g.p.now().Sub(g.created)))
	if len(silos)+around > g.p.height() {
		lines = append(lines, g.counts(silos))
		silos = g.slowest(silos, min(12, g.p.height()-around-1))
	}
	rows := make([][]cell, len(silos))
	for i, silo := range silos {
		rows[i] = []cell{
			{text: clean(silo.Name)},
			g.p.state(string(silo.State)),
			{text: g.elapsed(silo), style: muted},
			g.detail(silo, lastLine[silo.Name]),
		}
	}
	return append(append(lines, ""), g.p.liveRows(rows, len("starting")+2)...)
}

// liveRows lays out rows of name, state, elapsed time and truncated text.
func (p *Printer) liveRows(rows [][]cell, stateWidth int) []string {
	return p.newTable(column{}, column{min: stateWidth}, column{min: len("9m59s"), right: true}, column{stretch: true}).lines(rows)
}

// detail returns the end of a row: the address, the reason, the countdown or the
// last line of output.
func (g *Progress) detail(silo state.Silo, lastLine string) cell {
	switch silo.State {
	case state.Ready:
		return cell{text: clean(silo.URL), style: link, whole: true}
	case state.Unready, state.Backoff, state.Failed:
		if text := g.p.ending(silo); text != "" {
			return cell{text: text}
		}
	case state.Stopping:
		if silo.KillAt != nil {
			return cell{text: countdown(silo.KillAt.Sub(g.p.now())), style: warn}
		}
	case state.Planned:
		if silo.Tunnel.State == state.TunnelOpening {
			return cell{text: "opening its tunnel", style: muted}
		}
		return cell{}
	case state.Stopped:
		if wasKilled(silo) {
			return cell{text: "killed", style: warn}
		}
		return cell{}
	case state.Starting:
		lastLine = cmp.Or(lastLine, value(silo.Reason))
	}
	return cell{text: strings.TrimSpace(clean(lastLine)), style: muted}
}

func countdown(left time.Duration) string {
	if left <= 0 {
		return "killed after grace"
	}
	return fmt.Sprintf("%.0fs left", math.Ceil(left.Seconds()))
}

// elapsed returns how long a silo has been in its state, or took to become ready.
func (g *Progress) elapsed(silo state.Silo) string {
	since := g.seen[silo.Name].since
	switch {
	case silo.State == state.Planned || silo.State == state.Stopped || silo.State == state.Failed:
		return ""
	case silo.State == state.Ready && silo.StartedAt != nil && silo.ReadyAt != nil:
		if d := startDuration(silo); d != 0 {
			return Duration(d)
		}
		return ""
	case silo.State == state.Starting && silo.StartedAt != nil:
		since = *silo.StartedAt
	}
	return Duration(g.p.now().Sub(since))
}

// phases lists the states by importance.
func phases() []state.Phase {
	return []state.Phase{
		state.Failed, state.Backoff, state.Unready, state.Stopping, state.Starting,
		state.Ready, state.Planned, state.Stopped,
	}
}

// counts returns how many silos are in each state.
func (g *Progress) counts(silos []state.Silo) string {
	number := map[state.Phase]int{}
	for _, silo := range silos {
		number[silo.State]++
	}
	var words []string
	for _, phase := range phases() {
		if n := number[phase]; n > 0 {
			glyph, s := g.p.look(string(phase))
			words = append(words, g.p.paint(s, fmt.Sprintf("%s %d %s", glyph, n, phase)))
		}
	}
	return strings.Join(words, spaces(gap))
}

// slowest returns at most n silos that are not ready: failed ones first, then those
// that have been in their state the longest.
func (g *Progress) slowest(silos []state.Silo, n int) []state.Silo {
	rank := func(silo state.Silo) int { return slices.Index(phases(), silo.State) }
	since := func(silo state.Silo) time.Time {
		if silo.State == state.Starting && silo.StartedAt != nil {
			return *silo.StartedAt
		}
		return g.seen[silo.Name].since
	}
	silos = slices.DeleteFunc(slices.Clone(silos), func(silo state.Silo) bool {
		return rank(silo) >= slices.Index(phases(), state.Ready)
	})
	slices.SortStableFunc(silos, func(a, b state.Silo) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), since(a).Compare(since(b)))
	})
	return silos[:max(0, min(len(silos), n))]
}
