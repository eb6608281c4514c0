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

// lifecycleCommand is start, stop or restart.
func (a *app) lifecycleCommand(verb, usage string) *cli.Command {
	return &cli.Command{
		Name: verb, Usage: usage, ArgsUsage: "[SILO…]",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "give up waiting after `DURATION`, with exit code 124"},
		},
		Action: func(c *cli.Context) error { return a.lifecycle(c, verb) },
	}
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
	wishes := map[string]func(context.Context, ...string) error{
		"start": client.Start, "stop": client.Stop, "restart": client.Restart,
	}
	asked := time.Now()
	if err := wishes[verb](ctx, names...); err != nil {
		return err
	}
	if verb == "stop" {
		return a.awaitStopped(ctx, client, names)
	}
	if len(names) == 0 { // all of them, also those that rested before
		snapshot, err := client.Snapshot(ctx, false)
		if err != nil {
			return err
		}
		for _, s := range snapshot.Silos {
			names = append(names, s.Name)
		}
	}
	if _, err := a.awaitReady(ctx, client, names); err != nil {
		return err
	}
	a.note("ready in " + ui.Duration(time.Since(asked)))
	return nil
}

// awaitStopped shows silos on their way to rest.
func (a *app) awaitStopped(ctx context.Context, client *api.Client, names []string) error {
	view := a.messages.Progress(names...)
	var moving []string // those that are not at rest yet
	err := client.Watch(ctx, func(u api.Update) bool {
		if !a.quiet {
			showDeadlines(view, u.Snapshot)
			view.Update(*u.Snapshot, u.LastLines)
		}
		moving = nil
		for _, s := range u.Snapshot.Silos {
			if (len(names) == 0 || slices.Contains(names, s.Name)) && s.State != state.Stopped && s.State != state.Failed {
				moving = append(moving, s.Name+" ("+string(s.State)+")")
			}
		}
		return len(moving) > 0
	})
	view.Done()
	if errors.Is(err, context.DeadlineExceeded) && len(moving) > 0 {
		return exitWith(exitTimeout, "not stopped in time: "+strings.Join(moving, ", "), "they go on stopping: silo status shows how far they are")
	}
	return err
}
