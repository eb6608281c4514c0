package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
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
		Usage: "show every silo: state, address, process; exit 0 when all are ready, 3 when not, 4 when nothing runs",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "go on showing what changes"},
		},
		Action: a.status,
	}
}

func (a *app) status(c *cli.Context) error {
	if err := noArgs(c); err != nil {
		return err
	}
	dir, err := a.instanceDir(c)
	if err != nil && !errors.Is(err, topology.ErrNotFound) {
		return err
	}
	if err != nil { // there is no instance to speak of, and that is what is said
		nothing := &state.Snapshot{SchemaVersion: state.SchemaVersion, State: state.InstanceStopped, Silos: []state.Silo{}}
		return a.nothing(c, nothing, "there is no silo.toml here or above", "silo init writes one", "silo up --demo needs none")
	}
	if nowhere(dir) {
		return a.nothing(c, a.never(dir), noTopology(dir), "silo init writes one")
	}
	if c.Bool("watch") {
		return a.watchStatus(c, dir)
	}
	snapshot, err := a.current(c, dir)
	if err != nil {
		return err
	}
	if err := a.unknown(c, dir, snapshot); err != nil {
		return err
	}
	if err := a.showStatus(c, snapshot); err != nil {
		return err
	}
	return exitQuietly(statusCode(snapshot))
}

// unknown tells of an instance that has never run and of whose topology nothing can be
// said. A program gets the object that it expects.
func (a *app) unknown(c *cli.Context, dir *state.Dir, s *state.Snapshot) error {
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

// nothing tells that there is neither an instance nor a topology to make one of.
// A program gets the object that it expects.
func (a *app) nothing(c *cli.Context, object any, text string, hints ...string) error {
	if c.Bool("json") {
		return errors.Join(writeJSON(a.Stdout, object), exitQuietly(exitStopped))
	}
	return exitWith(exitStopped, "nothing is running, and "+text, hints...)
}

func noTopology(dir *state.Dir) string { return "there is no topology at " + dir.Topology }

// nowhere tells whether an instance has no topology and has left nothing that
// could be spoken of in its place.
func nowhere(dir *state.Dir) bool {
	_, err := os.Stat(dir.Topology)
	_, never := dir.Last()
	return errors.Is(err, fs.ErrNotExist) && errors.Is(never, fs.ErrNotExist) && !dir.Running()
}

// statusCode is what `status` exits with.
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

// current is the freshest snapshot there is: the supervisor's after a look at
// every silo, else the last one saved, else what the topology promises.
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
		return a.never(dir), nil
	}
	return last.AsFound(), nil
}

// never is the snapshot of an instance that has not run yet.
func (a *app) never(dir *state.Dir) *state.Snapshot {
	s := &state.Snapshot{
		SchemaVersion: state.SchemaVersion, State: state.InstanceStopped, File: dir.Topology,
		Mode: "silos", Silos: []state.Silo{},
	}
	t, err := topology.Load(dir.Topology, a.lookup)
	if err != nil {
		return s // a broken topology is what `up` speaks of
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
		return writeJSON(a.Stdout, s)
	}
	shown := *s
	outOfStep := s.Config.InStep != nil && !*s.Config.InStep
	var broken *exitStatus
	if outOfStep {
		broken = a.brokenConfig(s.Config.Path)
	}
	if broken != nil {
		shown.Config.InStep = nil // more than that is said of it below
	}
	a.results.Status(shown)
	if s.Found != "" && a.results.Terminal() {
		a.note("dialect " + s.Dialect + ": " + s.Found)
	}
	switch {
	case broken != nil:
		a.messages.Warn(broken.Text, broken.Hints...)
	case outOfStep && !a.results.Terminal():
		a.messages.Warn(s.Config.Path+" is out of step", "silo up writes it again")
	}
	if !a.results.Terminal() { // which has it below the table
		a.sayLeft(s)
	}
	return nil
}

// sayLeft warns of an instance that was not ended by silo.
func (a *app) sayLeft(s *state.Snapshot) {
	if s.Reason != nil {
		a.messages.Warn(*s.Reason, ui.CleanupHint)
	}
}

// writeJSON prints one indented document.
func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// watchStatus shows the table anew after each change, until the user or the
// instance has ended. As JSON it is one snapshot a line.
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
	lines := json.NewEncoder(a.Stdout)
	screen := a.results.Watch()
	ctx, enough := a.results.CancelWhenClosed(c.Context)
	defer enough()
	var lost error
	err = watchWith(ctx, client, func(u api.Update) bool {
		last = u.Snapshot
		if c.Bool("json") {
			lost = lines.Encode(u.Snapshot)
			return lost == nil
		}
		screen.Update(*u.Snapshot)
		return a.results.WriteError() == nil
	}, screen)
	switch {
	case errors.Is(err, context.Canceled), a.results.ReaderClosed():
		return nil // the user has seen enough
	case lost != nil:
		return lost
	}
	if errors.Is(err, api.ErrNotRunning) && last != nil {
		return exitQuietly(exitStopped)
	}
	return err
}

// watchWith is client.Watch, where times that a screen shows run on between two
// changes. It is this side's own clock that moves them: the supervisor sleeps.
func watchWith(ctx context.Context, client *api.Client, see func(api.Update) bool, screen *ui.Watch) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
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
				leave()
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
