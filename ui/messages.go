package ui

import (
	"fmt"
	"strings"

	"silo/topology"
)

// Error prints "silo: text" and one "hint: …" line per hint. The text may have several
// lines, such as the last ones of a silo's log. It is not wrapped, so that users can
// search for it.
func (p *Printer) Error(text string, hints ...string) { p.printMessage("silo:", bad, text, hints) }

// Warn prints "silo: warning: text".
func (p *Printer) Warn(text string, hints ...string) {
	p.printMessage("silo: warning:", warn, text, hints)
}

// Note prints "silo: text" for information that is not a result.
func (p *Printer) Note(text string) { p.printMessage("silo:", muted, text, nil) }

func (p *Printer) printMessage(lead string, s style, text string, hints []string) {
	lines := cleanLines(text)
	lines[0] = p.paint(s, lead) + " " + lines[0]
	for _, hint := range hints {
		lines = append(lines, p.paint(busy, "hint:")+" "+clean(hint))
	}
	p.print(lines)
}

// Problems prints the errors of a topology, each as "FILE:LINE:COLUMN: KEY: text",
// which editors and grep understand, with its hint below, and then the number of
// errors.
func (p *Printer) Problems(all []topology.Problem) {
	lines := p.problemLines(all, "")
	if len(all) > 0 {
		lines = append(lines, p.paint(bad, count(len(all), "problem")))
	}
	p.print(lines)
}

// Warnings prints the warnings of a topology like Problems, with "warning: "
// before the key.
func (p *Printer) Warnings(all []topology.Problem) { p.print(p.problemLines(all, "warning: ")) }

func (p *Printer) problemLines(all []topology.Problem, grade string) []string {
	var lines []string
	for _, problem := range all {
		position := fmt.Sprintf("%s:%d:%d:", problem.File, problem.Line, problem.Column)
		lines = append(lines, p.paint(strong, clean(position))+" "+p.paint(warn, grade)+p.paint(link, clean(problem.Key)+":")+" "+clean(problem.Text))
		if strings.TrimSpace(problem.Hint) != "" {
			lines = append(lines, "  "+p.paint(busy, "hint:")+" "+clean(problem.Hint))
		}
	}
	return lines
}

// Diff prints a unified diff (the format of diff -u), coloured by line.
func (p *Printer) Diff(unified string) {
	lines := strings.Split(strings.TrimSuffix(unified, "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		s := plain
		switch {
		case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "--- "):
			s = strong
		case strings.HasPrefix(line, "@@"):
			s = busy
		case strings.HasPrefix(line, "+"):
			s = good
		case strings.HasPrefix(line, "-"):
			s = removed
		}
		lines[i] = p.paint(s, line)
	}
	p.print(lines)
}

// UnmanagedSilo is a silo that the user starts, and the command for it.
type UnmanagedSilo struct {
	Name    string
	Program string   // the command that runs silo, quoted for a shell
	Argv    []string // the silo's own command
}

// UnmanagedSilos prints the commands that start unmanaged silos. A pipe gets the same
// without colour.
func (p *Printer) UnmanagedSilos(all []UnmanagedSilo) {
	text := "start these silos yourself, each in its own terminal:"
	if len(all) == 1 {
		text = "start this silo yourself, in its own terminal:"
	}
	rows := make([][]cell, len(all))
	for i, s := range all {
		command := s.Program + " run " + ShellWord(s.Name) + " -- " + shellWords(s.Argv)
		rows[i] = []cell{{text: clean(s.Name), style: strong}, {text: clean(command)}}
	}
	lines := []string{p.paint(muted, "silo:") + " " + text}
	for _, line := range p.newTable(column{}, column{}).lines(rows) {
		lines = append(lines, "  "+line)
	}
	p.print(append(lines, p.hint(2, all[0].Program+" env "+ShellWord(all[0].Name)+" --export prints its environment, for a debugger or an editor")...))
}
