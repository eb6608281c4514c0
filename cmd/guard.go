package cmd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/orchestrator"
	"silo/proc"
	"silo/state"
)

func (a *app) guardCommand() *cli.Command {
	return &cli.Command{
		Name: "guard", Hidden: true, ArgsUsage: "TOPOLOGY",
		Usage:  "what a supervisor has ready for its own death: ends what it leaves",
		Action: a.guard,
	}
}

// guard clears up after a supervisor. The signals that end a supervisor are not
// meant for it.
func (a *app) guard(c *cli.Context) error {
	if c.NArg() != 1 {
		return &usageError{text: "silo guard takes the path of a topology"}
	}
	dir, err := state.DirFor(a.lookup, c.Args().First())
	if err != nil {
		return err
	}
	left, err := proc.ReadJournal(os.NewFile(proc.JournalDescriptor, "record"))
	if err != nil {
		return err
	}
	ended, err := orchestrator.CleanUp(context.WithoutCancel(c.Context), dir, left)
	if err != nil {
		ended = append(ended, err.Error())
	}
	return logCleanup(dir, ended)
}

// logCleanup leaves word where the supervisor left its own.
func logCleanup(dir *state.Dir, ended []string) error {
	log, err := os.OpenFile(dir.SupervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	what := "nothing was left running"
	if len(ended) > 0 {
		what = "ended " + strings.Join(ended, ", ")
	}
	_, err = fmt.Fprintln(log, "the supervisor was killed; "+what)
	if closed := log.Close(); err == nil {
		err = closed
	}
	return err
}

// guardian is the command line of the process that clears up after this one.
func guardArgs(dir *state.Dir) []string {
	self, err := os.Executable()
	if err != nil {
		return nil // the next up or down clears up
	}
	return []string{self, "guard", dir.Topology}
}
