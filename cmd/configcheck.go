package cmd

import (
	"errors"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/plan"
	"silo/sentry"
	"silo/state"
)

func (a *app) configCheck(c *cli.Context) error {
	edited, err := a.edited(c)
	if err != nil {
		return err
	}
	if edited != nil && edited.whole != nil {
		return a.checkWhole(c, edited)
	}
	path, block, err := a.editedBlock(c, edited)
	if err != nil {
		return err
	}
	diff, inStep, err := sentry.Diff(path, block)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return a.checkedJSON(path, diff, inStep, edited != nil)
	}
	switch {
	case inStep && edited != nil:
		a.note(path + " is in step, also with the changed topology")
		a.note(edited.says() + "; silo up applies it")
		return nil
	case inStep:
		a.note(path + " is in step")
		return nil
	}
	a.results.Diff(diff)
	if edited != nil {
		return exitWith(exitNotReady, edited.says()+", and its region config with it", "silo up applies it")
	}
	return a.outOfStep(c, path)
}

// editedBlock is the region config that the file is to hold: of an edited topology
// what `up` would write, else that of what runs.
func (a *app) editedBlock(c *cli.Context, edited *edit) (path string, block sentry.Block, err error) {
	if edited == nil {
		return a.block(c)
	}
	if edited.unknown != nil {
		return "", block, exitWith(exitNotReady, edited.says()+"; its region config is not known yet: "+edited.unknown.Error(), "silo up applies it")
	}
	r, err := regionOf(edited.place)
	return r.path, r.Block, err
}

// checkWhole is the check where the edit cannot be applied to what runs: what the
// file has to hold until then is the region config of that.
func (a *app) checkWhole(c *cli.Context, edited *edit) error {
	path, block, err := a.block(c)
	if err != nil {
		return err
	}
	diff, inStep, err := sentry.Diff(path, block)
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return a.checkedJSON(path, diff, false, true)
	case !inStep:
		a.results.Diff(diff)
	}
	return exitWith(exitNotReady, edited.says()+": "+edited.whole.Error(), "silo down, then silo up, applies it")
}

// outOfStep tells of a file that differs, and what mends it: nothing here does where
// it is another running instance's.
func (a *app) outOfStep(c *cli.Context, path string) error {
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	file, err := sentry.ReadFile(path)
	if err != nil {
		return err
	}
	err = dir.CheckClaim(file.Path)
	if taken, ok := errors.AsType[*state.ClaimedError](err); ok && taken.Holder != dir.Topology {
		return exitWith(exitNotReady, path+" is out of step with the topology: "+taken.Error(), a.classify(err).Hints...)
	}
	return exitWith(exitNotReady, path+" is out of step with the topology", "silo config write mends it")
}

func (a *app) checkedJSON(path, diff string, inStep, edited bool) error {
	err := writeJSON(a.Stdout, map[string]any{"path": path, "in_step": inStep, "diff": diff, "topology_changed": edited})
	if err == nil && !inStep {
		err = exitQuietly(exitNotReady)
	}
	return err
}

// edit is a topology that has changed since what runs was started.
type edit struct {
	file    string
	place   *plan.Layout         // as `up` would have it; nil where one of these is not:
	whole   *plan.ImmutableError // it cannot be applied while the instance runs
	unknown error                // an address that only a tunnel can tell
}

func (e *edit) says() string { return e.file + " has changed since what runs was started" }

// edited is the topology as it was edited beside the running instance; nil where it
// was not, or nothing runs. A broken one is an error.
func (a *app) edited(c *cli.Context) (*edit, error) {
	dir, err := a.instanceDir(c)
	if err != nil {
		return nil, err
	}
	client, err := api.Dial(c.Context, dir)
	if errors.Is(err, api.ErrNotRunning) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer client.Close()
	snapshot, err := client.Snapshot(c.Context, false)
	if err != nil || snapshot.Mode == "monolith" { // which has no region config to speak of
		return nil, err
	}
	t, err := a.topologyOf(dir)
	if err != nil {
		return nil, err
	}
	p, err := a.plan(c.Context, t, false, nil)
	if err != nil || p.Fingerprint() == snapshot.Topology {
		return nil, err
	}
	e := &edit{file: dir.Topology}
	e.place, _, err = a.previewRunning(c.Context, client, &upRequest{plan: p, dir: dir})
	if whole, ok := errors.AsType[*plan.ImmutableError](err); ok {
		e.whole = whole
		return e, nil
	}
	if errors.Is(err, plan.ErrUnknownAddress) {
		e.unknown = err
		return e, nil
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}
