package cmd

import (
	"errors"
	"strconv"

	"github.com/urfave/cli/v2"

	"silo/plan"
	"silo/sentry"
	"silo/state"
)

func (a *app) configCheck(c *cli.Context) error {
	edited, err := a.edited(c)
	if err != nil {
		return err
	}
	var r regionConfig
	switch {
	case edited == nil || edited.needsDown():
		r, err = a.regionConfig(c, "") // of the running instance
	case edited.err != nil:
		return exitWith(exitNotReady, edited.changed()+"; its region config is not known yet: "+edited.err.Error(), edited.apply())
	default:
		r, err = renderRegionConfig(edited.layout)
	}
	if err != nil {
		return err
	}
	diff, inStep, err := sentry.Diff(r.path, r.Block)
	if err != nil {
		return err
	}
	a.warnOverrides(r.path)
	if c.Bool("json") {
		inStep = inStep && !edited.needsDown()
		err := a.printJSON(map[string]any{"path": r.path, "in_step": inStep, "diff": diff, "topology_changed": edited != nil})
		if err == nil && !inStep {
			err = exitQuietly(exitNotReady)
		}
		return err
	}
	if !inStep {
		a.results.Diff(diff)
	}
	switch {
	case edited.needsDown():
		return exitWith(exitNotReady, edited.changed()+": "+edited.err.Error(), edited.apply())
	case inStep && edited != nil:
		a.note(r.path + " is in step with the changed topology too")
		a.note(edited.changed() + "; apply it with: " + edited.apply())
	case inStep:
		a.note(r.path + " is in step")
	case edited != nil:
		return exitWith(exitNotReady, edited.changed()+", and with it the region config", edited.apply())
	default:
		return a.outOfStep(c, r.path)
	}
	return nil
}

// warnOverrides warns about assignments in a file that override its region config.
func (a *app) warnOverrides(path string) {
	file, err := sentry.ReadFile(path)
	if err != nil {
		return // the caller reports it
	}
	for _, o := range file.Overrides {
		a.warn(o.Text(path), "delete line "+strconv.Itoa(o.Line)+", or move it above the region config")
	}
}

// outOfStep returns the error for a file that differs from the topology. `config write`
// does not help if the file belongs to another running instance.
func (a *app) outOfStep(c *cli.Context, path string) error {
	text, hints := path+" is out of step with the topology", []string{"silo config write"}
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
		text, hints = text+": "+taken.Error(), a.classify(err).Hints
	}
	return exitWith(exitNotReady, text, hints...)
}

// edit is a topology that has changed since the running instance was started.
type edit struct {
	file   string
	layout *plan.Layout // as `up` would make it; valid if err is nil
	err    error        // a *plan.ImmutableError or plan.ErrUnknownAddress
}

func (e *edit) changed() string { return e.file + " has changed since the instance was started" }

// needsDown reports whether the change cannot be applied while the instance runs.
func (e *edit) needsDown() bool {
	return e != nil && errors.As(e.err, new(*plan.ImmutableError))
}

// apply returns the command that applies the change.
func (e *edit) apply() string {
	if e.needsDown() {
		return "silo down && silo up"
	}
	return "silo up"
}

// edited returns the change in the running instance's topology, or nil if it has not
// changed or nothing is running. A broken topology is an error.
func (a *app) edited(c *cli.Context) (*edit, error) {
	dir, client, snapshot, err := a.running(c)
	if err != nil || client == nil {
		return nil, err
	}
	defer client.Close()
	if snapshot.Mode == "monolith" { // without a region config
		return nil, nil
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
	e.layout, _, e.err = a.previewRunning(c.Context, client, &upRequest{plan: p, dir: dir}, false)
	if e.err != nil && !e.needsDown() && !errors.Is(e.err, plan.ErrUnknownAddress) {
		return nil, e.err
	}
	return e, nil
}
