package cmd

import (
	"io"
	"strings"

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
			text, err := manual(c.App).Text()
			if err != nil {
				return err
			}
			_, err = io.WriteString(a.Stdout, text)
			return err
		},
	}
}

// manual takes what a reader may know from the table of commands.
func manual(program *cli.App) templates.Manual {
	page := templates.Manual{Usage: program.Usage, Flags: manualFlags(program.Flags)}
	for _, c := range program.Commands {
		if c.Hidden {
			continue
		}
		page.Verbs = append(page.Verbs, manualVerb("", c))
		for _, sub := range c.Subcommands {
			page.Verbs = append(page.Verbs, manualVerb(c.Name+" ", sub))
		}
	}
	return page
}

func manualVerb(of string, c *cli.Command) templates.ManualVerb {
	usage := strings.ToUpper(c.Usage[:1]) + c.Usage[1:] + "."
	return templates.ManualVerb{Name: of + c.Name, Takes: c.ArgsUsage, Usage: usage, Flags: manualFlags(c.Flags)}
}

func manualFlags(flags []cli.Flag) []templates.ManualFlag {
	var list []templates.ManualFlag
	for _, f := range flags {
		documented, ok := f.(cli.DocGenerationFlag)
		if visible, hides := f.(cli.VisibleFlag); !ok || hides && !visible.IsVisible() || f.Names()[0] == "help" {
			continue
		}
		one := templates.ManualFlag{Names: dashed(f), Usage: withoutBackticks(documented.GetUsage())}
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
