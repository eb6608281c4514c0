package ui

import (
	"io"

	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"
)

// style is the meaning of a piece of text.
type style int

const (
	plain  style = iota
	strong       // names in headlines
	muted        // column heads, absent values and stopped silos
	good
	busy // changing to another state
	warn
	bad
	removed // lines that a diff removes
	link    // addresses
	region  // the first of the regions' colours
)

// color is an index of the 256-colour palette, whose values are fixed, and the
// nearest of the 16 colours, which a terminal's theme chooses.
type color struct{ fixed, themed string }

// palette returns the colour of every style that has one. Each fixed colour has a
// contrast of at least 3 (WCAG 2.1, 1.4.11) against near black and the cream of light
// themes; a test computes it. The regions' colours are ordered so that neighbours
// differ, and none is red, which means failure, or control's own.
func palette() map[style]color {
	colors := map[style]color{
		muted:   {"244", "8"},
		good:    {"28", "2"},
		busy:    {"32", "6"},
		warn:    {"136", "3"},
		bad:     {"196", "1"},
		removed: {"196", "1"},
		link:    {"31", "6"},
	}
	for i, c := range regionColors {
		colors[region+style(i)] = c
	}
	return colors
}

var regionColors = [...]color{
	{"64", "2"},
	{"133", "5"},
	{"130", "3"},
	{"68", "4"},
	{"29", "2"},
	{"168", "5"},
	{"100", "3"},
	{"99", "4"},
	{"66", "2"},
	{"134", "5"},
}

// newStyles returns a lipgloss style for each style. The number of colours, 256
// or 16, comes from the environment; the terminal is not queried.
func newStyles(env func(string) (string, bool)) []lipgloss.Style {
	r := lipgloss.NewRenderer(io.Discard, termenv.WithUnsafe(), termenv.WithEnvironment(environment(env)))
	r.SetColorProfile(min(max(r.Output().ColorProfile(), termenv.ANSI256), termenv.ANSI))
	styles := make([]lipgloss.Style, int(region)+len(regionColors))
	styles[strong] = r.NewStyle().Bold(true)
	for s, c := range palette() {
		styles[s] = r.NewStyle().Bold(s == bad).TabWidth(lipgloss.NoTabConversion).
			Foreground(lipgloss.CompleteColor{ANSI256: c.fixed, ANSI: c.themed})
	}
	return styles
}

// environment adapts a lookup function to termenv.Environ.
type environment func(string) (string, bool)

func (e environment) Environ() []string { return nil }

func (e environment) Getenv(name string) string {
	value, _ := e(name)
	return value
}

// paint applies a style to text. Empty text stays empty.
func (p *Printer) paint(s style, text string) string {
	if p.styles == nil || s == plain || text == "" {
		return text
	}
	return p.styles[s].Render(text)
}

// glyphs are the symbols before the words, each one cell wide.
type glyphs struct{ live, idle, problem, arrow, absent, more string }

func newGlyphs(utf8 bool) glyphs {
	if !utf8 {
		return glyphs{live: "*", idle: "o", problem: "!", arrow: ">", absent: "-", more: "~"}
	}
	return glyphs{live: "●", idle: "○", problem: "▲", arrow: "→", absent: "–", more: "…"}
}

// look returns the glyph and the style for the state of a silo, an instance, a tunnel or a
// check. The word is always printed too, so that colour is never the only sign.
func (p *Printer) look(word string) (glyph string, s style) {
	switch word {
	case "ready", "online", "ok":
		return p.glyphs.live, good
	case "starting", "stopping", "opening":
		return p.glyphs.live, busy
	case "unready", "backoff", "degraded", "reconnecting", "warn", "silent":
		return p.glyphs.problem, warn
	case "failed", "lost", "fail":
		return p.glyphs.problem, bad
	}
	return p.glyphs.idle, muted
}
