package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/databases"
	"silo/orchestrator"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/ui"
)

// databasesPatience is how long `up` waits for what Postgres says of the silos'
// databases, which takes about half a second.
const databasesPatience = 8 * time.Second

// watchMigration draws how migrations stand until all are over.
func (a *app) watchMigration(m *databases.Migration) {
	view := a.messages.Tasks()
	defer view.Done()
	tick := time.NewTicker(frameInterval)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-m.Done():
			over = true
		case <-tick.C:
		}
		if !a.quiet {
			view.Update(tasks(m.Progress()))
		}
	}
}

func tasks(all []databases.Progress) []ui.Task {
	list := make([]ui.Task, len(all))
	for i, p := range all {
		bad := p.Stage == databases.Failed || p.Stage == databases.Stopped
		list[i] = ui.Task{Name: p.Silo, State: string(p.Stage), Began: p.Began, Took: p.Took, Failed: bad, Line: p.Line}
	}
	return list
}

// tellTails prints the last lines of migrations that failed.
func (a *app) tellTails(all []databases.Progress) {
	for _, p := range all {
		for _, line := range p.Tail {
			_, _ = fmt.Fprintf(a.Stderr, "%s | %s\n", p.Silo, a.messages.SanitizeLine([]byte(line))) // stderr is all there is to tell
		}
	}
}

// sayDatabases prints what has become of databases, and fails where one has failed.
func (a *app) sayDatabases(c *cli.Context, all []sentry.Database) error {
	if c.Bool("json") {
		if err := writeJSON(a.Stdout, jsonDatabases(all)); err != nil {
			return err
		}
	}
	silo, name := 0, 0
	for _, b := range all {
		silo, name = max(silo, len(b.Silo)), max(name, len(b.Name))
	}
	var troubles []string
	for _, b := range all {
		switch {
		case b.Error != "":
			troubles = append(troubles, b.Silo+": "+b.Error)
		case b.Result != "" && !c.Bool("json"):
			if _, err := fmt.Fprintf(a.Stdout, "%-*s  %-*s  %s\n", silo, b.Silo, name, b.Name, b.Result); err != nil {
				return err
			}
		}
	}
	if len(troubles) == 0 {
		return nil
	}
	var hints []string
	if slices.ContainsFunc(all, func(b sentry.Database) bool { return strings.Contains(b.Error, "onnection refused") }) {
		hints = append(hints, "is Postgres there? sentry devservices up, or devservices up, starts it")
	}
	return exitWith(exitFailed, strings.Join(troubles, "\n"), hints...)
}

// jsonDatabase is one line of silo db --json.
type jsonDatabase struct {
	Silo     string  `json:"silo"`
	Database string  `json:"database"`
	Result   *string `json:"result"`
	Error    *string `json:"error"`
}

func jsonDatabases(all []sentry.Database) []jsonDatabase {
	list := []jsonDatabase{}
	for _, b := range all {
		entry := jsonDatabase{Silo: b.Silo, Database: b.Name}
		if b.Result != "" {
			entry.Result = &b.Result
		}
		if b.Error != "" {
			entry.Error = &b.Error
		}
		list = append(list, entry)
	}
	return list
}

// warnOfDatabases tells of silos' own databases that are missing or empty, before
// the silos that need them are launched: their health check knows nothing of it.
func (a *app) warnOfDatabases(ctx context.Context, plan orchestrator.Plan, dir *state.Dir, program string) {
	if !plan.PerSilo() || a.quiet {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, databasesPatience)
	defer cancel()
	all, err := databases.New(plan, a.host(dir), proc.Output).Inspect(ctx)
	if errors.Is(err, sentry.ErrNoProgram) || errors.Is(err, context.Canceled) {
		return // nor will there be a silo that needs one
	}
	if err != nil {
		a.messages.Warn("nothing is known of the silos' databases: " + err.Error())
		return
	}
	lack := databases.FindProblems(all)
	if len(lack.Missing) > 0 {
		a.messages.Warn("no such database: "+strings.Join(lack.Missing, ", "), program+" db create && "+program+" db migrate")
	}
	if len(lack.Unmigrated) > 0 {
		a.messages.Warn("no migration has run on "+strings.Join(lack.Unmigrated, ", "), program+" db migrate")
	}
	if len(lack.Errors) > 0 {
		a.messages.Warn("nothing is known of the silos' databases: " + strings.Join(lack.Errors, "; "))
	}
}
