package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"silo/databases"
	"silo/orchestrator"
	"silo/sentry"
)

// lookAtDatabases tells which of the silos' own databases are missing, or have been
// through no migration: `silo up` starts silos without them, whose /_health/ is 200.
func lookAtDatabases(ctx context.Context, v *visit, c *Check) {
	if v.Topology.Sentry.Databases != "per-silo" {
		c.add(Skip, "all silos share the database in "+v.Topology.Sentry.Config)
		return
	}
	if !exists(v.Topology.Sentry.Config) {
		c.add(Skip, v.Topology.Sentry.Config+" is not there")
		return
	}
	all, err := v.databases(ctx)
	lack := databases.FindProblems(all)
	switch {
	case errors.Is(err, sentry.ErrNoProgram):
		c.add(Skip, err.Error())
		return
	case (err != nil || len(lack.Errors) > 0) && v.toldBefore(c):
		return
	case err != nil:
		c.add(Warn, "nothing is known of them: "+err.Error(), v.sentryCommand("config list")+" shows what Sentry says itself")
		return
	}
	if len(lack.Missing) > 0 {
		c.add(Fail, "no such database: "+strings.Join(lack.Missing, ", "), "silo db create && silo db migrate")
	}
	if len(lack.Unmigrated) > 0 {
		c.add(Fail, "no migration has run on "+strings.Join(lack.Unmigrated, ", "), "silo db migrate")
	}
	for _, reason := range lack.Errors {
		c.add(Fail, reason, "DATABASES in "+v.Topology.Sentry.Config)
	}
	if c.State == "" {
		c.add(OK, strings.Join(names(all), ", ")+" are there, migrated")
	}
}

// databases are the silos' own as Sentry's Python finds them.
func (v *visit) databases(ctx context.Context) ([]sentry.Database, error) {
	choice := v.choice()
	if choice.err != nil {
		return nil, choice.err
	}
	plan, err := orchestrator.NewPlan(v.Topology, choice.Choice, false, nil)
	if err != nil {
		return nil, err
	}
	site := orchestrator.Site{Dir: v.Instance, Environ: v.Environ, Env: v.Env, Warn: func(string) {}, Trace: func(string) {}}
	return databases.New(plan, site, v.Run).Inspect(ctx)
}

// toldBefore tells whether another check has said already why nothing is known of
// the databases, and then says which.
func (v *visit) toldBefore(c *Check) bool {
	s := v.services()
	if s.absent == "" && !s.there(c) {
		return true
	}
	if v.choice().err != nil {
		c.add(Skip, "which Sentry it is has to be known first")
		return true
	}
	i := slices.IndexFunc(s.Databases, func(one sentry.Service) bool { return one.Name == "default" })
	if i < 0 {
		return false
	}
	switch trouble := s.Databases[i].Failure(); trouble {
	case "", sentry.NoDatabase, sentry.OtherFailure:
		return false
	default:
		c.add(Skip, fmt.Sprintf("%s cannot be asked, as said of postgres", s.Databases[i].Address()))
		return true
	}
}

// names are the databases' own.
func names(all []sentry.Database) []string {
	var list []string
	for _, b := range all {
		list = append(list, b.Name)
	}
	return list
}
