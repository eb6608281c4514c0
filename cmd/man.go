package cmd

import (
	"io"
	"slices"
	"strings"
	"text/template"

	"github.com/urfave/cli/v2"

	"silo/templates"
)

// manCommand prints the manual page. The library has one of its own
// (App.ToMan), which knows neither exit codes nor files.
func (a *app) manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Hidden: true, Usage: "print the manual page, as troff: silo man | man -l -",
		Action: func(c *cli.Context) error {
			if err := noArgs(c); err != nil {
				return err
			}
			text, err := manual(c.App)
			if err != nil {
				return err
			}
			_, err = io.WriteString(a.Stdout, text)
			return err
		},
	}
}

// manual returns the page in the macros of man(7).
func manual(program *cli.App) (string, error) {
	const file = "silo.1.tmpl"
	funcs := template.FuncMap{"roff": roff, "bold": bold, "verbs": listedVerbs, "flags": listedFlags, "names": dashed, "value": flagValue, "usage": flagUsage, "sentence": sentence}
	return templates.Execute(file, funcs, program, file)
}

// listedVerbs returns the verbs that are not hidden, and their subcommands by both
// names.
func listedVerbs(program *cli.App) (list []cli.Command) {
	for _, c := range program.Commands {
		if c.Hidden {
			continue
		}
		list = append(list, *c)
		for _, sub := range c.Subcommands {
			verb := *sub
			verb.Name = c.Name + " " + sub.Name
			list = append(list, verb)
		}
	}
	return list
}

func listedFlags(flags []cli.Flag) []cli.Flag {
	return slices.DeleteFunc(slices.Clone(flags), func(f cli.Flag) bool {
		visible, ok := f.(cli.VisibleFlag)
		return ok && !visible.IsVisible() || f.Names()[0] == "help"
	})
}

// flagValue returns the placeholder of a flag's value; empty if it takes none.
func flagValue(f cli.DocGenerationFlag) string {
	if _, value, quoted := strings.Cut(f.GetUsage(), "`"); quoted {
		value, _, _ = strings.Cut(value, "`")
		return value
	}
	if f.TakesValue() {
		return "VALUE"
	}
	return ""
}

func sentence(usage string) string { return strings.ToUpper(usage[:1]) + usage[1:] + "." }

func flagUsage(f cli.DocGenerationFlag) string { return withoutBackticks(f.GetUsage()) }

// dashed returns a flag's names with their dashes.
func dashed(f cli.Flag) []string {
	var words []string
	for _, name := range f.Names() {
		if len(name) == 1 {
			words = append(words, "-"+name)
		} else {
			words = append(words, "--"+name)
		}
	}
	return words
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
