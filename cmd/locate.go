package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"silo/orchestrator"
	"silo/state"
	"silo/topology"
)

// find is the absolute path of the topology file that an invocation is about;
// the file need not be there, or right.
func (a *app) find(c *cli.Context) (string, error) {
	dir, err := a.directory(c)
	if err != nil {
		return "", err
	}
	if file := c.String("file"); file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		return filepath.Clean(file), nil
	}
	return topology.Find(dir, a.lookup)
}

// load is the topology that an invocation is about. Its warnings are said.
func (a *app) load(c *cli.Context) (*topology.Topology, error) {
	file, err := a.find(c)
	if err != nil {
		return nil, err
	}
	t, err := topology.Load(file, a.lookup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hinted(exitUsage, "there is no topology at "+file, "silo init writes one")
	}
	if err != nil {
		return nil, err
	}
	if !a.quiet && len(t.Warnings) > 0 {
		a.talk.Warnings(t.Warnings)
	}
	return t, nil
}

// instance is the directory of the instance that an invocation is about, also
// where its topology is broken, gone, or the demo's.
func (a *app) instance(c *cli.Context) (*state.Dir, error) {
	file, err := a.find(c)
	if err == nil {
		return state.For(a.lookup, file)
	}
	if !errors.Is(err, topology.ErrNotFound) {
		return nil, err
	}
	dir, dirErr := a.directory(c)
	if dirErr != nil {
		return nil, dirErr
	}
	for ; ; dir = filepath.Dir(dir) { // a file that is gone may have left an instance
		d, err := state.For(a.lookup, filepath.Join(dir, "silo.toml"))
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(d.Path); err == nil {
			return d, nil
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	demo, demoErr := a.demoFile()
	if demoErr != nil {
		return nil, demoErr
	}
	if d, err := state.For(a.lookup, demo); err == nil && d.Running() {
		return d, nil
	}
	return nil, err
}

// site is where a plan of this topology is carried out.
func (a *app) site(dir *state.Dir) orchestrator.Site {
	return orchestrator.Site{
		Dir: dir, Environ: a.Environ, Env: a.lookup, Version: release(),
		Root: os.Geteuid() == 0, Warn: func(line string) { a.say(levelWarn, line) }, Trace: func(line string) { a.say(levelDebug, line) },
	}
}

// silos are the names that follow a verb.
func silos(c *cli.Context) []string { return c.Args().Slice() }

// none refuses names after a verb that takes none.
func none(c *cli.Context) error {
	if c.NArg() > 0 {
		return &usageError{text: "silo " + c.Command.FullName() + " takes no name, but was given " + c.Args().First()}
	}
	return nil
}
