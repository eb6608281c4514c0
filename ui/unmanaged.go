package ui

// Yours is a silo that somebody starts by hand, and the command that does it.
type UnmanagedSilo struct {
	Name    string
	Program string   // how silo is called, as a shell takes it
	Argv    []string // the silo's own command
}

// Yours tells which commands start silos that are not silo's to start, each to be
// run in a terminal of its own. A pipe gets the same without colour.
func (p *Printer) UnmanagedSilos(all []UnmanagedSilo) {
	longest := 0
	for _, y := range all {
		longest = max(longest, width(clean(y.Name)))
	}
	what := "these silos are yours to start, each in a terminal of its own:"
	if len(all) == 1 {
		what = "this silo is yours to start, in a terminal of its own:"
	}
	lines := []string{p.paint(muted, "silo:") + " " + what}
	for _, y := range all {
		name := clean(y.Name)
		lines = append(lines, "  "+p.paint(strong, name)+spaces(longest-width(name)+gap)+
			clean(y.Program+" run "+shellWord(y.Name)+" -- "+shellWords(y.Argv)))
	}
	lines = append(lines, p.hint(all[0].Program+" env "+shellWord(all[0].Name)+" --export prints its environment, for a debugger or an editor")...)
	p.print(lines)
}

// Quote is a word as a POSIX shell reads it back.
func ShellQuote(word string) string { return quote(word) }
