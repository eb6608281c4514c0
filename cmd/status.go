package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/state"
	"silo/topology"
	"silo/ui"
	"silo/wait"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Aliases: []string{"ps"}, ArgsUsage: "[SILO…]", Category: categoryLook,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "keep the table up to date until Ctrl-C"},
		},
		Action: a.status,
	}
}

func (a *app) status(c *cli.Context) error {
	dir, err := a.instanceDir(c)
	if err != nil && !errors.Is(err, topology.ErrNotFound) {
		return err
	}
	if err != nil { // neither an instance nor a topology
		nothing := &state.Snapshot{SchemaVersion: state.SchemaVersion, State: state.InstanceStopped, Silos: []state.Silo{}}
		return a.nothingRuns(c, nothing, "there is no silo.toml in this directory or above", "silo init", "silo up --demo, which needs no topology")
	}
	if isMissing(dir) {
		planned, _ := a.plannedSnapshot(dir)
		return a.nothingRuns(c, planned, noTopology(dir), "silo init")
	}
	if c.Bool("watch") {
		return a.watchStatus(c, dir)
	}
	snapshot, err := a.current(c, dir)
	if err != nil {
		return err
	}
	if snapshot.Silos, err = selectSilos(snapshot.Silos, c.Args().Slice()); err != nil {
		return err
	}
	if err := a.showStatus(c, snapshot); err != nil {
		return err
	}
	return exitQuietly(statusCode(snapshot, c.NArg() > 0))
}

// nothingRuns reports that there is neither an instance nor a topology. With --json it
// prints object.
func (a *app) nothingRuns(c *cli.Context, object any, text string, hints ...string) error {
	if c.Bool("json") {
		return errors.Join(a.printJSON(object), exitQuietly(exitStopped))
	}
	return exitWith(exitStopped, "nothing is running, and "+text, hints...)
}

func noTopology(dir *state.Dir) string { return "there is no topology at " + dir.Topology }

// isMissing reports whether an instance has neither a topology nor a recorded run.
func isMissing(dir *state.Dir) bool {
	_, err := os.Stat(dir.Topology)
	_, never := dir.Last()
	return errors.Is(err, fs.ErrNotExist) && errors.Is(never, fs.ErrNotExist) && !dir.Running()
}

// statusCode returns the exit code of `status`. If named is set, the snapshot contains only the
// named silos, and only they count.
func statusCode(s *state.Snapshot, named bool) int {
	switch {
	case s.State == state.InstanceStopped:
		return exitStopped
	case s.State != state.InstanceReady && !named, s.Config.InStep != nil && !*s.Config.InStep,
		slices.ContainsFunc(s.Silos, func(silo state.Silo) bool { return silo.State != state.Ready }):
		return exitNotReady
	}
	return exitDone
}

// current returns the snapshot of the supervisor, which probes every silo. If nothing
// runs, it returns the last saved one, or one made from the topology, which must load.
func (a *app) current(c *cli.Context, dir *state.Dir) (*state.Snapshot, error) {
	client, err := api.Dial(c.Context, dir)
	if err == nil {
		defer client.Close()
		var snapshot *state.Snapshot
		if snapshot, err = client.Snapshot(c.Context, true); err == nil {
			return snapshot, nil
		}
	}
	if !errors.Is(err, api.ErrNotRunning) {
		return nil, err
	}
	if last, err := dir.Last(); err == nil {
		return last.AsFound(), nil
	}
	planned, err := a.plannedSnapshot(dir)
	if err == nil || c.Bool("json") { // programs always get an object
		return planned, nil
	}
	v := a.classify(err)
	text := "nothing is running, and silo up would refuse " + dir.Topology
	if v.Text != "" {
		text += ": " + v.Text
	}
	v.Code, v.Text, v.Hints = exitStopped, text, nil
	return nil, v
}

// plannedSnapshot returns a snapshot of an instance that has never run. It has no silos if
// the topology cannot be loaded.
func (a *app) plannedSnapshot(dir *state.Dir) (*state.Snapshot, error) {
	s := &state.Snapshot{
		SchemaVersion: state.SchemaVersion, State: state.InstanceStopped, File: dir.Topology,
		Mode: "silos", Silos: []state.Silo{},
	}
	t, err := topology.Load(dir.Topology, a.lookup)
	if err != nil {
		return s, err
	}
	s.Name, s.Provider, s.Dialect = t.Name, t.Tunnels.Provider, t.Sentry.Dialect
	s.Config.Path = t.Sentry.Config
	for _, silo := range t.Silos() {
		v := state.Silo{Name: silo.Name, Mode: state.Control, State: state.Stopped, Port: silo.Port, Managed: &silo.Managed, Tunnel: state.Tunnel{State: state.TunnelNone}}
		if !silo.IsControl() {
			v.Mode, v.RegionID, v.Category = state.Region, &silo.ID, &silo.Category
		}
		s.Silos = append(s.Silos, v)
		s.Managed = new(silo.Managed || s.Managed != nil && *s.Managed)
	}
	return s, nil
}

func (a *app) showStatus(c *cli.Context, s *state.Snapshot) error {
	if c.Bool("json") {
		return a.printJSON(s)
	}
	shown := *s
	outOfStep := s.Config.InStep != nil && !*s.Config.InStep
	var broken *exitStatus
	if outOfStep {
		broken = a.brokenConfig(s.Config.Path)
	}
	if broken != nil {
		shown.Config.InStep = nil // the warning below has more details
	}
	if !a.results.Terminal() { // there, the headline names the instance
		a.note(strings.TrimPrefix(s.Name+", ", ", ") + string(s.State) + ": " + s.File)
	}
	a.results.Status(shown)
	if s.Found != "" && a.results.Terminal() {
		a.note("dialect " + s.Dialect + ": " + s.Found)
	}
	switch {
	case broken != nil:
		a.warn(broken.Text, broken.Hints...)
	case outOfStep && !a.results.Terminal():
		a.warn(s.Config.Path+" is out of step", "silo up")
	}
	if !a.results.Terminal() { // on a terminal, the table includes it
		a.warnKilled(s)
	}
	return nil
}

// warnKilled warns if the supervisor of the last run was killed.
func (a *app) warnKilled(s *state.Snapshot) {
	if s.Reason != nil {
		a.warn(*s.Reason, ui.CleanupHint)
	}
}

// watchStatus updates the table after each change until the user interrupts or the
// instance ends. With --json it prints one snapshot per line.
func (a *app) watchStatus(c *cli.Context, dir *state.Dir) error {
	client, err := api.Dial(c.Context, dir)
	if errors.Is(err, api.ErrNotRunning) {
		snapshot, err := a.current(c, dir)
		if err == nil {
			snapshot.Silos, err = selectSilos(snapshot.Silos, c.Args().Slice())
		}
		if err != nil {
			return err
		}
		return errors.Join(a.showStatus(c, snapshot), exitQuietly(exitStopped))
	}
	if err != nil {
		return err
	}
	defer client.Close()
	seen := false
	lines := a.jsonLines()
	screen := a.results.Watch()
	ctx, cancel := a.results.CancelWhenClosed(c.Context)
	var mu sync.Mutex // guards screen
	var redrawing sync.WaitGroup
	redrawing.Go(func() { // updates elapsed times: the supervisor sends only changes
		for wait.Sleep(ctx, time.Second) {
			mu.Lock()
			screen.Redraw()
			mu.Unlock()
		}
	})
	var writeErr error
	err = client.Watch(ctx, func(u api.Update) bool {
		seen = true
		shown := *u.Snapshot
		if shown.Silos, writeErr = selectSilos(shown.Silos, c.Args().Slice()); writeErr != nil {
			return false
		}
		if c.Bool("json") {
			writeErr = lines.Encode(shown)
			return writeErr == nil
		}
		mu.Lock()
		defer mu.Unlock()
		screen.Update(shown)
		return a.results.WriteError() == nil
	})
	cancel()
	redrawing.Wait()
	switch {
	case errors.Is(err, context.Canceled), a.results.ReaderClosed():
		return nil
	case writeErr != nil:
		return writeErr
	}
	if errors.Is(err, api.ErrNotRunning) && seen {
		return exitQuietly(exitStopped)
	}
	return err
}
