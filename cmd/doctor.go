package cmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"silo/doctor"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/ui"
)

// doctorReport is the output of `doctor --json`.
type doctorReport struct {
	SchemaVersion int            `json:"schema_version"`
	OK            bool           `json:"ok"` // no check failed
	File          *string        `json:"file"`
	Checks        []doctor.Check `json:"checks"`
}

func (a *app) doctor(c *cli.Context) error {
	target, err := a.doctorTarget(c)
	if err != nil {
		return err
	}
	names := 0
	for _, name := range doctor.Names() {
		names = max(names, len(name))
	}
	var shown []ui.DoctorCheck
	failed := false
	all := doctor.Run(c.Context, target, func(check doctor.Check) {
		if c.Err() != nil {
			return // the result of an interrupted check is meaningless
		}
		failed = failed || check.State == doctor.Fail
		shown = append(shown, ui.DoctorCheck{Name: check.Name, State: string(check.State), Found: check.Found, Hints: check.Hints})
		if !c.Bool("json") {
			a.results.DoctorCheck(shown[len(shown)-1], names)
		}
	})
	if c.Err() != nil {
		return c.Err()
	}
	if c.Bool("json") {
		found := doctorReport{SchemaVersion: state.SchemaVersion, OK: !failed, Checks: all}
		if target.File != "" {
			found.File = &target.File
		}
		if err := a.printJSON(found); err != nil {
			return err
		}
	} else {
		a.results.DoctorSummary(shown)
	}
	if failed {
		return exitQuietly(exitFailed)
	}
	return nil
}

// doctorTarget returns what the doctor checks. A missing or broken topology is a failed
// check, not an error.
func (a *app) doctorTarget(c *cli.Context) (doctor.Target, error) {
	p := doctor.Target{Environ: a.Environ, Env: a.lookup, Exec: proc.Output, Block: a.wantedBlock(c)}
	p.Home, _ = a.lookup("HOME")
	file, err := a.topologyPath(c)
	switch {
	case errors.Is(err, topology.ErrNotFound):
		return a.defaultTarget(c, p)
	case err != nil:
		return p, err
	}
	p.File = file
	if p.Instance, err = state.DirFor(a.lookup, file); err != nil {
		return p, err
	}
	p.Topology, p.TopologyErr = topology.Load(file, a.lookup)
	if errors.Is(p.TopologyErr, fs.ErrNotExist) {
		p.TopologyErr = fmt.Errorf("there is no topology at %s: %w", file, fs.ErrNotExist)
	}
	return p, nil
}

// defaults is a topology with only the required keys.
const defaults = "version = 1\n[region.us]\nid = 1\n"

// defaultTarget adds a topology with the default values.
func (a *app) defaultTarget(c *cli.Context, p doctor.Target) (doctor.Target, error) {
	dir, err := a.directory(c)
	if err != nil {
		return p, err
	}
	p.Topology, p.TopologyErr = topology.Parse(filepath.Join(dir, topology.FileName), []byte(defaults), nil, a.lookup)
	return p, nil
}

// wantedBlock returns a function that renders the region config as `config check` does,
// without messages and without remembering ports.
func (a *app) wantedBlock(c *cli.Context) func(context.Context) (sentry.Block, error) {
	quiet := *a
	quiet.quiet, quiet.readOnly = true, true
	return func(context.Context) (sentry.Block, error) {
		r, err := quiet.regionConfig(c, "")
		return r.Block, err
	}
}
