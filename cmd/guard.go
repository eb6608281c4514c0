package cmd

import (
	"context"
	"errors"
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
		Usage:  "clean up after a supervisor that was killed",
		Action: a.guard,
	}
}

// guard cleans up after a supervisor that was killed. A signal does not cancel it.
func (a *app) guard(c *cli.Context) error {
	if c.NArg() != 1 {
		return &usageError{text: "silo guard takes the path of a topology"}
	}
	dir, err := state.DirFor(a.lookup, c.Args().First())
	if err != nil {
		return err
	}
	left, err := proc.ReadJournal(os.NewFile(proc.JournalDescriptor, "journal"))
	if err != nil {
		return err
	}
	ended, err := orchestrator.CleanUp(context.WithoutCancel(c.Context), dir, left)
	if err != nil {
		ended = append(ended, err.Error())
	}
	return logCleanup(dir, ended)
}

// logCleanup appends the result to the supervisor's log.
func logCleanup(dir *state.Dir, ended []string) error {
	log, err := os.OpenFile(dir.SupervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	result := "nothing was left running"
	if len(ended) > 0 {
		result = "ended " + strings.Join(ended, ", ")
	}
	_, err = fmt.Fprintln(log, "the supervisor was killed; "+result)
	return errors.Join(err, log.Close())
}

// guardArgs returns the command line of the process that cleans up after this one.
func guardArgs(dir *state.Dir) []string {
	self, err := os.Executable()
	if err != nil {
		return nil // the next up or down cleans up
	}
	return []string{self, "guard", dir.Topology}
}
