package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/templates"
)

// shells are the shells that templates/shell has a completion script for.
var shells = []string{"bash", "zsh", "fish"}

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", ArgsUsage: strings.Join(shells, "|"),
		Usage: "print what makes a shell complete verbs, flags, their values and the names of silos",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return &usageError{text: "silo completion needs a shell", hint: "it is one of " + strings.Join(shells, ", ")}
			}
			if err := oneOf("the shell", c.Args().First(), shells...); err != nil {
				return err
			}
			_, err := io.WriteString(a.Stdout, templates.Text("shell/silo."+c.Args().First()))
			return err
		},
	}
}

// completeCommand is what the shells' scripts call with the words of a command
// line up to the cursor, the program's name left out. Its first line says what
// the last word is to be completed from:
//
//	words           the lines that follow: a word, a tab, what it means
//	files           paths; dirs: directories alone
//	command N       another program's command line begins at word N, counted from 0
//
// A path that is written behind a flag's = is completed without that flag. It
// says nothing of errors, and ends with 0: a shell can do nothing with either.
func (a *app) completeCommand() *cli.Command {
	return &cli.Command{
		Name: "__complete", Hidden: true, SkipFlagParsing: true,
		Usage: "list what may follow on a command line, for the scripts of silo completion",
		Action: func(c *cli.Context) error {
			answer := a.complete(c.App, c.Args().Slice())
			_, err := fmt.Fprintln(a.Stdout, answer.kind)
			for _, w := range answer.words {
				if err == nil {
					_, err = fmt.Fprintf(a.Stdout, "%s\t%s\n", w.text, w.meaning)
				}
			}
			return err
		},
	}
}
