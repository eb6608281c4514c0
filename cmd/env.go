package cmd

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/ui"
)

func (a *app) envCommand() *cli.Command {
	return &cli.Command{
		Name: "env", ArgsUsage: "[SILO]", Category: categoryLook,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "export", Usage: "print export and unset statements for eval"},
			&cli.StringFlag{Name: "format", DefaultText: "none", Usage: "print one silo's in `FORMAT`: shell, dotenv, vscode or pycharm"},
			&cli.BoolFlag{Name: "show-secrets", Usage: "print the values of secrets"},
		},
		Action: a.printEnv,
	}
}

// siloLayout returns the layout with the secrets that the silos share.
func (a *app) siloLayout(c *cli.Context) (*plan.Layout, error) {
	dir, snapshot, err := a.runningSnapshot(c)
	if err != nil {
		return nil, err
	}
	layout, err := a.layout(c, dir, snapshot, "")
	if err != nil {
		return nil, err
	}
	layout.Run.Secrets, err = dir.Secrets()
	return layout, err
}

func (a *app) printEnv(c *cli.Context) error {
	if c.NArg() > 1 {
		return &usageError{text: "silo env takes one silo"}
	}
	format := c.String("format")
	if c.Bool("export") && format == "" {
		format = "shell"
	}
	switch {
	case format != "" && c.Bool("json"), c.Bool("export") && format != "shell":
		return &usageError{text: "--export, --format and --json exclude one another"}
	case format != "" && c.NArg() == 0:
		return &usageError{text: "silo env needs one silo with --export or --format", hint: "silo env control --format " + format}
	}
	layout, err := a.siloLayout(c)
	if err != nil {
		return err
	}
	names := layout.Names()
	if c.NArg() == 1 {
		names = c.Args().Slice()
	}
	if format != "" {
		return a.printEnvFor(c, layout, names[0], format)
	}
	var text strings.Builder
	whole := map[string]map[string]string{}
	for i, name := range names {
		vars, err := a.environmentOf(layout, name)
		if err != nil {
			return err
		}
		whole[name] = map[string]string{}
		if len(names) > 1 {
			if i > 0 {
				text.WriteByte('\n')
			}
			fmt.Fprintf(&text, "# %s\n", name)
		}
		for _, v := range vars {
			if v.Secret && !c.Bool("show-secrets") {
				v.Value = "********"
			}
			whole[name][v.Name] = v.Value
			fmt.Fprintf(&text, "%s=%s\n", v.Name, v.Value)
		}
	}
	if !c.Bool("json") {
		return a.print(text.String())
	}
	if c.NArg() == 1 {
		return a.printJSON(whole[names[0]])
	}
	return a.printJSON(whole)
}

// export prints the statements that turn the caller's environment into the silo's.
// Hidden secrets become comments.
func (a *app) export(vars []sentry.Var, secrets bool) error {
	var lines strings.Builder
	kept := map[string]bool{}
	for _, v := range vars {
		kept[v.Name] = true
		switch before, set := a.lookup(v.Name); {
		case set && before == v.Value, !variable.MatchString(v.Name):
		case v.Secret && !secrets:
			fmt.Fprintf(&lines, "# %s is secret: use --show-secrets\n", v.Name)
		default:
			fmt.Fprintf(&lines, "export %s=%s\n", v.Name, ui.ShellQuote(v.Value))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.env)) {
		if !kept[name] && variable.MatchString(name) {
			fmt.Fprintf(&lines, "unset %s\n", name)
		}
	}
	return a.print(lines.String())
}

// variable matches names that a shell accepts (POSIX, XBD 3.216).
var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (a *app) environmentOf(layout *plan.Layout, name string) ([]sentry.Var, error) {
	vars := layout.Environment(name)
	if vars == nil {
		return nil, &plan.UnknownSiloError{Name: name, Known: layout.Names()}
	}
	return vars, nil
}

// environOf returns variables as NAME=value entries.
func environOf(vars []sentry.Var) []string {
	env := make([]string, len(vars))
	for i, v := range vars {
		env[i] = v.Name + "=" + v.Value
	}
	return env
}

func (a *app) run(c *cli.Context) error {
	words := append(c.Args().Slice()[:min(c.NArg(), 1)], commandWords(c)...)
	if len(words) < 2 {
		return &usageError{text: "silo run needs a silo and a command", hint: "silo run control -- sentry shell"}
	}
	layout, err := a.siloLayout(c)
	if err != nil {
		return err
	}
	vars, err := a.environmentOf(layout, words[0])
	if err != nil {
		return err
	}
	env := environOf(vars)
	silo, _ := layout.Find(words[0])
	code, err := proc.Foreground(context.WithoutCancel(c.Context), words[1:], silo.Dir, env, a.Stdin, a.Stdout, a.Stderr)
	if err != nil {
		return exitWith(code, err.Error())
	}
	return exitQuietly(code)
}
