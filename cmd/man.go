package cmd

import (
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"

	"silo/templates"
)

// manCommand prints the manual page. The library's own (App.ToMan) lists no exit codes or
// files.
func (a *app) manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Hidden: true, Usage: "print the manual page as troff: silo man | man -l -",
		Action: func(c *cli.Context) error {
			page, err := manual(c.App)
			if err != nil {
				return err
			}
			return a.print(page)
		},
	}
}

// manual returns the page in the macros of man(7).
func manual(program *cli.App) (string, error) {
	const file = "silo.1.tmpl"
	data := struct {
		*cli.App
		Verbs     []*cli.Command
		ExitCodes []exitCode
	}{program, nil, exitCodes}
	for _, category := range categories {
		for _, c := range inCategory(program.Commands, category) {
			data.Verbs = append(data.Verbs, c)
			for _, sub := range c.Subcommands {
				verb := *sub
				verb.Name = c.Name + " " + sub.Name
				data.Verbs = append(data.Verbs, &verb)
			}
		}
	}
	funcs := template.FuncMap{"roff": roff, "bold": bold, "paragraphs": paragraphs, "examples": examples, "flag": describeFlag}
	return templates.Execute(file, funcs, data, file)
}

// roff escapes text for troff, which reads a dash as a hyphen and a line that
// begins with a dot or a quote as a request.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `.\|.\|.`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// bold returns words in bold type, separated by commas.
func bold(words []string) string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = `\fB` + roff(word) + `\fR`
	}
	return strings.Join(list, ", ")
}
