package ui

import "strings"

// Plan describes what `silo up` would do.
type Plan struct {
	Name     string
	File     string // the topology file
	Mode     string // silos or monolith
	Provider string
	Dialect  string
	Found    string // how the dialect was chosen: "as written", "Sentry 24.1.0 in /src/sentry"
	Config   string // path of the file with the region config
	Notes    []string
	Silos    []PlanSilo // in start order
}

// PlanSilo is one silo of a Plan.
type PlanSilo struct {
	Name    string
	Mode    string
	Ports   string // "8000", "8000-8001", "any"
	Address string // empty if the tunnel chooses it
	Dir     string
	Argv    []string
	Env     []string // the relevant NAME=value pairs; secrets are masked
}

// Plan prints a dry run of `silo up`.
func (p *Printer) Plan(plan Plan) {
	silos := count(len(plan.Silos), "silo")
	if plan.Mode == "monolith" {
		silos = plan.Mode
	}
	headline := []cell{{text: clean(plan.Name), style: strong}, {text: "plan", style: busy}, {text: silos}, {text: tunnelProvider(plan.Provider), style: muted}}
	lines := p.newTable(make([]column, len(headline))...).lines([][]cell{headline})
	lines = append(lines, p.fact("topology", plan.File)...)
	dialect := p.fact("dialect", plan.Dialect)
	if len(dialect) > 0 && plan.Found != "" {
		dialect[0] += " " + p.paint(muted, clean("("+plan.Found+")"))
	}
	lines = append(append(lines, dialect...), p.fact("region config", plan.Config)...)
	lines = append(append(lines, ""), p.planTable(plan.Silos)...)
	for _, silo := range plan.Silos {
		lines = append(lines, "", p.paint(strong, clean(silo.Name)))
		lines = append(lines, p.fact("command", shellWords(silo.Argv))...)
		lines = append(lines, p.fact("directory", silo.Dir)...)
		label := "environment"
		for _, variable := range silo.Env {
			lines = append(lines, p.fact(label, ShellWord(clean(variable)))...)
			label = ""
		}
	}
	lines = append(lines, "")
	for _, note := range plan.Notes {
		lines = append(lines, wrap(clean(note), 0, 0, p.width())...)
	}
	p.print(append(lines, p.paint(muted, "dry run: nothing was started or written")))
}

func (p *Printer) planTable(silos []PlanSilo) []string {
	t := p.newTable(column{head: "SILO"}, column{head: "MODE", drop: 1}, column{head: "PORT"}, column{head: "ADDRESS", below: true})
	rows := make([][]cell, len(silos))
	for i, silo := range silos {
		rows[i] = []cell{
			{text: clean(silo.Name)},
			{text: clean(silo.Mode), style: muted},
			p.known(clean(silo.Ports), plain),
			p.known(clean(silo.Address), link),
		}
	}
	return t.lines(rows)
}

// fact returns the line of a labelled value, or no line for an empty one. It is not
// wrapped, so that the value can be copied.
func (p *Printer) fact(label, value string) []string {
	if value == "" {
		return nil
	}
	return []string{"  " + p.label(label, 15) + clean(value)}
}

// shellWords quotes arguments for a POSIX shell.
func shellWords(arguments []string) string {
	words := make([]string, len(arguments))
	for i, argument := range arguments {
		words[i] = ShellWord(argument)
	}
	return strings.Join(words, " ")
}

// ShellWord quotes a word if necessary. For NAME=value it quotes only the value.
func ShellWord(word string) string {
	const harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_"
	if word != "" && strings.Trim(word, harmless) == "" {
		return word
	}
	if name, value, ok := strings.Cut(word, "="); ok && name != "" && strings.Trim(name, harmless) == "" {
		return name + "=" + ShellQuote(value)
	}
	return ShellQuote(word)
}

// ShellQuote quotes a word for a POSIX shell.
func ShellQuote(word string) string {
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
