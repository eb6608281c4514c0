package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"silo/api"
	"silo/databases"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

func (a *app) dbCommand() *cli.Command {
	return &cli.Command{
		Name:  "db",
		Usage: "make, migrate or drop the databases that silos have of their own",
		Subcommands: []*cli.Command{
			{Name: "create", ArgsUsage: "[SILO…]", Usage: "make the databases that are missing, each marked as its silo's own", Action: a.dbCreate},
			{Name: "migrate", ArgsUsage: "[SILO…]", Usage: "run sentry upgrade on each, side by side", Action: a.dbMigrate},
			{
				Name: "drop", ArgsUsage: "SILO…", Usage: "drop databases that silo has made, with all that is in them", Action: a.dbDrop,
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "all", Usage: "of all silos"},
					&cli.BoolFlag{Name: "yes", Usage: "do not ask"},
				},
			},
		},
		Action: func(*cli.Context) error {
			return &usageError{text: "silo db needs a verb: create, migrate or drop"}
		},
	}
}

// databases begins work on the named silos' databases, or on all silos'. No other
// process does any until release.
func (a *app) databases(c *cli.Context, names []string) (set *databases.Set, release func(), err error) {
	t, err := a.load(c)
	if err != nil {
		return nil, nil, err
	}
	if t.Sentry.Databases != "per-silo" {
		return nil, nil, &usageError{
			text: "all silos share the database in " + t.Sentry.Config,
			hint: "databases = \"per-silo\" under [sentry] in silo.toml gives each silo its own; sentry upgrade migrates the shared one",
		}
	}
	plan, err := a.plan(c.Context, t, false, names)
	if err != nil {
		return nil, nil, err
	}
	dir, err := state.For(a.lookup, t.File)
	if err != nil {
		return nil, nil, err
	}
	set = databases.New(plan, a.host(dir), proc.Output)
	release, err = set.Lock()
	return set, release, err
}

// cutShort is an error of work on databases, or the end that the user has put to it,
// which needs no words.
func cutShort(err error) error {
	if errors.Is(err, context.Canceled) {
		return exitQuietly(exitInterrupted)
	}
	return err
}

func (a *app) dbCreate(c *cli.Context) error {
	set, release, err := a.databases(c, siloArgs(c))
	if err != nil {
		return err
	}
	defer release()
	all, err := set.Create(c.Context)
	if err != nil {
		return cutShort(err)
	}
	for _, b := range all {
		if b.Error == "" && !b.Owned {
			a.note(notMade(b))
		}
	}
	return a.sayDatabases(c, all)
}

// notMade tells of a database that was there before silo.
func notMade(b sentry.Database) string {
	whose := "was not made by silo, and will not be dropped by it"
	if databases.OwnedByOther(b) {
		whose = "belongs to another instance (" + b.Comment + ")"
	}
	return fmt.Sprintf("%s: the database %s is there already; it %s", b.Silo, b.Name, whose)
}

func (a *app) dbMigrate(c *cli.Context) error {
	set, release, err := a.databases(c, siloArgs(c))
	if err != nil {
		return err
	}
	defer release()
	all, err := set.Inspect(c.Context)
	if err != nil {
		return cutShort(err)
	}
	if len(databases.FindProblems(all).Errors) > 0 {
		return a.sayDatabases(c, all)
	}
	migration, err := set.Migrate(c.Context, all, a.SecondSignal)
	if err != nil {
		return err
	}
	a.watchMigration(migration)
	if all, err = migration.Wait(); err != nil {
		return exitWith(exitInterrupted, "migrations were interrupted", "silo db migrate goes on where they were")
	}
	a.tellTails(migration.Progress())
	return a.sayDatabases(c, all)
}

func (a *app) dbDrop(c *cli.Context) error {
	switch names := siloArgs(c); {
	case len(names) == 0 && !c.Bool("all"):
		return &usageError{text: "silo db drop needs the silos' names", hint: "--all means all of them"}
	case len(names) > 0 && c.Bool("all"):
		return &usageError{text: "silo db drop takes names or --all, not both"}
	}
	set, release, err := a.databases(c, siloArgs(c))
	if err != nil {
		return err
	}
	defer release()
	all, err := set.Drop(c.Context,
		func(ctx context.Context) (*state.Snapshot, error) { return whatRuns(ctx, set.Dir()) },
		func(names []string) error { return a.confirmDrop(c, names) })
	if err != nil {
		return cutShort(err)
	}
	return a.sayDatabases(c, all)
}

// whatRuns is the present snapshot of an instance, or nil where it does not run.
func whatRuns(ctx context.Context, dir *state.Dir) (*state.Snapshot, error) {
	client, err := api.Dial(ctx, dir)
	if errors.Is(err, api.ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Snapshot(ctx, false)
}

// confirmDrop asks on a terminal. Without one it wants to have been told.
func (a *app) confirmDrop(c *cli.Context, names []string) error {
	if len(names) == 0 || c.Bool("yes") {
		return nil
	}
	file, isFile := a.Stdin.(interface{ Fd() uintptr })
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return &usageError{text: "silo db drop asks on a terminal, and there is none", hint: "--yes drops " + strings.Join(names, ", ")}
	}
	_, _ = fmt.Fprintf(a.Stderr, "drop %s with all that is in it? [y/N] ", strings.Join(names, ", ")) // a question that nobody sees is answered by nobody
	answers := make(chan string, 1)
	go func() { // nothing ends a read from a terminal: where the user interrupts, the program ends before it
		line, _ := bufio.NewReader(io.LimitReader(a.Stdin, 1<<10)).ReadString('\n')
		answers <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case answer := <-answers:
		if answer == "y" || answer == "yes" {
			return nil
		}
	case <-c.Done():
		_, _ = fmt.Fprintln(a.Stderr)
	}
	return exitWith(exitFailed, "nothing was dropped")
}
