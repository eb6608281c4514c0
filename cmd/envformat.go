package cmd

import (
	"errors"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/plan"
	"silo/proc"
	"silo/scaffold"
	"silo/sentry"
)

// printEnvFor prints one silo's environment for a shell or an editor.
func (a *app) printEnvFor(c *cli.Context, layout *plan.Layout, name, format string) error {
	vars, err := a.environmentOf(layout, name)
	if err != nil {
		return err
	}
	secrets := c.Bool("show-secrets")
	if format == "shell" {
		return a.export(vars, secrets)
	}
	file := ""
	silo, _ := layout.Find(name)
	if format != "dotenv" {
		if file, err = proc.Find(silo.Argv[0], silo.Dir, environOf(vars)); err != nil {
			return exitWith(proc.RefusalCode(err), "find the command of "+name+": "+err.Error())
		}
	}
	changed := a.changedVars(vars, secrets)
	if format == "dotenv" {
		return a.print(scaffold.Dotenv(changed))
	}
	program, err := scaffold.NewProgram(name, silo.Dir, changed, file, silo.Argv)
	if errors.Is(err, scaffold.ErrNotPython) {
		return exitWith(exitFailed, "the command of "+name+" is "+err.Error()+": "+file, "silo env "+name+" --format dotenv")
	}
	text, err := program.VSCode()
	if format == "pycharm" {
		text, err = program.PyCharm()
	}
	if err != nil {
		return err
	}
	return a.print(string(text))
}

// changedVars returns the variables that differ from the caller's. It leaves hidden
// secrets out, and says so.
func (a *app) changedVars(vars []sentry.Var, secrets bool) []sentry.Var {
	var left []string
	changed := slices.DeleteFunc(slices.Clone(vars), func(v sentry.Var) bool {
		before, set := a.lookup(v.Name)
		if set && before == v.Value || !variable.MatchString(v.Name) {
			return true
		}
		if v.Secret && !secrets {
			left = append(left, v.Name)
		}
		return v.Secret && !secrets
	})
	if len(left) > 0 {
		a.warn("left out, because secret: "+strings.Join(left, ", "), "use --show-secrets, and keep the file out of repositories")
	}
	return changed
}
