package ui

import (
	"slices"
	"strings"
)

// column is one column of a table.
type column struct {
	head  string
	rank  int  // 0: always shown; else the higher, the sooner it gives way
	right bool // numbers stand at the right
	// whole text (an address, a path) is never cut: where the table does not fit
	// it stands on a line of its own below its row. At most one column is whole.
	whole bool
}

// cell is one value. The glyph stands before the text on a terminal only.
type cell struct {
	text  string
	glyph string
	ink   ink
}

func (c cell) width() int {
	if c.glyph == "" {
		return width(c.text)
	}
	return width(c.glyph) + 1 + width(c.text)
}

// gap is the space between two columns.
const gap = 2

// table lays rows out below the columns' heads so that each line fits the
// printer's width: columns give way by their rank, then the whole column moves
// below its row. On a terminal a column that would hold nothing gives way at
// once. In a pipe nothing is left out.
func (p *Printer) table(columns []column, rows [][]cell) []string {
	return p.steadyTable(columns, rows, nil)
}

// steady is what a table that is drawn again and again keeps from one time to the
// next, so that what stands in it does not jump: how wide its columns were, which
// only ever grow, and which had something to tell. By their heads, since there may
// be others another time.
type steady struct {
	widths map[string]int
	told   map[string]bool
}

func newSteady() *steady { return &steady{map[string]int{}, map[string]bool{}} }

// keep takes what a table would be now, and makes it no less than it was.
func (k *steady) keep(columns []column, widths, telling []int) []int {
	for i, c := range columns {
		k.told[c.head] = k.told[c.head] || slices.Contains(telling, i)
		k.widths[c.head] = max(k.widths[c.head], widths[i])
		widths[i] = k.widths[c.head]
	}
	telling = nil
	for i, c := range columns {
		if k.told[c.head] {
			telling = append(telling, i)
		}
	}
	return telling
}

// steadyTable is table, drawn after others of its kind; nil: it stands alone.
func (p *Printer) steadyTable(columns []column, rows [][]cell, before *steady) []string {
	widths := make([]int, len(columns))
	for i, c := range columns {
		widths[i] = width(c.head)
		for _, row := range rows {
			widths[i] = max(widths[i], row[i].width())
		}
	}
	telling := p.telling(columns, rows)
	if before != nil {
		telling = before.keep(columns, widths, telling)
	}
	shown, below := fit(columns, widths, telling, p.width())
	lines := make([]string, 0, 1+len(rows))
	heads := make([]cell, len(columns))
	for i, c := range columns {
		heads[i] = cell{text: c.head, ink: muted}
	}
	lines = append(lines, p.row(columns, heads, widths, shown))
	for _, row := range rows {
		lines = append(lines, p.row(columns, row, widths, shown))
		if below >= 0 {
			lines = append(lines, "  "+p.paint(row[below].ink, row[below].text))
		}
	}
	return lines
}

// telling are the columns that have something to tell.
func (p *Printer) telling(columns []column, rows [][]cell) []int {
	var telling []int
	for i, c := range columns {
		tells := c.rank == 0 || !p.terminal || len(rows) == 0
		for _, row := range rows {
			tells = tells || row[i].text != p.glyphs.absent
		}
		if tells {
			telling = append(telling, i)
		}
	}
	return telling
}

// fit chooses among the columns shown those that a line of at most limit cells
// has room for, and the one that stands below (-1: none).
func fit(columns []column, widths, shown []int, limit int) (fitting []int, below int) {
	if limit <= 0 {
		return shown, -1
	}
	if narrow, ok := shrink(columns, widths, shown, limit); ok {
		return narrow, -1
	}
	below = -1
	var others []int
	for _, i := range shown {
		if columns[i].whole {
			below = i
		} else {
			others = append(others, i)
		}
	}
	fitting, _ = shrink(columns, widths, others, limit)
	return fitting, below
}

// shrink leaves columns out, the highest rank first, until the others fit.
func shrink(columns []column, widths, shown []int, limit int) ([]int, bool) {
	shown = append([]int(nil), shown...)
	for total(widths, shown) > limit {
		last := -1
		for at, i := range shown {
			if columns[i].rank > 0 && (last < 0 || columns[i].rank > columns[shown[last]].rank) {
				last = at
			}
		}
		if last < 0 {
			return shown, false
		}
		shown = append(shown[:last], shown[last+1:]...)
	}
	return shown, true
}

func total(widths, shown []int) int {
	sum := gap * (len(shown) - 1)
	for _, i := range shown {
		sum += widths[i]
	}
	return sum
}

// row is one line of a table, with no space at its end.
func (p *Printer) row(columns []column, cells []cell, widths, shown []int) string {
	var b strings.Builder
	pending := 0
	for at, i := range shown {
		c := cells[i]
		room := max(widths[i]-c.width(), 0) // of live rows one may be wider than expected
		if at > 0 {
			pending += gap
		}
		if columns[i].right {
			pending, room = pending+room, 0
		}
		if text := p.cell(c); text != "" {
			b.WriteString(spaces(pending))
			pending = 0
			b.WriteString(text)
		} else {
			pending += c.width()
		}
		pending += room
	}
	return b.String()
}

func (p *Printer) cell(c cell) string {
	if c.glyph == "" {
		return p.paint(c.ink, c.text)
	}
	return p.paint(c.ink, c.glyph+" "+c.text)
}
