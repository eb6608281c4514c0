package ui

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"silo/state"
)

// Progress tells how silos come up or go down.
//
// On a terminal it is a block that is drawn over in place: a headline and one
// row a silo with its state, the time it took and its last line of output; where
// the window is too low for that, counts and the slowest few. In a pipe, and on
// a terminal that cannot move its cursor, it is one plain line for each change
// of a silo's state, such as "us-west  ready in 1.2s".
//
// It starts nothing and has no clock of its own: the caller, one at a time, calls
// Update for each snapshot and about ten times a second for the times to run.
type Progress struct {
	p      *Printer
	block  block
	names  map[string]bool // those it tells of; none: all
	made   time.Time
	seen   map[string]sight
	deadly map[string]time.Time
}

// sight is the state in which a silo was last seen, and since when.
type sight struct {
	phase state.Phase
	since time.Time
}

// Progress begins to tell of the silos of these names, or of all that the
// snapshots will have. What has come to pass before is not told.
func (p *Printer) Progress(names ...string) *Progress {
	g := &Progress{
		p: p, block: block{p: p}, names: map[string]bool{}, made: p.now(),
		seen: map[string]sight{}, deadly: map[string]time.Time{},
	}
	for _, name := range names {
		g.names[name] = true
	}
	return g
}

// Update shows a snapshot. The last line of a silo's output is shown without
// escape sequences and control characters, cut to the width.
func (g *Progress) Update(s state.Snapshot, lastLine map[string]string) {
	silos := g.chosen(s)
	longest := longestName(silos)
	var changes []string
	for _, silo := range silos {
		before, known := g.seen[silo.Name]
		if known && before.phase == silo.State {
			continue
		}
		g.seen[silo.Name] = sight{phase: silo.State, since: g.p.now()}
		if g.isNews(silo, known) {
			changes = append(changes, g.change(silo, longest))
		}
	}
	if s.State == state.InstanceStopping || s.State == state.InstanceStopped {
		slices.Reverse(changes) // regions go first, control last
	}
	if g.p.movable() {
		g.block.draw(g.frame(s, silos, lastLine))
	} else {
		g.p.print(changes)
	}
}

// Deadline says when a silo that is stopping will be killed, for a countdown.
func (g *Progress) Deadline(silo string, at time.Time) { g.deadly[silo] = at }

// Above writes a line that stays, above the block.
func (g *Progress) Above(line string) {
	if g.p.movable() {
		g.block.above([]string{line})
	} else {
		g.p.print([]string{line})
	}
}

// Done takes the block away, so that what follows starts where it stood. It may
// be called twice.
func (g *Progress) Done() { g.block.erase() }

func (g *Progress) chosen(s state.Snapshot) []state.Silo {
	if len(g.names) == 0 {
		return s.Silos
	}
	var chosen []state.Silo
	for _, silo := range s.Silos {
		if g.names[silo.Name] {
			chosen = append(chosen, silo)
		}
	}
	return chosen
}

// isNews tells whether a state came about since this Progress was made. Of a silo
// never seen before, what is at rest is no news, nor is what dates from earlier.
func (g *Progress) isNews(silo state.Silo, known bool) bool {
	if known {
		return silo.State != state.Planned
	}
	switch silo.State {
	case state.Planned, state.Stopped:
		return false
	case state.Ready:
		return silo.ReadyAt == nil || !silo.ReadyAt.Before(g.made)
	case state.Failed:
		return silo.Exit == nil || !silo.Exit.At.Before(g.made)
	case state.Starting, state.Unready, state.Backoff, state.Stopping:
	}
	return true
}

// change is the plain line for a silo's new state.
func (g *Progress) change(silo state.Silo, longest int) string {
	_, look := g.p.phaseLook(silo.State)
	words, rest := string(silo.State), ""
	switch silo.State {
	case state.Ready:
		if silo.ReadyAt != nil && silo.StartedAt != nil && silo.ReadyAt.After(*silo.StartedAt) { // an unmanaged one was not started
			rest = " in " + Duration(silo.ReadyAt.Sub(*silo.StartedAt))
		}
	case state.Stopped:
		if wasKilled(silo) {
			rest = " (killed)"
		}
	case state.Failed, state.Unready, state.Backoff:
		if text := g.p.ending(silo); text != "" {
			rest = ": " + text
		}
	case state.Planned, state.Starting, state.Stopping:
	}
	return clean(silo.Name) + spaces(longest-width(silo.Name)+gap) + g.p.paint(look, words) + rest
}

func longestName(silos []state.Silo) (cells int) {
	for _, s := range silos {
		cells = max(cells, width(s.Name))
	}
	return cells
}

func wasKilled(silo state.Silo) bool {
	return silo.Exit != nil && silo.Exit.Signal != nil && *silo.Exit.Signal == "KILL"
}

// frame is what the block shows: a headline and the rows that the height allows.
func (g *Progress) frame(s state.Snapshot, silos []state.Silo, lastLine map[string]string) []string {
	const around = 3 // headline, a line between, the cursor's line
	lines := []string{g.p.headline(s, Duration(g.p.now().Sub(g.made)))}
	if len(silos)+around > g.p.height() {
		lines = append(lines, g.counts(silos))
		silos = g.slowest(silos, min(12, g.p.height()-around-1))
	}
	lines = append(lines, "")
	longest := longestName(silos)
	for _, silo := range silos {
		lines = append(lines, g.line(silo, longest, lastLine[silo.Name]))
	}
	return lines
}

// line is a silo's row: name, state, time, and what it is about.
func (g *Progress) line(silo state.Silo, longest int, last string) string {
	const states, times = len("starting"), len("59m59s")
	glyph, look := g.p.phaseLook(silo.State)
	word := string(silo.State)
	spent := ""
	if d, known := g.spent(silo); known {
		spent = Duration(d)
	}
	name := clean(silo.Name)
	line := name + spaces(longest-width(name)+gap) + g.p.paint(look, glyph+" "+word) + spaces(states-len(word)+1+times-len(spent)) + g.p.paint(muted, spent)
	room := g.p.width() - 1 - longest - gap - 2 - states - 1 - times - gap
	text, which := g.about(silo, last, room)
	if text == "" {
		return strings.TrimRight(line, " ")
	}
	return line + spaces(gap) + g.p.paint(which, text)
}

// about is what a row ends with: an address where there is one to use, the
// reason where something is wrong, the countdown, else the last line of output.
func (g *Progress) about(silo state.Silo, last string, room int) (string, ink) {
	switch silo.State {
	case state.Ready:
		if url := clean(silo.URL); width(url) <= room {
			return url, link
		}
		return "", plain
	case state.Unready, state.Backoff, state.Failed:
		if text := g.p.ending(silo); text != "" {
			return cut(text, room, g.p.glyphs.more), plain
		}
	case state.Stopping:
		if at, set := g.deadly[silo.Name]; set {
			return cut(countdown(at.Sub(g.p.now())), room, ""), warn
		}
	case state.Planned:
		if silo.Tunnel.State == state.TunnelOpening {
			return cut("its tunnel opens", room, ""), muted
		}
		return "", plain
	case state.Stopped:
		if wasKilled(silo) {
			return cut("killed", room, ""), warn
		}
		return "", plain
	case state.Starting:
		if last == "" && silo.Reason != nil {
			last = *silo.Reason
		}
	}
	return cut(strings.TrimSpace(clean(last)), room, g.p.glyphs.more), muted
}

func countdown(left time.Duration) string {
	if left <= 0 {
		return "out of time, killed"
	}
	return strconv.Itoa(int(math.Ceil(left.Seconds()))) + "s left"
}

// spent is how long a silo has been at what it does, or took to become ready.
func (g *Progress) spent(silo state.Silo) (time.Duration, bool) {
	switch {
	case silo.State == state.Planned || silo.State == state.Stopped || silo.State == state.Failed:
		return 0, false
	case silo.State == state.Ready && silo.StartedAt != nil && silo.ReadyAt != nil && silo.ReadyAt.Equal(*silo.StartedAt):
		return 0, false
	case silo.State == state.Ready && silo.StartedAt != nil && silo.ReadyAt != nil:
		return silo.ReadyAt.Sub(*silo.StartedAt), true
	case silo.State == state.Starting && silo.StartedAt != nil:
		return g.p.now().Sub(*silo.StartedAt), true
	}
	return g.p.now().Sub(g.seen[silo.Name].since), true
}
