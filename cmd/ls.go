package cmd

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/state"
)

func (a *app) lsCommand() *cli.Command {
	return &cli.Command{Name: "ls", Category: categoryMachine, Usage: "list all instances on this machine", Action: a.ls}
}

func (a *app) ls(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	instances, err := state.Instances(a.lookup)
	if err != nil {
		return err
	}
	silent := a.silent(c.Context, instances)
	if c.Bool("json") {
		if instances == nil {
			instances = []state.Snapshot{}
		}
		for i, s := range instances {
			if silent[s.File] {
				instances[i].Reason = new(api.ErrUnresponsive.Error())
			}
		}
		return writeJSON(a.Stdout, instances)
	}
	a.results.Instances(instances, silent)
	for _, s := range instances {
		if !silent[s.File] {
			continue
		}
		hints := a.classify(api.ErrHung).Hints[:1]
		if dir, err := state.DirFor(a.lookup, s.File); err == nil {
			hints = append(hints, a.commandForDir(dir, false)+" down ends it")
		}
		a.messages.Warn(s.Name+": "+api.ErrUnresponsive.Error(), hints...)
	}
	return nil
}

// answerBound is how long a list waits for supervisors to answer: all at once.
const answerBound = time.Second

// silent are the instances, by their files, whose supervisors hold their locks and do
// not answer: their snapshots tell of the time before that.
func (a *app) silent(ctx context.Context, instances []state.Snapshot) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, answerBound)
	defer cancel()
	mute := make([]bool, len(instances))
	var asked sync.WaitGroup
	for i, s := range instances {
		if s.State == state.InstanceStopped {
			continue
		}
		asked.Go(func() {
			dir, err := state.DirFor(a.lookup, s.File)
			if err != nil {
				return
			}
			client, err := api.Dial(ctx, dir)
			if err == nil {
				client.Close()
			}
			mute[i] = err != nil && !errors.Is(err, api.ErrNotRunning) && !errors.Is(err, context.Canceled)
		})
	}
	asked.Wait()
	silent := map[string]bool{}
	for i, s := range instances {
		if mute[i] {
			silent[s.File] = true
		}
	}
	return silent
}
