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

	"silo/databases"
	"silo/sentry"
	"silo/state"
	"silo/ui"
)

func (a *app) dbCommand() *cli.Command {
	return group(&cli.Command{
		Name: "db", Category: categoryDatabases,
		Subcommands: []*cli.Command{
			{Name: "status", ArgsUsage: "[SILO…]", Action: a.dbStatus},
			{
				Name: "repair", Action: a.dbRepair,
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "to", DefaultText: "the region with the lowest id", Usage: "`REGION` that gets the organizations"},
					&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
				},
			},
			{Name: "create", ArgsUsage: "[SILO…]", Action: a.withDatabases(a.dbCreate)},
			{Name: "migrate", ArgsUsage: "[SILO…]", Action: a.withDatabases(a.dbMigrate)},
			{
				Name: "drop", ArgsUsage: "SILO…", Action: a.dbDrop,
				Flags: []cli.Flag{
					&cli.BoolFlag{Name: "all", Usage: "drop the databases of all silos"},
					&cli.BoolFlag{Name: "yes", Usage: "do not ask for confirmation"},
				},
			},
		},
	})
}

// withDatabases returns an action that locks the databases of the named silos, or of all
// silos if none is named, calls act with them, and prints the result.
func (a *app) withDatabases(act func(*cli.Context, *databases.Set) ([]sentry.Database, error)) cli.ActionFunc {
	return func(c *cli.Context) error {
		set, release, err := a.lockDatabases(c, c.Args().Slice())
		if err != nil {
			return err
		}
		defer release()
		all, err := act(c, set)
		if err != nil {
			return err
		}
		return a.printDatabases(c, all)
	}
}

func (a *app) lockDatabases(c *cli.Context, names []string) (set *databases.Set, release func(), err error) {
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
	if set, err = a.databaseSet(c, t, names); err != nil {
		return nil, nil, err
	}
	release, err = set.Lock()
	return set, release, err
}

func (a *app) dbCreate(c *cli.Context, set *databases.Set) ([]sentry.Database, error) {
	all, err := set.Create(c.Context)
	for _, d := range all {
		if d.Error != "" || d.Owned {
			continue
		}
		owner := "silo did not create it and will not drop it"
		if databases.OwnedByOther(d) {
			owner = "it belongs to another instance (" + d.Comment + ")"
		}
		a.note(fmt.Sprintf("%s: the database %s already exists; %s", d.Silo, d.Name, owner))
	}
	return all, err
}

func (a *app) dbMigrate(c *cli.Context, set *databases.Set) ([]sentry.Database, error) {
	all, err := set.Inspect(c.Context)
	if err != nil || len(databases.FindProblems(all).Errors) > 0 {
		return all, err
	}
	view := a.messages.Tasks()
	var last []databases.Progress
	all, err = set.Migrate(c.Context, all, a.SecondSignal, func(progress []databases.Progress) {
		last = progress
		if !a.quiet {
			view.Update(tasks(progress))
		}
	})
	view.Done()
	if errors.Is(err, context.Canceled) {
		return nil, exitWith(exitInterrupted, "interrupted", "silo db migrate, to continue the migrations")
	}
	if err != nil {
		return nil, err
	}
	for _, p := range last {
		for _, line := range p.Tail {
			_, _ = fmt.Fprintf(a.Stderr, "%s | %s\n", p.Silo, a.messages.SanitizeLine([]byte(line))) // a failed write to stderr cannot be reported
		}
	}
	return all, nil
}

func tasks(all []databases.Progress) []ui.Task {
	list := make([]ui.Task, len(all))
	for i, p := range all {
		failed := p.Stage == databases.Failed || p.Stage == databases.Stopped
		list[i] = ui.Task{Name: p.Silo, State: string(p.Stage), Began: p.Began, Took: p.Took, Failed: failed, Line: p.Line}
	}
	return list
}

func (a *app) dbDrop(c *cli.Context) error {
	switch names := c.Args().Slice(); {
	case len(names) == 0 && !c.Bool("all"):
		return &usageError{text: "silo db drop needs names of silos", hint: "silo db drop --all, for all silos"}
	case len(names) > 0 && c.Bool("all"):
		return &usageError{text: "silo db drop takes names or --all, not both"}
	}
	return a.withDatabases(func(c *cli.Context, set *databases.Set) ([]sentry.Database, error) {
		return set.Drop(c.Context,
			func(context.Context) (*state.Snapshot, error) {
				_, snapshot, err := a.runningSnapshot(c)
				return snapshot, err
			},
			func(names []string) error { return a.confirmDrop(c, names) })
	})(c)
}

// confirmDrop asks on the terminal. Without a terminal it fails unless --yes is set.
func (a *app) confirmDrop(c *cli.Context, names []string) error {
	if len(names) == 0 || c.Bool("yes") {
		return nil
	}
	list := strings.Join(names, ", ")
	return a.confirm(c, "drop "+list+" and all data in it?", "--yes drops "+list, "nothing was dropped")
}

// confirm asks a question on the terminal. Without a terminal it fails with the hint. If
// the answer is not yes, it fails with declined.
func (a *app) confirm(c *cli.Context, question, hint, declined string) error {
	file, isFile := a.Stdin.(interface{ Fd() uintptr })
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return &usageError{text: c.Command.HelpName + " asks for confirmation and needs a terminal", hint: hint}
	}
	_, _ = fmt.Fprint(a.Stderr, question+" [y/N] ") // if the question cannot be shown, nothing is done
	answers := make(chan string, 1)
	go func() { // a read from a terminal cannot be cancelled: it ends with the program
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
	return exitWith(exitFailed, declined)
}
