package cmd

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/state"
	"silo/topology"
	"silo/ui"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name: "status", Category: categoryLook,
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
		return a.nothingRuns(c, a.plannedSnapshot(dir), noTopology(dir), "silo init")
	}
	if c.Bool("watch") {
		return a.watchStatus(c, dir)
	}
	snapshot, err := a.current(c, dir)
	if err != nil {
		return err
	}
	if err := a.checkKnown(c, dir, snapshot); err != nil {
		return err
	}
	if err := a.showStatus(c, snapshot); err != nil {
		return err
	}
	return exitQuietly(statusCode(snapshot))
}

// checkKnown fails if the instance has never run and its topology cannot be loaded. With
// --json it never fails, so that programs get an object.
func (a *app) checkKnown(c *cli.Context, dir *state.Dir, s *state.Snapshot) error {
	if c.Bool("json") || len(s.Silos) > 0 || s.State != state.InstanceStopped {
		return nil
	}
	_, err := a.topologyOf(dir)
	if err == nil {
		return nil
	}
	v := a.classify(err)
	text := "nothing is running, and silo up would refuse " + dir.Topology
	if v.Text != "" {
		text += ": " + v.Text
	}
	v.Code, v.Text, v.Hints = exitStopped, text, nil
	return v
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

// statusCode returns the exit code of `status`.
func statusCode(s *state.Snapshot) int {
	switch {
	case s.State == state.InstanceStopped:
		return exitStopped
	case s.State != state.InstanceReady, s.Config.InStep != nil && !*s.Config.InStep,
		slices.ContainsFunc(s.Silos, func(silo state.Silo) bool { return silo.State != state.Ready }):
		return exitNotReady
	}
	return exitDone
}

// current returns the snapshot of the supervisor, which probes every silo. If nothing
// runs, it returns the last saved one, or one made from the topology.
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
	last, err := dir.Last()
	if err != nil {
		return a.plannedSnapshot(dir), nil
	}
	return last.AsFound(), nil
}

// plannedSnapshot returns a snapshot of an instance that has never run.
func (a *app) plannedSnapshot(dir *state.Dir) *state.Snapshot {
	s := &state.Snapshot{
		SchemaVersion: state.SchemaVersion, State: state.InstanceStopped, File: dir.Topology,
		Mode: "silos", Silos: []state.Silo{},
	}
	t, err := topology.Load(dir.Topology, a.lookup)
	if err != nil {
		return s // `up` reports a broken topology
	}
	s.Name, s.Provider, s.Dialect = t.Name, t.Tunnels.Provider, t.Sentry.Dialect
	s.Config.Path, s.Managed = t.Sentry.Config, &t.Sentry.Managed
	for _, silo := range t.Silos() {
		v := state.Silo{Name: silo.Name, Mode: state.Control, State: state.Stopped, Port: silo.Port, Tunnel: state.Tunnel{State: state.TunnelNone}}
		if !silo.IsControl() {
			v.Mode, v.RegionID, v.Category = state.Region, &silo.ID, &silo.Category
		}
		s.Silos = append(s.Silos, v)
	}
	return s
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
	a.results.Status(shown)
	if s.Found != "" && a.results.Terminal() {
		a.note("dialect " + s.Dialect + ": " + s.Found)
	}
	switch {
	case broken != nil:
		a.messages.Warn(broken.Text, broken.Hints...)
	case outOfStep && !a.results.Terminal():
		a.messages.Warn(s.Config.Path+" is out of step", "silo up")
	}
	if !a.results.Terminal() { // there, the table includes it
		a.warnKilled(s)
	}
	return nil
}

// warnKilled warns if the supervisor of the last run was killed.
func (a *app) warnKilled(s *state.Snapshot) {
	if s.Reason != nil {
		a.messages.Warn(*s.Reason, ui.CleanupHint)
	}
}

// watchStatus updates the table after each change until the user interrupts or the
// instance ends. With --json it prints one snapshot per line.
func (a *app) watchStatus(c *cli.Context, dir *state.Dir) error {
	client, err := api.Dial(c.Context, dir)
	if errors.Is(err, api.ErrNotRunning) {
		snapshot, err := a.current(c, dir)
		if err != nil {
			return err
		}
		return errors.Join(a.showStatus(c, snapshot), exitQuietly(exitStopped))
	}
	if err != nil {
		return err
	}
	defer client.Close()
	var last *state.Snapshot
	lines := a.jsonLines()
	screen := a.results.Watch()
	ctx, cancel := a.results.CancelWhenClosed(c.Context)
	defer cancel()
	var writeErr error
	err = watchWith(ctx, client, func(u api.Update) bool {
		last = u.Snapshot
		if c.Bool("json") {
			writeErr = lines.Encode(u.Snapshot)
			return writeErr == nil
		}
		screen.Update(*u.Snapshot)
		return a.results.WriteError() == nil
	}, screen)
	switch {
	case errors.Is(err, context.Canceled), a.results.ReaderClosed():
		return nil
	case writeErr != nil:
		return writeErr
	}
	if errors.Is(err, api.ErrNotRunning) && last != nil {
		return exitQuietly(exitStopped)
	}
	return err
}

// watchWith is client.Watch that also redraws the screen every second while it shows
// elapsed times: the supervisor sends only changes.
func watchWith(ctx context.Context, client *api.Client, see func(api.Update) bool, screen *ui.Watch) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates, ended := make(chan api.Update), make(chan struct{})
	var end error
	go func() {
		defer close(ended)
		end = client.Watch(ctx, func(u api.Update) bool {
			select {
			case updates <- u:
				return true
			case <-ctx.Done():
				return false
			}
		})
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		moves := tick.C
		if !screen.NeedsRedraw() {
			moves = nil
		}
		select {
		case u := <-updates:
			if !see(u) {
				cancel()
				<-ended
				return nil
			}
		case <-moves:
			screen.Redraw()
		case <-ended:
			return end
		}
	}
}
