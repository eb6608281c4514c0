package ui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// output limits a column to one kind of writer. The zero value is every kind.
type output int

const (
	terminalOnly output = 1 + iota
	pipeOnly
	hidden
)

// column is one column of a table.
type column struct {
	head  string
	drop  int  // on a narrow terminal, the column with the highest is dropped first; 0: never
	right bool // aligned to the right, for numbers
	only  output
	min   int // of the terminal's width
	// below marks text that is never cut, such as an address: if the table does not fit,
	// it moves to a separate line below the row. At most one column has it.
	below bool
	// stretch gives the last column the remaining width. On a terminal its text is cut to
	// that.
	stretch bool
}

// cell is one value. The glyph precedes the text.
type cell struct {
	text  string
	glyph string
	style style
	whole bool // in a column that stretches: omitted rather than cut
}

func (c cell) String() string {
	if c.glyph == "" {
		return c.text
	}
	return c.glyph + " " + c.text
}

func (c cell) width() int { return ansi.StringWidth(c.String()) }

// gap is the space between two columns.
const gap = 2

// minStretch is the minimum width of a column that stretches: others are dropped before
// it gets narrower.
const minStretch = 24

// table aligns rows so that each line fits the printer's width: columns are dropped by
// rank, then the column that must stay whole moves below its row. On a terminal a
// column without any value is dropped first. In a pipe nothing is dropped.
//
// A table that is printed again keeps its layout steady: columns only grow, and a
// column that had a value stays.
type table struct {
	*Printer

	columns []column
	widths  []int
	filled  []bool // the columns that had a value
	shown   []int  // indexes of the columns that fit
	below   int    // the column that moved below the row; -1: none
}

func (p *Printer) newTable(columns ...column) *table {
	return &table{Printer: p, columns: columns}
}

// lines returns the column heads, if any, and the rows.
func (t *table) lines(rows [][]cell) []string {
	t.layout(rows)
	lines := t.heads()
	for _, row := range rows {
		lines = append(lines, t.row(row)...)
	}
	return lines
}

func (t *table) heads() []string {
	cells := make([]cell, len(t.columns))
	for i, c := range t.columns {
		cells[i] = cell{text: c.head, style: muted}
	}
	line := t.line(cells)
	if line == "" {
		return nil
	}
	return []string{line}
}

// layout measures rows and chooses the columns that fit.
func (t *table) layout(rows [][]cell) {
	if t.widths == nil {
		t.widths, t.filled = make([]int, len(t.columns)), make([]bool, len(t.columns))
	}
	var all []int
	for i, c := range t.columns {
		t.widths[i] = max(t.widths[i], c.min, ansi.StringWidth(c.head))
		t.filled[i] = t.filled[i] || c.drop == 0 || !t.terminal && c.head != "" || len(rows) == 0
		for _, row := range rows {
			t.widths[i] = max(t.widths[i], row[i].width())
			t.filled[i] = t.filled[i] || row[i].text != "" && row[i].text != t.glyphs.absent
		}
		if c.only == hidden || c.only == terminalOnly && !t.terminal || c.only == pipeOnly && t.terminal || !t.filled[i] {
			continue
		}
		all = append(all, i)
	}
	t.shown, t.below = all, -1
	if t.width() == 0 || t.shrink() {
		return
	}
	t.shown = nil
	for _, i := range all {
		if t.columns[i].below {
			t.below = i
		} else {
			t.shown = append(t.shown, i)
		}
	}
	t.shrink()
}

// shrink drops columns until the others fit, and reports whether they do.
func (t *table) shrink() bool {
	t.shown = append([]int(nil), t.shown...)
	for t.total() > t.width() {
		last := -1
		for at, i := range t.shown {
			if drop := t.columns[i].drop; drop > 0 && (last < 0 || drop > t.columns[t.shown[last]].drop) {
				last = at
			}
		}
		if last < 0 {
			return false
		}
		t.shown = append(t.shown[:last], t.shown[last+1:]...)
	}
	return true
}

// total returns the width of the shown columns and the gaps between them.
func (t *table) total() int {
	sum := gap * (len(t.shown) - 1)
	for _, i := range t.shown {
		if t.columns[i].stretch {
			sum += min(t.widths[i], minStretch)
		} else {
			sum += t.widths[i]
		}
	}
	return sum
}

// row returns the line of one row, and the line below it if a column moved there.
func (t *table) row(cells []cell) []string {
	lines := []string{t.line(cells)}
	if t.below >= 0 && cells[t.below].text != "" {
		lines = append(lines, "  "+t.paint(cells[t.below].style, cells[t.below].text))
	}
	return lines
}

// line returns the shown cells of a row, with no space at the end.
func (t *table) line(cells []cell) string {
	var b strings.Builder
	used, pending := 0, 0
	for at, i := range t.shown {
		c := cells[i]
		if at > 0 {
			pending += gap
		}
		if t.columns[i].stretch && t.terminal {
			c = t.cut(c, t.width()-used-pending)
		}
		padding := max(t.widths[i]-c.width(), 0)
		if t.columns[i].right {
			pending, padding = pending+padding, 0
		}
		if c.text != "" {
			b.WriteString(spaces(pending) + t.cell(c))
			used, pending = used+pending+c.width(), 0
		}
		pending += padding
	}
	return b.String()
}

func (t *table) cut(c cell, room int) cell {
	if c.whole && c.width() > room {
		return cell{}
	}
	c.text = ansi.Truncate(c.text, room, t.glyphs.more)
	return c
}

func (p *Printer) cell(c cell) string { return p.paint(c.style, c.String()) }

// state returns the cell of a state, with its glyph on a terminal.
func (p *Printer) state(word string) cell {
	glyph, s := p.look(word)
	c := p.known(word, s)
	if p.terminal && word != "" {
		c.glyph = glyph
	}
	return c
}

// known returns a cell with text, or the symbol for an absent value.
func (p *Printer) known(text string, s style) cell {
	switch {
	case text != "":
		return cell{text: text, style: s}
	case p.terminal:
		return cell{text: p.glyphs.absent, style: muted}
	}
	return cell{text: "-"}
}
