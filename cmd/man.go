package cmd

import (
	"io"
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
			text, err := newManual(c.App).text()
			if err != nil {
				return err
			}
			_, err = io.WriteString(a.Stdout, text)
			return err
		},
	}
}

// manual is the data of the manual page's template.
type manual struct {
	Usage string
	Flags []manualFlag // the flags of every verb
	Verbs []manualVerb
}

// manualVerb is a verb, or a subcommand by both its names.
type manualVerb struct {
	Name, Takes, Usage string
	Flags              []manualFlag
}

// manualFlag is a flag; Value is its placeholder, empty if it takes none.
type manualFlag struct {
	Names        []string // with their dashes
	Value, Usage string
}

// newManual returns the page of all commands that are not hidden.
func newManual(program *cli.App) manual {
	page := manual{Usage: program.Usage, Flags: manualFlags(program.Flags)}
	for _, c := range program.Commands {
		if c.Hidden {
			continue
		}
		page.Verbs = append(page.Verbs, newManualVerb("", c))
		for _, sub := range c.Subcommands {
			page.Verbs = append(page.Verbs, newManualVerb(c.Name+" ", sub))
		}
	}
	return page
}

// text returns the page in the macros of man(7).
func (m manual) text() (string, error) {
	const file = "silo.1.tmpl"
	return templates.Execute(file, template.FuncMap{"roff": roff, "bold": bold}, m, file)
}

func newManualVerb(prefix string, c *cli.Command) manualVerb {
	usage := strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + "."
	return manualVerb{Name: prefix + c.Name, Takes: c.ArgsUsage, Usage: usage, Flags: manualFlags(c.Flags)}
}

func manualFlags(flags []cli.Flag) []manualFlag {
	var list []manualFlag
	for _, f := range flags {
		documented, ok := f.(cli.DocGenerationFlag)
		if visible, hides := f.(cli.VisibleFlag); !ok || hides && !visible.IsVisible() || f.Names()[0] == "help" {
			continue
		}
		one := manualFlag{Names: dashed(f), Usage: withoutBackticks(documented.GetUsage())}
		if _, value, quoted := strings.Cut(documented.GetUsage(), "`"); quoted {
			one.Value, _, _ = strings.Cut(value, "`")
		} else if documented.TakesValue() {
			one.Value = "VALUE"
		}
		list = append(list, one)
	}
	return list
}

// dashed are a flag's names as they are typed.
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
