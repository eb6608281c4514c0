package cmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/databases"
	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

// inspectTimeout is how long `up` waits for the state of the silos' databases,
// which takes about half a second.
const inspectTimeout = 8 * time.Second

// databaseJSON is one element of the output of silo db --json.
type databaseJSON struct {
	Silo     string  `json:"silo"`
	Database string  `json:"database"`
	Result   *string `json:"result"`
	Error    *string `json:"error"`
}

// printDatabases prints the results, and fails if a database has an error.
func (a *app) printDatabases(c *cli.Context, all []sentry.Database) error {
	list := make([]databaseJSON, len(all))
	var results, problems, hints []string
	silo, name := 0, 0
	for _, d := range all {
		silo, name = max(silo, len(d.Silo)), max(name, len(d.Name))
	}
	for i, d := range all {
		list[i] = databaseJSON{Silo: d.Silo, Database: d.Name}
		if d.Result != "" {
			list[i].Result = &d.Result
		}
		if d.Error != "" {
			list[i].Error = &d.Error
			problems = append(problems, d.Silo+": "+d.Error)
		} else if d.Result != "" {
			results = append(results, fmt.Sprintf("%-*s  %-*s  %s\n", silo, d.Silo, name, d.Name, d.Result))
		}
		if strings.Contains(d.Error, "onnection refused") {
			hints = []string{"start Postgres: sentry devservices up, or devservices up"}
		}
	}
	if c.Bool("json") {
		if err := a.printJSON(list); err != nil {
			return err
		}
	} else if err := a.print(strings.Join(results, "")); err != nil {
		return err
	}
	if len(problems) > 0 {
		return exitWith(exitFailed, strings.Join(problems, "\n"), hints...)
	}
	return nil
}

// warnOfDatabases warns about missing or empty silo databases before the silos are
// launched. Health checks do not detect them.
func (a *app) warnOfDatabases(ctx context.Context, plan plan.Plan, dir *state.Dir, program string) {
	if !plan.PerSilo() || a.quiet {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inspectTimeout)
	defer cancel()
	all, err := databases.New(plan, dir, a.host(dir).NewRun(), proc.Output).Inspect(ctx)
	if errors.Is(err, sentry.ErrNoProgram) || errors.Is(err, context.Canceled) {
		return // no silo will use a database
	}
	problems := databases.FindProblems(all)
	if err != nil {
		problems.Errors = []string{err.Error()}
	}
	if len(problems.Missing) > 0 {
		a.warn("no such database: "+strings.Join(problems.Missing, ", "), program+" db create && "+program+" db migrate")
	}
	if len(problems.Unmigrated) > 0 {
		a.warn("no migration has run on "+strings.Join(problems.Unmigrated, ", "), program+" db migrate")
	}
	if len(problems.Errors) > 0 {
		a.warn("cannot inspect the silos' databases: " + strings.Join(problems.Errors, "; "))
	}
}
