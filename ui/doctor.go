package ui

import (
	"strconv"
	"strings"
)

// Check is one thing that `silo doctor` has looked at.
type DoctorCheck struct {
	Name  string   `json:"name"`
	State string   `json:"state"` // ok, warn, fail or skip
	Found []string `json:"found"`
	Hints []string `json:"hints"`
}

// Check prints one check: its state, its name in a column of the given width, what
// was found, and below it what mends it. On a terminal long texts are wrapped.
func (p *Printer) DoctorCheck(c DoctorCheck, names int) {
	look := p.checkLook(c.State)
	mark := c.State + spaces(4-width(c.State))
	if p.terminal {
		mark = look.glyph + " " + mark
	}
	margin := width(mark) + 2*gap + names
	head := p.paint(look.ink, mark) + spaces(gap) + clean(c.Name) + spaces(names-width(clean(c.Name))+gap)
	var lines []string
	for _, found := range c.Found {
		for _, line := range wrap(clean(found), margin, p.width()) {
			if c.State == "skip" {
				line = p.paint(muted, line)
			}
			lines = append(lines, spaces(margin)+line)
		}
	}
	if len(lines) == 0 {
		lines = []string{spaces(margin)}
	}
	lines[0] = strings.TrimRight(head+lines[0][margin:], " ")
	const lead = "hint: "
	for _, hint := range c.Hints {
		parts := wrap(clean(hint), margin+len(lead), p.width())
		for i, part := range parts {
			if i == 0 {
				lines = append(lines, spaces(margin)+p.paint(busy, "hint:")+" "+part)
			} else {
				lines = append(lines, spaces(margin+len(lead))+part)
			}
		}
	}
	p.print(lines)
}

// Diagnosis prints how many checks have come to what.
func (p *Printer) DoctorSummary(all []DoctorCheck) {
	count := map[string]int{}
	for _, c := range all {
		count[c.State]++
	}
	verdict := p.paint(good, "nothing is missing")
	if count["warn"] > 0 {
		verdict = p.paint(warn, plural(count["warn"], "warning"))
	}
	if count["fail"] > 0 {
		verdict = p.paint(bad, strconv.Itoa(count["fail"])+" failed")
		if count["warn"] > 0 {
			verdict += ", " + p.paint(warn, plural(count["warn"], "warning"))
		}
	}
	rest := ", " + strconv.Itoa(count["ok"]) + " ok"
	if count["skip"] > 0 {
		rest += ", " + strconv.Itoa(count["skip"]) + " skipped"
	}
	p.print([]string{verdict + p.paint(muted, rest)})
}

// checkLook is the glyph and the ink of a check's state, whose word always stands
// beside them.
func (p *Printer) checkLook(word string) cell {
	switch word {
	case "ok":
		return cell{glyph: p.glyphs.live, ink: good}
	case "warn":
		return cell{glyph: p.glyphs.trouble, ink: warn}
	case "fail":
		return cell{glyph: p.glyphs.trouble, ink: bad}
	}
	return cell{glyph: p.glyphs.idle, ink: muted}
}
