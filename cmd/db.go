package cmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"silo/control"
	"silo/orchestrator"
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

func (a *app) dbCreate(c *cli.Context) error {
	d, release, err := a.databases(c, silos(c))
	if err != nil {
		return err
	}
	defer release()
	all, err := d.ask(c.Context, sentry.DatabaseCreate)
	if err != nil {
		return err
	}
	for _, b := range all {
		if b.Error == "" && !b.Ours {
			a.note(notMade(b))
		}
	}
	return a.sayDatabases(c, all)
}

// notMade tells of a database that was there before silo.
func notMade(b sentry.Database) string {
	whose := "was not made by silo, and will not be dropped by it"
	if strings.HasPrefix(b.Mark, "silo ") {
		whose = "belongs to another instance (" + b.Mark + ")"
	}
	return fmt.Sprintf("%s: the database %s is there already; it %s", b.Silo, b.Name, whose)
}

func (a *app) dbMigrate(c *cli.Context) error {
	d, release, err := a.databases(c, silos(c))
	if err != nil {
		return err
	}
	defer release()
	all, err := d.ask(c.Context, sentry.DatabaseLook)
	if err != nil {
		return err
	}
	if failed(all) {
		return a.sayDatabases(c, all)
	}
	if missing := missing(all); len(missing) > 0 {
		return hinted(exitFailed, "there is no database "+strings.Join(missing, ", "), "silo db create makes it")
	}
	if all, err = d.migrate(c.Context, all); err != nil {
		return err
	}
	return a.sayDatabases(c, all)
}

// missing names the databases that are not there.
func missing(all []sentry.Database) []string {
	var names []string
	for _, b := range all {
		if b.Error == "" && !b.Exists {
			names = append(names, b.Name)
		}
	}
	return names
}

func failed(all []sentry.Database) bool {
	return slices.ContainsFunc(all, func(b sentry.Database) bool { return b.Error != "" })
}

func (a *app) dbDrop(c *cli.Context) error {
	switch names := silos(c); {
	case len(names) == 0 && !c.Bool("all"):
		return &usageError{text: "silo db drop needs the silos' names", hint: "--all means all of them"}
	case len(names) > 0 && c.Bool("all"):
		return &usageError{text: "silo db drop takes names or --all, not both"}
	}
	d, release, err := a.databases(c, silos(c))
	if err != nil {
		return err
	}
	defer release()
	if err := d.resting(c.Context); err != nil {
		return err
	}
	all, err := d.ask(c.Context, sentry.DatabaseLook)
	if err != nil {
		return err
	}
	for i, b := range all { // all of them or none
		if b.Error == "" && b.Exists && !b.Ours {
			all[i].Error = refusal(b)
		}
	}
	if failed(all) {
		return a.sayDatabases(c, all)
	}
	if err := a.confirmDrop(c, all); err != nil {
		return err
	}
	// A silo may have been started while the question stood.
	if err := d.resting(c.Context); err != nil {
		return err
	}
	if all, err = d.ask(c.Context, sentry.DatabaseDrop); err != nil {
		return err
	}
	return a.sayDatabases(c, all)
}

// refusal is why a database is not dropped.
func refusal(b sentry.Database) string {
	if strings.HasPrefix(b.Mark, "silo ") {
		return fmt.Sprintf("the database %s belongs to another instance (%s)", b.Name, b.Mark)
	}
	return fmt.Sprintf("silo did not create the database %s", b.Name)
}

// confirmDrop asks on a terminal. Without one it wants to have been told.
func (a *app) confirmDrop(c *cli.Context, all []sentry.Database) error {
	var names []string
	for _, b := range all {
		if b.Exists {
			names = append(names, b.Name)
		}
	}
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
	return hinted(exitFailed, "nothing was dropped")
}

// resting refuses silos that run.
func (d *databases) resting(ctx context.Context) error {
	client, err := control.Dial(ctx, d.place.Dir)
	if errors.Is(err, control.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer client.Close()
	snapshot, err := client.Snapshot(ctx, false)
	if err != nil || snapshot.Mode == "monolith" {
		return err // a monolith has the shared database
	}
	var running []string
	for _, s := range snapshot.Silos {
		rests := s.State == state.Stopped || s.State == state.Failed || s.State == state.Planned
		if slices.Contains(d.names, s.Name) && !rests {
			running = append(running, s.Name)
		}
	}
	if len(running) > 0 {
		names := strings.Join(running, " ")
		return hinted(exitConflict, "the database of a silo that runs is not dropped: "+strings.Join(running, ", "), "silo stop "+names)
	}
	return nil
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
	return hinted(exitFailed, strings.Join(troubles, "\n"), hints...)
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
	d := &databases{app: a, place: a.databasesPlace(plan, dir)}
	for _, s := range plan.Silos {
		if s.Wanted {
			d.names = append(d.names, s.Name)
		}
	}
	all, err := d.ask(ctx, sentry.DatabaseLook)
	if errors.Is(err, sentry.ErrNoProgram) {
		return // nor will there be a silo that needs one
	}
	if err != nil {
		a.talk.Warn("nothing is known of the silos' databases: " + err.Error())
		return
	}
	var empty, unknown []string
	for _, b := range all {
		switch {
		case b.Error != "" && !slices.Contains(unknown, b.Error):
			unknown = append(unknown, b.Error)
		case b.Error == "" && b.Exists && !b.Migrated:
			empty = append(empty, b.Name)
		}
	}
	if names := missing(all); len(names) > 0 {
		a.talk.Warn("there is no database "+strings.Join(names, ", "), program+" db create && "+program+" db migrate")
	}
	if len(empty) > 0 {
		a.talk.Warn("nothing has been migrated in "+strings.Join(empty, ", "), program+" db migrate")
	}
	if len(unknown) > 0 {
		a.talk.Warn("nothing is known of the silos' databases: " + strings.Join(unknown, "; "))
	}
}
