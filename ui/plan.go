package ui

import "strings"

// Plan is what an `up` would do, in words that are ready to be shown.
type Plan struct {
	Name     string
	File     string // the topology file
	Mode     string // silos or monolith
	Provider string
	Dialect  string
	Found    string // how the dialect was found: "as written", "Sentry 24.1.0 in /src/sentry"
	Config   string // path of the file with the region config
	Notes    []string
	Silos    []PlanSilo // in the order of their start
}

// PlanSilo is one silo of a Plan.
type PlanSilo struct {
	Name    string
	Mode    string
	Ports   string // "8000", "8000-8001", "any"
	Address string // empty where only the tunnel will tell
	Dir     string
	Argv    []string
	Env     []string // NAME=value, those worth showing; secrets already masked
}

// Plan prints what an `up` would do and that nothing was done.
func (p *Printer) Plan(plan Plan) {
	lines := []string{p.planHead(plan)}
	lines = append(lines, p.fact("topology", plan.File, "")...)
	found := plan.Found
	if found != "" {
		found = "(" + found + ")"
	}
	lines = append(lines, p.fact("dialect", plan.Dialect, found)...)
	lines = append(lines, p.fact("region config", plan.Config, "")...)
	lines = append(lines, "")
	lines = append(lines, p.planTable(plan.Silos)...)
	for _, silo := range plan.Silos {
		lines = append(lines, "", p.paint(strong, clean(silo.Name)))
		lines = append(lines, p.fact("command", shellWords(silo.Argv), "")...)
		lines = append(lines, p.fact("directory", silo.Dir, "")...)
		for i, variable := range silo.Env {
			label := "environment"
			if i > 0 {
				label = ""
			}
			lines = append(lines, p.labelled(label, shellWord(clean(variable)), plain))
		}
	}
	lines = append(lines, "")
	for _, note := range plan.Notes {
		lines = append(lines, wrap(clean(note), 0, p.width())...)
	}
	p.print(append(lines, p.paint(muted, "a dry run: nothing was started and nothing written")))
}

func (p *Printer) planHead(plan Plan) string {
	words := []string{p.paint(strong, clean(plan.Name)), p.paint(busy, "plan"), plural(len(plan.Silos), "silo")}
	if plan.Mode == "monolith" {
		words[2] = plan.Mode
	}
	if tunnels := tunnelWords(plan.Provider); tunnels != "" {
		words = append(words, p.paint(muted, tunnels))
	}
	return strings.Join(words, spaces(gap))
}

func (p *Printer) planTable(silos []PlanSilo) []string {
	columns := []column{{head: "SILO"}, {head: "MODE", rank: 1}, {head: "PORT"}, {head: "ADDRESS", whole: true}}
	rows := make([][]cell, len(silos))
	for i, silo := range silos {
		rows[i] = []cell{
			{text: clean(silo.Name)},
			{text: clean(silo.Mode), ink: muted},
			p.known(clean(silo.Ports), plain),
			p.known(clean(silo.Address), link),
		}
	}
	return p.table(columns, rows)
}

// fact is a labelled value; none where there is no value.
func (p *Printer) fact(label, value, remark string) []string {
	if value == "" {
		return nil
	}
	line := p.labelled(label, clean(value), plain)
	if remark != "" {
		line += " " + p.paint(muted, clean(remark))
	}
	return []string{line}
}

// labelled is not wrapped: what stands there is there to be copied.
func (p *Printer) labelled(label, value string, which ink) string {
	const column = 15
	return "  " + p.paint(muted, label) + spaces(column-len(label)) + p.paint(which, value)
}

// shellWords writes arguments so that a POSIX shell reads them as they are.
func shellWords(arguments []string) string {
	words := make([]string, len(arguments))
	for i, argument := range arguments {
		words[i] = shellWord(argument)
	}
	return strings.Join(words, " ")
}

func shellWord(word string) string {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	if word != "" && strings.Trim(word, harmless) == "" {
		return word
	}
	if name, value, is := strings.Cut(word, "="); is && name != "" && strings.Trim(name, harmless) == "" {
		return name + "=" + quote(value)
	}
	return quote(word)
}

func quote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
