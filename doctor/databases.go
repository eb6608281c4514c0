package doctor

import (
	"context"
	"errors"
	"strings"

	"silo/databases"
	"silo/plan"
	"silo/sentry"
)

// checkDatabases checks the silos' own databases. A silo whose database is missing still starts,
// and its /_health/ answers 200.
func checkDatabases(ctx context.Context, e *examination, c *Check) {
	config := e.Topology.Sentry.Config
	switch {
	case e.Topology.Sentry.Databases != "per-silo":
		c.add(Skip, "all silos share the database in "+config)
		return
	case !exists(config):
		c.add(Skip, config+" does not exist")
		return
	}
	all, err := e.inspectDatabases(ctx)
	problems := databases.FindProblems(all)
	switch {
	case errors.Is(err, sentry.ErrNoProgram):
		c.add(Skip, err.Error())
		return
	case (err != nil || len(problems.Errors) > 0) && e.explainedElsewhere(ctx, c):
		return
	case err != nil:
		c.add(Warn, "cannot inspect the databases: "+err.Error(), e.sentryCommand("config list")+" shows Sentry's own error")
		return
	}
	if len(problems.Missing) > 0 {
		c.add(Fail, "no such database: "+strings.Join(problems.Missing, ", "), "silo db create && silo db migrate")
	}
	if len(problems.Unmigrated) > 0 {
		c.add(Fail, "no migration has run on "+strings.Join(problems.Unmigrated, ", "), "silo db migrate")
	}
	for _, reason := range problems.Errors {
		c.add(Fail, reason, "fix DATABASES in "+config)
	}
	if c.State == "" {
		var names []string
		for _, d := range all {
			names = append(names, d.Name)
		}
		c.add(OK, strings.Join(names, ", ")+" exist and are migrated")
	}
}

func (e *examination) inspectDatabases(ctx context.Context) ([]sentry.Database, error) {
	choice, err := e.choice()
	if err != nil {
		return nil, err
	}
	p, err := plan.New(e.Topology, choice, false, nil)
	if err != nil {
		return nil, err
	}
	run := plan.Run{Instance: e.Instance.Key, Environ: e.Environ}
	return databases.New(p, e.Instance, run, e.Exec).Inspect(ctx)
}

// explainedElsewhere reports whether another check explains why the databases could not be
// inspected. If so, it adds a reference to that check to c.
func (e *examination) explainedElsewhere(ctx context.Context, c *Check) bool {
	s := e.services()
	if s.skipped == "" && !s.loaded(c) {
		return true
	}
	var postgres Check
	checkPostgres(ctx, e, &postgres)
	_, err := e.choice()
	if err != nil || postgres.State == Fail {
		c.add(Skip, "not inspected: see the sentry and postgres checks")
		return true
	}
	return false
}
