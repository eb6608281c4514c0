package ui

import (
	"fmt"

	"github.com/charmbracelet/x/ansi"
)

// DoctorCheck is one result of `silo doctor`.
type DoctorCheck struct {
	Name  string   `json:"name"`
	State string   `json:"state"` // ok, warn, fail or skip
	Found []string `json:"found"`
	Hints []string `json:"hints"`
}

// DoctorCheck prints one check: its state, its name in a column of the given width, its
// findings, and the hints. On a terminal long texts are wrapped.
func (p *Printer) DoctorCheck(c DoctorCheck, nameWidth int) {
	state, name, style := p.state(c.State), clean(c.Name), plain
	if c.State == "skip" {
		style = muted
	}
	lead := p.cell(state) + spaces(p.state("skip").width()-state.width()+gap) + pad(name, nameWidth+gap)
	margin := ansi.StringWidth(lead)
	if len(c.Found) == 0 {
		c.Found = []string{""}
	}
	var lines []string
	for _, found := range c.Found {
		lines = append(lines, p.paragraph(lead, margin, clean(found), style)...)
		lead = spaces(margin)
	}
	for _, hint := range c.Hints {
		lines = append(lines, p.hint(margin, hint)...)
	}
	p.print(lines)
}

// DoctorSummary prints how many checks ended in each state.
func (p *Printer) DoctorSummary(all []DoctorCheck) {
	number := map[string]int{}
	for _, c := range all {
		number[c.State]++
	}
	warnings, summary := p.paint(warn, count(number["warn"], "warning")), p.paint(good, "nothing is missing")
	switch {
	case number["fail"] > 0:
		summary = p.paint(bad, fmt.Sprintf("%d failed", number["fail"]))
		if number["warn"] > 0 {
			summary += ", " + warnings
		}
	case number["warn"] > 0:
		summary = warnings
	}
	rest := fmt.Sprintf(", %d ok", number["ok"])
	if number["skip"] > 0 {
		rest += fmt.Sprintf(", %d skipped", number["skip"])
	}
	p.print([]string{summary + p.paint(muted, rest)})
}
