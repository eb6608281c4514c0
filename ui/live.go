package ui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// liveBlock is a block of lines at the bottom of a terminal that is redrawn in
// place.
//
// Each frame is one Write, so that no partial frame is ever visible, and leaves
// the cursor at the start of the line below. The cursor is never hidden and no
// terminal mode is changed: a program that is killed between two frames leaves
// nothing to restore.
type liveBlock struct {
	p     *Printer // has the block's margin
	lines []string // as displayed
}

// newLiveBlock returns a block and the printer for its content. The last column stays
// free, because a terminal may show a character of ambiguous width in two cells (Unicode
// Standard Annex 11).
func (p *Printer) newLiveBlock() (*Printer, *liveBlock) {
	narrower := *p
	narrower.margin = 1
	return &narrower, &liveBlock{p: &narrower}
}

const (
	eraseBelow = "\x1b[J"
	eraseLine  = "\x1b[K"
)

// draw replaces the block with as many of the lines as fit, each cut to the terminal's
// width. It does not write an unchanged frame.
func (b *liveBlock) draw(lines []string) {
	lines = b.fit(lines)
	if slices.Equal(lines, b.lines) {
		return
	}
	var frame strings.Builder
	frame.WriteString(b.moveToTop())
	for _, line := range lines {
		frame.WriteString(line + eraseLine + "\n")
	}
	frame.WriteString(eraseBelow)
	b.lines = lines
	b.p.write(frame.String())
}

// erase removes the block. It may be called twice.
func (b *liveBlock) erase() {
	if len(b.lines) > 0 {
		b.p.write(b.moveToTop() + eraseBelow)
		b.lines = nil
	}
}

// moveToTop moves the cursor to the block's first line. If the window has become narrower,
// the terminal has wrapped longer lines into several rows.
func (b *liveBlock) moveToTop() string {
	columns, rows := b.p.width()+b.p.margin, 0
	for _, line := range b.lines {
		rows += max(1, (ansi.StringWidth(line)+columns-1)/columns)
	}
	if rows == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r", rows)
}

// fit cuts a frame to the screen's height, without the cursor's line.
func (b *liveBlock) fit(lines []string) []string {
	rows := max(b.p.height()-1, 1)
	if len(lines) > rows {
		more := fmt.Sprintf("%s and %d more lines", b.p.glyphs.more, len(lines)-rows+1)
		lines = append(slices.Clone(lines[:rows-1]), b.p.paint(muted, more))
	}
	fitting := make([]string, len(lines))
	for i, line := range lines {
		fitting[i] = ansi.Truncate(line, b.p.width(), b.p.glyphs.more)
	}
	return fitting
}
