package ui

import (
	"slices"
	"time"
)

// CheckReport is the result of `silo check`.
type CheckReport struct {
	Config     string // path of the region config's file
	OutOfStep  bool   // it does not match the silos' addresses
	ConfigHint string
	Ways       []CheckedWay
}

// CheckedWay is one way to reach one silo.
type CheckedWay struct {
	Silo       string
	Via        string // direct or address
	URL        string
	OK         bool
	Mode       string // of the silo that answered; may be empty
	AnsweredBy string // the silo that answered; may be empty
	Took       time.Duration
	Steps      []CheckedStep
	Error      string
	Hint       string
	Failed     string // the step that failed; empty: none
}

// CheckedStep is one step of a way.
type CheckedStep struct {
	Name string
	Took time.Duration
}

// checkSteps are the steps that have a column, in order.
func checkSteps() []string { return []string{"dns", "connect", "tls", "http", "mode"} }

// CheckReport prints a table of all ways with the time of each step, and below it each
// problem with a hint. In a pipe the problems are the table's last column; only a
// problem of the region config follows the table.
func (p *Printer) CheckReport(c CheckReport) {
	t := p.newTable(
		column{head: "SILO"},
		column{head: "VIA"},
		column{head: "RESULT"},
		column{head: "MODE", drop: 2},
		column{head: "ANSWERED", drop: 1},
		column{head: "DNS", drop: 3, right: true},
		column{head: "CONNECT", drop: 4, right: true},
		column{head: "TLS", drop: 5, right: true},
		column{head: "HTTP", drop: 6, right: true},
		column{head: "ROLE", drop: 7, right: true}, // the step "mode"
		column{head: "TOTAL", drop: 2, right: true},
		column{head: "URL", below: true},
		column{head: "ERROR", only: pipeOnly},
	)
	var issues []string
	rows := make([][]cell, len(c.Ways))
	for i, w := range c.Ways {
		rows[i] = p.checkRow(w)
		if !w.OK && p.terminal {
			head := clean(w.Silo) + " " + w.Via
			if w.Failed != "" {
				head += ", " + w.Failed
			}
			issues = append(issues, p.issue(issue{"failed", head, clean(w.Error), w.Hint})...)
		}
	}
	lines := t.lines(rows)
	if c.OutOfStep {
		issues = append(issues, p.issue(issue{"warn", "region config out of step", clean(c.Config), c.ConfigHint})...)
	}
	if len(issues) > 0 {
		lines = append(append(lines, ""), issues...)
	}
	p.print(lines)
}

func (p *Printer) checkRow(w CheckedWay) []cell {
	result := p.state("ok")
	if !w.OK {
		result = p.state("failed")
	}
	row := []cell{{text: clean(w.Silo)}, {text: w.Via}, result, p.known(clean(w.Mode), plain), p.known(clean(w.AnsweredBy), plain)}
	for _, name := range checkSteps() {
		i := slices.IndexFunc(w.Steps, func(s CheckedStep) bool { return s.Name == name })
		switch {
		case i < 0:
			row = append(row, p.known("", muted))
		case w.Failed == name:
			row = append(row, cell{text: "failed", style: bad})
		default:
			row = append(row, cell{text: shortDuration(w.Steps[i].Took), style: muted})
		}
	}
	return append(row, cell{text: shortDuration(w.Took), style: muted}, p.known(clean(w.URL), link), p.known(clean(w.Error), plain))
}
