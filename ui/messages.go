package ui

import (
	"strconv"
	"strings"

	"silo/topology"
)

// Error prints "silo: what" and one "hint: …" line for each hint. The text may
// have several lines, such as the last ones of a silo's log; those after the
// first stand as they are. It is not wrapped, so that it can be searched for.
func (p *Printer) Error(text string, hints ...string) {
	p.say("silo:", bad, text, hints)
}

// Warn prints "silo: warning: what".
func (p *Printer) Warn(text string, hints ...string) {
	p.say("silo: warning:", warn, text, hints)
}

// Note prints "silo: what": talk, not a result.
func (p *Printer) Note(text string) {
	p.say("silo:", muted, text, nil)
}

func (p *Printer) say(lead string, which ink, text string, hints []string) {
	lines := cleanLines(text)
	lines[0] = p.paint(which, lead) + " " + lines[0]
	for _, hint := range hints {
		lines = append(lines, p.paint(busy, "hint:")+" "+clean(hint))
	}
	p.print(lines)
}

// Problems prints what is wrong with a topology, each as
// "FILE:LINE:COLUMN: KEY: what is wrong" with its hint below, which editors and
// grep take for a position, and at the end how many there are.
func (p *Printer) Problems(all []topology.Problem) {
	lines := make([]string, 0, 2*len(all)+1)
	for _, problem := range all {
		lines = append(lines, p.problem(problem, "")...)
	}
	if len(all) > 0 {
		lines = append(lines, p.paint(bad, plural(len(all), "problem")))
	}
	p.print(lines)
}

// Warnings prints what is worth a word but does not refuse a topology, in the
// form of Problems with "warning: " before the key.
func (p *Printer) Warnings(all []topology.Problem) {
	var lines []string
	for _, problem := range all {
		lines = append(lines, p.problem(problem, "warning: ")...)
	}
	p.print(lines)
}

func (p *Printer) problem(problem topology.Problem, grade string) []string {
	position := problem.File + ":" + strconv.Itoa(problem.Line) + ":" + strconv.Itoa(problem.Column) + ":"
	key := clean(problem.Key) + ":"
	line := p.paint(strong, clean(position)) + " " + p.paint(warn, grade) + p.paint(link, key) + " " + clean(problem.Text)
	if strings.TrimSpace(problem.Hint) == "" {
		return []string{line}
	}
	return []string{line, "  " + p.paint(busy, "hint:") + " " + clean(problem.Hint)}
}
