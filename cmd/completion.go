package cmd

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/templates"
)

// shells are the shells that templates/shell has a completion script for.
var shells = []string{"bash", "zsh", "fish"}

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", ArgsUsage: strings.Join(shells, "|"), Category: categoryMachine,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return &usageError{text: "silo completion needs a shell", hint: "use one of " + strings.Join(shells, ", ")}
			}
			if err := oneOf("the shell", c.Args().First(), shells); err != nil {
				return err
			}
			return a.print(templates.Text("shell/silo." + c.Args().First()))
		},
	}
}

// completeCommand is called by the completion scripts with the words of a command line
// up to the cursor, without the program's name. Its first line is the kind of candidates:
//
//	words           the lines that follow: a word, a tab, its meaning
//	files, dirs     paths, or only directories
//	command N       another program's command line begins at word N, counted from 0
//
// A path after a flag's = is completed without the flag. Errors are ignored and the exit
// code is 0, since a shell cannot use either.
func (a *app) completeCommand() *cli.Command {
	return &cli.Command{
		Name: "__complete", Hidden: true, SkipFlagParsing: true,
		Usage: "list completions, for the scripts of silo completion",
		Action: func(c *cli.Context) error {
			a.quiet = true // a shell shows stderr in the middle of the command line
			answer := a.complete(c.App, c.Args().Slice())
			var lines strings.Builder
			fmt.Fprintln(&lines, answer.kind)
			for _, w := range answer.words {
				fmt.Fprintf(&lines, "%s\t%s\n", w.text, w.meaning)
			}
			return a.print(lines.String())
		},
	}
}
