package ui

import (
	"io"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"silo/state"
)

// ink is what a piece of text means; a pen is how that looks.
type ink int

const (
	plain  ink = iota
	strong     // names in headlines
	muted      // headers, what is absent, what is stopped
	good
	busy // on its way to another state
	warn
	bad
	gone   // lines that a diff takes out
	link   // addresses
	region // and those after it: the colours of the log prefixes of regions
)

// shade is one colour: an index of the 256-colour palette, whose values are
// fixed, and the nearest of the 16 colours, which a terminal's theme chooses.
type shade struct {
	fixed, themed string
	bold          bool
}

// shades are the looks of the inks that have a colour. Each fixed colour keeps a
// contrast of at least 3 (WCAG 2.1, 1.4.11) to near black and to the cream of light
// themes, which a test computes.
func shades() map[ink]shade {
	return map[ink]shade{
		muted: {fixed: "244", themed: "8"},
		good:  {fixed: "28", themed: "2"},
		busy:  {fixed: "32", themed: "6"},
		warn:  {fixed: "136", themed: "3"},
		bad:   {fixed: "196", themed: "1", bold: true},
		gone:  {fixed: "196", themed: "1"},
		link:  {fixed: "31", themed: "6"},
	}
}

// regionInks is how many colours the regions take turns with.
const regionInks = 10

// regionShades colour the log prefixes of regions, in turn: neighbours far
// apart, none of them red, which means failure, nor control's own.
func regionShades() [regionInks]shade {
	return [...]shade{
		{fixed: "64", themed: "2"},
		{fixed: "133", themed: "5"},
		{fixed: "130", themed: "3"},
		{fixed: "68", themed: "4"},
		{fixed: "29", themed: "2"},
		{fixed: "168", themed: "5"},
		{fixed: "100", themed: "3"},
		{fixed: "99", themed: "4"},
		{fixed: "66", themed: "2"},
		{fixed: "134", themed: "5"},
	}
}

// pen is what is written before and after a text to give it its look.
type pen struct{ on, off string }

// newPens renders each look once, so that a view of a thousand cells is put
// together by joining strings.
func newPens(env func(string) (string, bool)) []pen {
	r := lipgloss.NewRenderer(io.Discard, termenv.WithProfile(termenv.Ascii))
	r.SetColorProfile(profile(env))
	regions := regionShades()
	pens := make([]pen, int(region)+regionInks)
	pens[strong] = newPen(r.NewStyle().Bold(true))
	for which, s := range shades() {
		pens[which] = newPen(s.style(r))
	}
	for i, s := range regions {
		pens[int(region)+i] = newPen(s.style(r))
	}
	return pens
}

func (s shade) style(r *lipgloss.Renderer) lipgloss.Style {
	return r.NewStyle().Bold(s.bold).Foreground(lipgloss.CompleteColor{ANSI256: s.fixed, ANSI: s.themed})
}

func newPen(s lipgloss.Style) pen {
	const between = "\u00b7"
	on, off, _ := strings.Cut(s.Render(between), between)
	return pen{on: on, off: off}
}

// profile is how many colours the terminal knows: 256 or 16. More are not used,
// since the palette is fixed.
func profile(env func(string) (string, bool)) termenv.Profile {
	out := termenv.NewOutput(io.Discard, termenv.WithProfile(termenv.Ascii), termenv.WithUnsafe(), termenv.WithEnvironment(environ(env)))
	switch out.ColorProfile() {
	case termenv.TrueColor, termenv.ANSI256:
		return termenv.ANSI256
	default:
		return termenv.ANSI
	}
}

// environ lets termenv look variables up where the Printer does.
type environ func(string) (string, bool)

func (e environ) Environ() []string { return nil }

func (e environ) Getenv(name string) string {
	value, _ := e(name)
	return value
}

// paint gives text the look of an ink. Text that is empty stays so.
func (p *Printer) paint(which ink, text string) string {
	if p.pens == nil || which == plain || text == "" {
		return text
	}
	look := p.pens[which]
	return look.on + text + look.off
}

// glyphs are the signs beside the words, each one cell wide.
type glyphs struct{ live, idle, trouble, arrow, absent, more string }

// newGlyphs chooses signs that the locale's character set has.
func newGlyphs(utf8 bool) glyphs {
	if !utf8 {
		return glyphs{live: "*", idle: "o", trouble: "!", arrow: ">", absent: "-", more: "~"}
	}
	return glyphs{live: "●", idle: "○", trouble: "▲", arrow: "→", absent: "–", more: "…"}
}

// phaseLook is the glyph and the ink of a silo's state. The word always stands
// beside them, so that nothing is told by colour alone.
func (p *Printer) phaseLook(phase state.Phase) (string, ink) {
	switch phase {
	case state.Ready:
		return p.glyphs.live, good
	case state.Starting, state.Stopping:
		return p.glyphs.live, busy
	case state.Unready, state.Backoff:
		return p.glyphs.trouble, warn
	case state.Failed:
		return p.glyphs.trouble, bad
	case state.Planned, state.Stopped:
	}
	return p.glyphs.idle, muted
}

func (p *Printer) conditionLook(c state.Condition) (string, ink) {
	switch c {
	case state.InstanceReady:
		return p.glyphs.live, good
	case state.InstanceStarting, state.InstanceStopping:
		return p.glyphs.live, busy
	case state.InstanceDegraded:
		return p.glyphs.trouble, warn
	case state.InstanceStopped:
	}
	return p.glyphs.idle, muted
}

func (p *Printer) tunnelLook(t state.TunnelState) (string, ink) {
	switch t {
	case state.TunnelOnline:
		return p.glyphs.live, good
	case state.TunnelOpening:
		return p.glyphs.live, busy
	case state.TunnelReconnecting:
		return p.glyphs.trouble, warn
	case state.TunnelLost:
		return p.glyphs.trouble, bad
	case state.TunnelNone:
	}
	return p.glyphs.idle, muted
}
