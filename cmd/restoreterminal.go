package cmd

import (
	"os"

	"github.com/urfave/cli/v2"

	"silo/console"
	"silo/proc"
)

func (a *app) restoreTerminalCommand() *cli.Command {
	return &cli.Command{
		Name: "restore-terminal", Hidden: true, ArgsUsage: "BEFORE AFTER",
		Usage:  "restore the terminal of a silo that was killed",
		Action: restoreTerminal,
	}
}

// restoreTerminal runs beside a process that has changed its terminal, on descriptor 1.
func restoreTerminal(c *cli.Context) error {
	if c.NArg() != 2 {
		return &usageError{text: "silo restore-terminal takes the modes of a terminal"}
	}
	pipe := os.NewFile(reportDescriptor, "pipe")
	return console.RestoreAfter(pipe, os.Stdout, console.Modes{Before: c.Args().Get(0), After: c.Args().Get(1)})
}

// rawTerminal is tty.Raw, and restores the terminal even if this process is killed.
func (a *app) rawTerminal(tty *console.Console) (restore func(), err error) {
	return a.guardTerminal(tty, tty.Raw)
}

// keyTerminal is tty.Keys, and restores the terminal even if this process is killed.
func (a *app) keyTerminal(tty *console.Console) (restore func(), err error) {
	return a.guardTerminal(tty, tty.Keys)
}

// guardTerminal changes the modes of a terminal. A second process restores them if this one
// is killed. restore may be called again.
func (a *app) guardTerminal(tty *console.Console, change func() (func(), console.Modes, error)) (restore func(), err error) {
	undo, modes, err := change()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return undo, nil //nolint:nilerr // only after a kill, the user has to type reset
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return undo, nil //nolint:nilerr // as above
	}
	_, err = proc.Detach([]string{self, "restore-terminal", modes.Before, modes.After}, a.Environ, "/", tty.Output(), reader)
	_ = reader.Close()
	if err != nil {
		_ = writer.Close()
		return undo, nil //nolint:nilerr // as above
	}
	return func() {
		undo()
		_, _ = writer.WriteString("done") // it may have been killed, or has been notified before
		_ = writer.Close()
	}, nil
}
