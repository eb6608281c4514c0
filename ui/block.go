package ui

import (
	"slices"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// block is a run of lines at the foot of a terminal that is drawn over in place.
//
// Each frame is one Write, so that no half of it is ever seen, and leaves the
// cursor at the start of the line below. The cursor is never hidden and no mode
// of the terminal is changed: a program that is killed between two frames leaves
// nothing behind to be put right.
type block struct {
	p     *Printer
	lines []string // as they stand on the screen
}

const (
	eraseBelow = "\x1b[J"
	eraseLine  = "\x1b[K"
)

// draw replaces the block by other lines, each cut to the terminal's width, and
// as many as it has room for. A frame that changes nothing writes nothing.
func (b *block) draw(lines []string) {
	lines = b.trim(lines)
	if slices.Equal(lines, b.lines) {
		return
	}
	var frame strings.Builder
	frame.WriteString(b.back())
	for _, line := range lines {
		frame.WriteString(line + eraseLine + "\n")
	}
	frame.WriteString(eraseBelow)
	b.lines = lines
	b.p.write(frame.String())
}

// above writes lines that stay, between what was there before and the block.
func (b *block) above(lines []string) {
	var frame strings.Builder
	frame.WriteString(b.back() + eraseBelow)
	for _, line := range lines {
		frame.WriteString(line + "\n")
	}
	for _, line := range b.lines {
		frame.WriteString(line + "\n")
	}
	b.p.write(frame.String())
}

// erase takes the block away.
func (b *block) erase() {
	if len(b.lines) > 0 {
		b.p.write(b.back() + eraseBelow)
		b.lines = nil
	}
}

// back moves the cursor to the block's first line. Where the window was made
// narrower since, the terminal has broken the longer lines into several rows.
func (b *block) back() string {
	columns, rows := b.p.width(), 0
	for _, line := range b.lines {
		rows += max(1, (ansi.StringWidth(line)+columns-1)/columns)
	}
	if rows == 0 {
		return ""
	}
	return "\x1b[" + strconv.Itoa(rows) + "A\r"
}

// trim cuts a frame to what the screen holds: the line of the cursor stays free,
// and so does the last column, since a terminal may show a sign of ambiguous
// width in two cells (Unicode Standard Annex 11).
func (b *block) trim(lines []string) []string {
	columns, rows := b.p.width()-1, max(b.p.height()-1, 1)
	kept := make([]string, 0, min(len(lines), rows))
	for i, line := range lines {
		if i == rows-1 && len(lines) > rows {
			more := b.p.glyphs.more + " and " + strconv.Itoa(len(lines)-i) + " more lines"
			return append(kept, b.p.paint(muted, cut(more, columns, "")))
		}
		if ansi.StringWidth(line) > columns {
			line = ansi.Truncate(line, columns, b.p.glyphs.more)
		}
		kept = append(kept, line)
	}
	return kept
}
