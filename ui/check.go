package ui

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mesh is what was found on the ways to all silos.
type CheckReport struct {
	Config     string // path of the region config's file
	OutOfStep  bool   // it differs from what the silos' addresses ask for
	ConfigHint string
	Ways       []CheckedWay
}

// MeshWay is one way to one silo.
type CheckedWay struct {
	Silo   string
	Via    string // direct or address
	URL    string
	OK     bool
	Mode   string // that the answers tell; may be empty
	AnsweredBy     string // the silo that answers; may be empty
	Took   time.Duration
	Steps  []CheckedStep
	Error  string
	Hint   string
	Failed string // the step that failed; empty: none
}

// MeshStep is one step of a way.
type CheckedStep struct {
	Name string
	Took time.Duration
}

// meshSteps are the steps that have a column, in their order.
func meshSteps() []string { return []string{"dns", "connect", "tls", "http", "mode"} }

// Mesh prints a table of all ways with the time of each step, and below it what
// is wrong with a hint for each. A pipe gets the table alone, with what is wrong
// as its last column; the region config is then no row, but its trouble is told
// behind the table all the same.
func (p *Printer) CheckReport(c CheckReport) {
	columns := []column{
		{head: "SILO"},
		{head: "VIA"},
		{head: "RESULT"},
		{head: "MODE", rank: 2},
		{head: "ANSWERED", rank: 1},
	}
	for i, step := range meshSteps() {
		head := strings.ToUpper(step)
		if step == "mode" { // there is a MODE that was found
			head = "ROLE"
		}
		columns = append(columns, column{head: head, rank: 3 + i, right: true})
	}
	columns = append(columns, column{head: "TOTAL", rank: 2, right: true}, column{head: "URL", whole: true})
	if !p.terminal {
		columns = append(columns, column{head: "ERROR"})
	}
	var troubles []string
	rows := make([][]cell, len(c.Ways))
	for i, w := range c.Ways {
		rows[i] = p.meshRow(w)[:len(columns)]
		if !w.OK {
			troubles = append(troubles, p.tell(p.meshTrouble(w))...)
		}
	}
	lines := p.table(columns, rows)
	if !p.terminal {
		troubles = nil
	}
	if c.OutOfStep {
		troubles = append(troubles, p.tell(trouble{
			glyph: p.glyphs.trouble, ink: warn, head: "region config out of step", text: clean(c.Config), hint: c.ConfigHint,
		})...)
	}
	if len(troubles) > 0 {
		lines = append(append(lines, ""), troubles...)
	}
	p.print(lines)
}

func (p *Printer) meshTrouble(w CheckedWay) trouble {
	head := clean(w.Silo) + " " + w.Via
	if w.Failed != "" {
		head += ", " + w.Failed
	}
	return trouble{glyph: p.glyphs.trouble, ink: bad, head: head, text: clean(w.Error), hint: w.Hint}
}

func (p *Printer) meshRow(w CheckedWay) []cell {
	result := p.look("ok")(p.phaseLook("ready"))
	if !w.OK {
		result = p.look("failed")(p.phaseLook("failed"))
	}
	row := []cell{{text: clean(w.Silo)}, {text: w.Via}, result, p.known(clean(w.Mode), plain), p.known(clean(w.AnsweredBy), plain)}
	for _, name := range meshSteps() {
		i := slices.IndexFunc(w.Steps, func(s CheckedStep) bool { return s.Name == name })
		switch {
		case i < 0:
			row = append(row, p.known("", muted))
		case w.Failed == name:
			row = append(row, cell{text: "failed", ink: bad})
		default:
			row = append(row, cell{text: fine(w.Steps[i].Took), ink: muted})
		}
	}
	return append(row, cell{text: fine(w.Took), ink: muted}, p.known(clean(w.URL), link), p.known(clean(w.Error), plain))
}

// fine is a duration of which parts of a millisecond matter.
func fine(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return Duration(d)
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 1, 64) + "ms"
}
