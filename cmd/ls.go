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

func (a *app) ls(c *cli.Context) error {
	instances, err := state.Instances(a.lookup)
	if err != nil {
		return err
	}
	hung := a.hungInstances(c.Context, instances)
	if c.Bool("json") {
		if instances == nil {
			instances = []state.Snapshot{}
		}
		for i, s := range instances {
			if hung[s.File] {
				instances[i].Reason = new(api.ErrUnresponsive.Error())
			}
		}
		return a.printJSON(instances)
	}
	a.results.Instances(instances, hung)
	for _, s := range instances {
		if !hung[s.File] {
			continue
		}
		hints := a.classify(api.ErrHung).Hints[:1]
		if dir, err := state.DirFor(a.lookup, s.File); err == nil {
			hints = append(hints, a.commandFor(dir, false)+" down")
		}
		a.warn(s.Name+": "+api.ErrUnresponsive.Error(), hints...)
	}
	return nil
}

// answerTimeout is how long ls waits for all supervisors, which it asks in parallel, and
// how long exec waits for the last snapshot.
const answerTimeout = time.Second

// hungInstances returns the instances, by file, whose supervisors do not answer. Their
// snapshots are out of date.
func (a *app) hungInstances(ctx context.Context, instances []state.Snapshot) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	hung := map[string]bool{}
	var mu sync.Mutex // guards hung
	var asked sync.WaitGroup
	for _, s := range instances {
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
			if err != nil && !errors.Is(err, api.ErrNotRunning) && !errors.Is(err, context.Canceled) {
				mu.Lock()
				hung[s.File] = true
				mu.Unlock()
			}
		})
	}
	asked.Wait()
	return hung
}
