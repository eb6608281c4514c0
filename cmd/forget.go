package cmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/orchestrator"
	"silo/state"
)

func (a *app) forgetCommand() *cli.Command {
	return &cli.Command{
		Name: "forget", ArgsUsage: "[INSTANCE…]", Category: categoryMachine,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all-stopped", Usage: "forget every instance that does not run"},
		},
		Action: a.forget,
	}
}

func (a *app) forget(c *cli.Context) error {
	dirs, err := a.instancesToForget(c)
	if err != nil {
		return err
	}
	for _, dir := range dirs { // all or none
		if err := a.refuseLiving(dir); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		if err := dir.Forget(c.Context); errors.Is(err, state.ErrRunning) {
			return a.runningConflict(dir)
		} else if err != nil {
			return err
		}
		a.note("forgot " + dir.Topology)
	}
	if len(dirs) == 0 {
		a.note("there is nothing to forget")
	}
	return nil
}

// instancesToForget returns the instances that the command line names, or the selected
// one.
func (a *app) instancesToForget(c *cli.Context) ([]*state.Dir, error) {
	all, err := state.Instances(a.lookup)
	if err != nil {
		return nil, err
	}
	var files []string
	switch {
	case c.Bool("all-stopped") && c.NArg() > 0:
		return nil, &usageError{text: "--all-stopped takes no name, but was given " + c.Args().First()}
	case c.Bool("all-stopped"):
		for _, s := range all {
			if s.State == state.InstanceStopped {
				files = append(files, s.File)
			}
		}
	case c.NArg() == 0:
		dir, err := a.instanceDir(c)
		return []*state.Dir{dir}, err
	}
	for _, name := range c.Args().Slice() {
		file, err := a.instanceFile(c, all, name)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	var dirs []*state.Dir
	for _, file := range files {
		dir, err := state.DirFor(a.lookup, file)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

// instanceFile returns the topology file of an instance, by its name or by that file.
func (a *app) instanceFile(c *cli.Context, all []state.Snapshot, name string) (string, error) {
	path := name
	if !filepath.IsAbs(path) {
		dir, err := a.directory(c)
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, name)
	}
	var found, known []string
	for _, s := range all {
		if s.File == filepath.Clean(path) {
			return s.File, nil
		}
		if s.Name == name {
			found = append(found, s.File)
		}
		known = append(known, s.Name)
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", &usageError{text: fmt.Sprintf("unknown instance %q", name), hint: suggest(name, known, "silo ls, which lists the instances")}
	}
	return "", &usageError{text: fmt.Sprintf("%d instances are called %s", len(found), name), hint: "silo forget " + strings.Join(found, ", or silo forget ")}
}

// refuseLiving returns an error if an instance runs, or if a killed supervisor left
// processes, which only its state identifies.
func (a *app) refuseLiving(dir *state.Dir) error {
	if dir.Running() {
		return a.runningConflict(dir)
	}
	if left := orchestrator.FindProcesses(dir); len(left) > 0 {
		return exitWith(exitConflict, fmt.Sprintf("%s left processes: %s (pid %d)", dir.Topology, left[0].Name, left[0].PID), "silo -f "+dir.Topology+" down")
	}
	return nil
}

func (a *app) runningConflict(dir *state.Dir) error {
	return exitWith(exitConflict, "the instance of "+dir.Topology+" is running", "silo -f "+dir.Topology+" down")
}
