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
	"silo/state"
	"silo/ui"
)

func (a *app) dbCommand() *cli.Command {
	return group(&cli.Command{
		Name: "db", Category: categoryDatabases,
		Subcommands: []*cli.Command{
			{Name: "create", ArgsUsage: "[SILO…]", Action: a.dbCreate},
			{Name: "migrate", ArgsUsage: "[SILO…]", Action: a.dbMigrate},
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

// databases locks the databases of the named silos, or of all silos if there are no names.
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
	dir, err := state.DirFor(a.lookup, t.File)
	if err != nil {
		return nil, nil, err
	}
	set = databases.New(plan, dir, a.host(dir).NewRun(), proc.Output)
	release, err = set.Lock()
	return set, release, err
}

func (a *app) dbCreate(c *cli.Context) error {
	set, release, err := a.databases(c, c.Args().Slice())
	if err != nil {
		return err
	}
	defer release()
	all, err := set.Create(c.Context)
	if err != nil {
		return err
	}
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
	return a.printDatabases(c, all)
}

func (a *app) dbMigrate(c *cli.Context) error {
	set, release, err := a.databases(c, c.Args().Slice())
	if err != nil {
		return err
	}
	defer release()
	all, err := set.Inspect(c.Context)
	if err != nil {
		return err
	}
	if len(databases.FindProblems(all).Errors) > 0 {
		return a.printDatabases(c, all)
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
		return exitWith(exitInterrupted, "interrupted", "silo db migrate, to continue the migrations")
	}
	if err != nil {
		return err
	}
	for _, p := range last {
		for _, line := range p.Tail {
			_, _ = fmt.Fprintf(a.Stderr, "%s | %s\n", p.Silo, a.messages.SanitizeLine([]byte(line))) // an error on stderr cannot be reported
		}
	}
	return a.printDatabases(c, all)
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
	set, release, err := a.databases(c, c.Args().Slice())
	if err != nil {
		return err
	}
	defer release()
	all, err := set.Drop(c.Context,
		func(ctx context.Context) (*state.Snapshot, error) { return runningSnapshot(ctx, set.Dir()) },
		func(names []string) error { return a.confirmDrop(c, names) })
	if err != nil {
		return err
	}
	return a.printDatabases(c, all)
}

// runningSnapshot returns the snapshot of a running instance, or nil if it does not run.
func runningSnapshot(ctx context.Context, dir *state.Dir) (*state.Snapshot, error) {
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

// confirmDrop asks on the terminal. Without a terminal it fails unless --yes is set.
func (a *app) confirmDrop(c *cli.Context, names []string) error {
	if len(names) == 0 || c.Bool("yes") {
		return nil
	}
	list := strings.Join(names, ", ")
	file, isFile := a.Stdin.(interface{ Fd() uintptr })
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return &usageError{text: "silo db drop asks for confirmation and needs a terminal", hint: "--yes drops " + list}
	}
	_, _ = fmt.Fprintf(a.Stderr, "drop %s and all data in it? [y/N] ", list) // without the question, nothing is dropped
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
	return exitWith(exitFailed, "nothing was dropped")
}
