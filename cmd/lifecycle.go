package cmd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/state"
	"silo/ui"
)

func (a *app) startCommand() *cli.Command {
	return a.lifecycleCommand(&cli.Command{
		Name:  "start",
		Usage: "Start silos that were stopped and wait until they are ready",
		Description: `start starts silos of a running instance that were stopped or have failed. Their ports, tunnels and
addresses are unchanged. Use silo up if nothing is running.

Exit codes: 1 if a silo fails, 4 if nothing is running, 124 if --timeout ends the wait, 130 if Ctrl-C
does; the silos continue to start.`,
		UsageText: `silo start us-west
silo start --timeout 2m`,
	})
}

func (a *app) stopCommand() *cli.Command {
	return a.lifecycleCommand(&cli.Command{
		Name:  "stop",
		Usage: "Stop silos and keep their tunnels and addresses",
		Description: `stop ends the processes of silos and leaves the supervisor, the ports and the tunnels as they are, so
that silo start brings a silo back at the same address. Use silo down to end everything.

Exit codes: 4 if nothing is running, 124 if --timeout ends the wait, 130 if Ctrl-C does; the silos
continue to stop.`,
		UsageText: `silo stop us-west
silo stop us-west eu`,
	})
}

func (a *app) restartCommand() *cli.Command {
	return a.lifecycleCommand(&cli.Command{
		Name:  "restart",
		Usage: "Stop and start silos and wait until they are ready",
		Description: `restart stops silos and starts them again with the same ports, tunnels and addresses. Silos that were
stopped before are started too.

Exit codes: 1 if a silo fails, 4 if nothing is running, 124 if --timeout ends the wait, 130 if Ctrl-C
does; the silos continue to restart.`,
		UsageText: `silo restart
silo restart us-west --timeout 2m`,
	})
}

// lifecycleCommand completes start, stop or restart.
func (a *app) lifecycleCommand(c *cli.Command) *cli.Command {
	c.Category, c.ArgsUsage = categoryStart, "[SILO…]"
	c.Flags = []cli.Flag{
		&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "stop waiting after `DURATION`, with exit code 124"},
	}
	c.Action = func(ctx *cli.Context) error { return a.lifecycle(ctx, c.Name) }
	return c
}

func (a *app) lifecycle(c *cli.Context, verb string) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	ctx, cancel := withTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	client, err := api.Dial(ctx, dir)
	if err != nil {
		return preferContextError(ctx, err)
	}
	defer client.Close()
	names := siloArgs(c)
	request := map[string]func(context.Context, ...string) error{
		"start": client.Start, "stop": client.Stop, "restart": client.Restart,
	}[verb]
	began := time.Now()
	if err := request(ctx, names...); err != nil {
		return err
	}
	if verb == "stop" {
		err = a.awaitStopped(ctx, client, names)
	} else {
		err = a.awaitStarted(ctx, client, names)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return exitWith(exitInterrupted, "interrupted; the silos continue to "+verb, "silo status --watch")
	case err == nil && verb != "stop":
		a.note("ready in " + ui.Duration(time.Since(began)))
	}
	return err
}

// awaitStarted waits until the named silos are ready, or all if none is named.
func (a *app) awaitStarted(ctx context.Context, client *api.Client, names []string) error {
	if len(names) == 0 { // including silos that were stopped
		snapshot, err := client.Snapshot(ctx, false)
		if err != nil {
			return err
		}
		for _, s := range snapshot.Silos {
			names = append(names, s.Name)
		}
	}
	_, err := a.awaitReady(ctx, client, names)
	return err
}

// awaitStopped shows silos until they have stopped.
func (a *app) awaitStopped(ctx context.Context, client *api.Client, names []string) error {
	view := a.messages.Progress(names...)
	var running []string
	err := client.Watch(ctx, func(u api.Update) bool {
		if !a.quiet {
			showDeadlines(view, u.Snapshot)
			view.Update(*u.Snapshot, u.LastLines)
		}
		running = nil
		for _, s := range u.Snapshot.Silos {
			if (len(names) == 0 || slices.Contains(names, s.Name)) && s.State != state.Stopped && s.State != state.Failed {
				running = append(running, s.Name+" ("+string(s.State)+")")
			}
		}
		return len(running) > 0
	})
	view.Done()
	if errors.Is(err, context.DeadlineExceeded) && len(running) > 0 {
		return exitWith(exitTimeout, "not stopped in time: "+strings.Join(running, ", "), "silo status --watch")
	}
	return err
}
