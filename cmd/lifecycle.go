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

// lifecycleCommand returns start, stop or restart.
func (a *app) lifecycleCommand(verb string) *cli.Command {
	return &cli.Command{
		Name: verb, ArgsUsage: "[SILO…]", Category: categoryStart,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "stop waiting after `DURATION`, with exit code 124"},
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
	names := c.Args().Slice()
	if len(names) == 0 {
		if names, err = managedNames(ctx, client); err != nil {
			return err
		}
	}
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
		_, err = a.awaitReady(ctx, client, names)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return exitWith(exitInterrupted, "interrupted", "the silos continue to "+verb+": silo status --watch")
	case err == nil && verb != "stop":
		a.note("ready in " + ui.Duration(time.Since(began)))
	}
	return err
}

// managedNames returns the silos that the supervisor starts and stops.
func managedNames(ctx context.Context, client *api.Client) (names []string, err error) {
	snapshot, err := client.Snapshot(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, s := range snapshot.Silos {
		if snapshot.Manages(s) {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// awaitStopped shows silos until those named have stopped.
func (a *app) awaitStopped(ctx context.Context, client *api.Client, names []string) error {
	view := a.progress(names...)
	var running []string
	err := client.Watch(ctx, func(u api.Update) bool {
		view.Update(*u.Snapshot, u.LastLines)
		running = nil
		for _, s := range u.Snapshot.Silos {
			if slices.Contains(names, s.Name) && s.State != state.Stopped && s.State != state.Failed {
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
