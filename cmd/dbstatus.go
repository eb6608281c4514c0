package cmd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/databases"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/ui"
)

// databaseStatusJSON is one element of the output of silo db status --json.
type databaseStatusJSON struct {
	Silo     string         `json:"silo"`
	Database string         `json:"database"`
	Server   string         `json:"server"`
	Exists   bool           `json:"exists"`
	Size     *int64         `json:"size_bytes"`
	Migrated bool           `json:"migrated"`
	Pending  *int           `json:"pending"`  // migrations; null: the database is missing or empty
	Unmapped map[string]int `json:"unmapped"` // organizations by the region that the topology does not have; null: not control's
	Error    *string        `json:"error"`
}

func (a *app) dbStatus(c *cli.Context) error {
	t, err := a.load(c)
	if err != nil {
		return err
	}
	set, err := a.databaseSet(c, t, c.Args().Slice())
	if err != nil {
		return err
	}
	all, err := set.Inspect(c.Context)
	if err != nil {
		return err
	}
	var problems []string
	for _, d := range all {
		if d.Error != "" {
			problems = append(problems, d.Silo+": "+d.Error)
		}
	}
	if c.Bool("json") {
		err = a.printJSON(databaseStatuses(all))
	} else {
		a.results.Databases(databaseRows(all))
		a.warnOfUnmapped(all)
	}
	if err == nil && len(problems) > 0 {
		err = exitWith(exitFailed, strings.Join(problems, "\n"))
	}
	return err
}

func databaseStatuses(all []sentry.Database) []databaseStatusJSON {
	list := make([]databaseStatusJSON, len(all))
	for i, d := range all {
		one := databaseStatusJSON{Silo: d.Silo, Database: d.Name, Server: d.Server(), Exists: d.Exists, Migrated: d.Migrated}
		if d.Exists {
			one.Size, one.Unmapped = &d.Size, d.Unmapped
		}
		if d.Migrated {
			one.Pending = &d.Pending
		}
		if d.Error != "" {
			one.Error = &d.Error
		}
		list[i] = one
	}
	return list
}

func databaseRows(all []sentry.Database) []ui.Database {
	rows := make([]ui.Database, len(all))
	for i, d := range all {
		rows[i] = ui.Database{Silo: d.Silo, Name: d.Name, Server: d.Server(), Size: d.Size, State: "up to date"}
		switch {
		case d.Error != "":
			rows[i].State, rows[i].Bad = "unknown", true
		case !d.Exists:
			rows[i].State, rows[i].Bad = "missing", true
		case !d.Migrated:
			rows[i].State, rows[i].Bad = "empty", true
		case d.Pending > 0:
			rows[i].State, rows[i].Bad = fmt.Sprintf("%d pending", d.Pending), true
		}
	}
	return rows
}

// warnOfUnmapped warns about organizations whose region is not in the topology.
func (a *app) warnOfUnmapped(all []sentry.Database) {
	for _, d := range all {
		if len(d.Unmapped) > 0 {
			a.warn(databases.DescribeUnmapped(d.Unmapped), "silo db repair")
		}
	}
}

// dbRepair gives organizations that name no region of the topology to one of its regions.
func (a *app) dbRepair(c *cli.Context) error {
	if c.NArg() > 0 {
		return &usageError{text: "silo db repair takes no silos", hint: "silo db repair --to " + c.Args().First()}
	}
	t, err := a.load(c)
	if err != nil {
		return err
	}
	set, err := a.databaseSet(c, t, []string{"control"})
	if err != nil {
		return err
	}
	to := t.Regions[0].Name
	if c.IsSet("to") {
		to = c.String("to")
	}
	if !slices.ContainsFunc(t.Regions, func(r topology.Silo) bool { return r.Name == to }) {
		return &usageError{text: fmt.Sprintf("no region is called %q", to), hint: "silo db repair --to " + t.Regions[0].Name}
	}
	done, err := set.Repair(c.Context, to, func(d sentry.Database) error { return a.confirmRepair(c, d, to) })
	switch {
	case errors.Is(err, context.Canceled):
		return exitWith(exitInterrupted, "interrupted")
	case err != nil:
		return err
	}
	if c.Bool("json") {
		return a.printJSON(struct {
			Database     string         `json:"database"`
			To           string         `json:"to"`
			Mappings     map[string]int `json:"mappings"`     // rewritten, by their former region
			Reservations map[string]int `json:"reservations"` // of slugs, likewise
		}{done.Name, to, orEmpty(done.Unmapped), orEmpty(done.Reserved)})
	}
	if done.Result == "" {
		return a.print("every organization is in a region of the topology\n")
	}
	return a.print(fmt.Sprintf("%s: moved %s to %s\n", done.Name, countRows(done), to))
}

func orEmpty(counts map[string]int) map[string]int {
	if counts == nil {
		return map[string]int{}
	}
	return counts
}

// countRows describes the rows of control's tables that name no region.
func countRows(d sentry.Database) string {
	sum := func(counts map[string]int) (n int) {
		for _, count := range counts {
			n += count
		}
		return n
	}
	names := slices.AppendSeq(slices.Collect(maps.Keys(d.Unmapped)), maps.Keys(d.Reserved))
	slices.Sort(names)
	names = slices.Compact(names)
	return fmt.Sprintf("%d organization mappings and %d slug reservations of %s", sum(d.Unmapped), sum(d.Reserved), strings.Join(names, ", "))
}

func (a *app) confirmRepair(c *cli.Context, d sentry.Database, to string) error {
	if c.Bool("yes") {
		return nil
	}
	what := "move " + countRows(d) + " to " + to + " in the database " + d.Name
	if !d.Local() {
		return &usageError{text: what + "? It is on another host: " + d.Server(), hint: "silo db repair --yes"}
	}
	return a.confirm(c, what+"?", "--yes would "+what, "nothing was changed")
}

// databaseSet returns the databases of the named silos, or of all, without a lock.
func (a *app) databaseSet(c *cli.Context, t *topology.Topology, names []string) (*databases.Set, error) {
	plan, err := a.plan(c.Context, t, false, names)
	if err != nil {
		return nil, err
	}
	dir, err := state.DirFor(a.lookup, t.File)
	if err != nil {
		return nil, err
	}
	return databases.New(plan, dir, a.host(dir).NewRun(), proc.Output), nil
}
