package cmd

import (
	"context"
	"errors"
	"io"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/console"
	"silo/orchestrator"
	"silo/proc"
	"silo/state"
)

func (a *app) debugCommand() *cli.Command {
	return &cli.Command{
		Name: "debug", ArgsUsage: "SILO [-- CMD…]", Category: categoryStart,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "stop", Usage: "leave the silo stopped at the end"},
		},
		Action: a.debug,
	}
}

// debug runs a silo on this terminal instead of its supervised process.
func (a *app) debug(c *cli.Context) error {
	name, argv := c.Args().First(), commandWords(c)
	if name == "" {
		return &usageError{text: "silo debug needs a silo", hint: "silo debug us-west"}
	}
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	client, err := api.Dial(c.Context, dir)
	if err != nil {
		return preferContextError(c.Context, err)
	}
	defer client.Close()
	if err := a.findDebugged(c, name, argv); err != nil {
		return err
	}
	request := api.DebugRequest{Silo: name, Argv: argv, Environ: a.Environ, Stop: c.Bool("stop")}
	tty, onTerminal := console.Open(a.Stdin, a.Stdout)
	if onTerminal {
		request.Console = consoleSize(tty)
	}
	session, err := client.Debug(c.Context, request)
	if err != nil {
		return err
	}
	defer func() { _ = session.Close() }() // it may have ended
	stop := context.AfterFunc(c.Context, func() { _ = session.Close() })
	defer stop()
	if !onTerminal {
		tty = nil
	}
	code, err := a.attach(c.Context, session, tty)
	switch {
	case err == nil:
		a.note(afterDebug(c.Context, client, name))
	case c.Err() != nil:
		return exitWith(exitInterrupted, "interrupted")
	case errors.Is(err, api.ErrNotRunning):
		return exitWith(exitFailed, "the instance has ended, and "+name+" with it")
	default:
		return exitWith(exitFailed, name+": "+err.Error(), "silo status")
	}
	return exitQuietly(code)
}

// afterDebug describes the state of a silo after its debug session.
func afterDebug(ctx context.Context, client *api.Client, name string) string {
	snapshot, err := client.Snapshot(ctx, false)
	if err != nil || snapshot.State == state.InstanceStopping || snapshot.State == state.InstanceStopped {
		return "the instance ends, and " + name + " with it"
	}
	for _, s := range snapshot.Silos {
		if s.Name == name && s.State == state.Stopped {
			return name + " is stopped; silo start " + name + " starts it"
		}
	}
	return name + " is supervised again"
}

// commandWords returns the command after a silo's name, without --.
func commandWords(c *cli.Context) []string {
	words := c.Args().Tail()
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	return words
}

// findDebugged fails with a shell's exit code if a command does not exist. At this point
// nothing has been stopped.
func (a *app) findDebugged(c *cli.Context, name string, argv []string) error {
	layout, err := a.siloLayout(c)
	if err != nil {
		return err
	}
	vars, err := a.environmentOf(layout, name)
	if err != nil {
		return err
	}
	silo, _ := layout.Find(name)
	if len(argv) == 0 {
		argv = silo.Argv
	}
	if _, err := proc.Find(argv[0], silo.Dir, environOf(vars)); err != nil {
		return exitWith(proc.RefusalCode(err), "cannot run "+err.Error(), "activate the virtual environment of Sentry in this terminal")
	}
	return nil
}

func consoleSize(t *console.Console) *orchestrator.ConsoleSize {
	rows, columns := t.Size()
	return &orchestrator.ConsoleSize{Rows: rows, Columns: columns}
}

// attach connects this terminal, or standard input and output if tty is nil, to the
// process of a debug session until that ends.
func (a *app) attach(ctx context.Context, session *api.Debugger, tty *console.Console) (code int, err error) {
	restore := func() {}
	defer func() { restore() }()
	for {
		event, err := session.Next()
		switch {
		case err != nil:
			return 0, err
		case event.Ended:
			return event.Code, event.Err
		case event.Started && tty != nil:
			if restore, err = a.rawTerminal(tty); err != nil {
				return 0, err
			}
			go a.followSize(ctx, session, tty)
			go func() { _, _ = io.Copy(session, a.Stdin) }() // ends with this process
		case event.Started:
			go func() { // as above
				_, _ = io.Copy(session, a.Stdin)
				_ = session.EndInput()
			}()
		default:
			_, _ = a.Stdout.Write(event.Output) // the process continues without a reader
		}
	}
}

// followSize passes on changes of the terminal's size, for as long as this process runs.
func (a *app) followSize(ctx context.Context, session *api.Debugger, tty *console.Console) {
	changed, stop := console.Resized()
	defer stop()
	for {
		select {
		case <-changed:
			_ = session.Resize(*consoleSize(tty)) // the session may have ended
		case <-ctx.Done():
			return
		}
	}
}
