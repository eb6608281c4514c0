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
func (a *app) topologyPath(c *cli.Context) (string, error) {
	file := c.String("file")
	if filepath.IsAbs(file) {
		return notDirectory(filepath.Clean(file))
	}
	dir, err := a.directory(c)
	if err != nil {
		return "", err
	}
	if file != "" {
		return notDirectory(filepath.Join(dir, file))
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "", &usageError{text: "there is no directory " + dir}
	}
	file, err = topology.Find(dir, a.lookup)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, topology.ErrNotFound) {
		named, _ := a.lookup("SILO_FILE")
		return "", &usageError{text: "there is no topology at " + named, hint: "SILO_FILE names it"}
	}
	return file, err
}

// notDirectory refuses a topology that is named by its directory.
func notDirectory(file string) (string, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return "", &usageError{text: "--file names a directory: " + file, hint: "silo -C " + file + " looks for a silo.toml there"}
	}
	return file, nil
}

// called is how silo has to be called so that it is about an instance: by its
// bare name where that finds it.
func (a *app) commandFor(c *cli.Context, dir *state.Dir) string {
	return a.commandForDir(dir, c.Bool("demo"))
}

func (a *app) commandForDir(dir *state.Dir, demo bool) string {
	wd, err := os.Getwd()
	if err != nil {
		return "silo -f " + dir.Topology
	}
	file, err := topology.Find(wd, a.lookup)
	if errors.Is(err, topology.ErrNotFound) && demo {
		return "silo" // where there is no topology the demo is found
	}
	if found, forErr := state.DirFor(a.lookup, file); err != nil || forErr != nil || found.Key != dir.Key {
		return "silo -f " + dir.Topology
	}
	return "silo"
}

// load is the topology that an invocation is about. Its warnings are said.
func (a *app) load(c *cli.Context) (*topology.Topology, error) {
	file, err := a.topologyPath(c)
	if err != nil {
		return nil, err
	}
	t, err := topology.Load(file, a.lookup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exitWith(exitUsage, "there is no topology at "+file, "silo init writes one")
	}
	if err != nil {
		return nil, err
	}
	if !a.quiet && len(t.Warnings) > 0 {
		a.messages.Warnings(t.Warnings)
	}
	return t, nil
}

// instance is the directory of the instance that an invocation is about, also
// where its topology is broken, gone, or the demo's.
func (a *app) instanceDir(c *cli.Context) (*state.Dir, error) {
	file, err := a.topologyPath(c)
	if err == nil {
		return state.DirFor(a.lookup, file)
	}
	if !errors.Is(err, topology.ErrNotFound) {
		return nil, err
	}
	dir, dirErr := a.directory(c)
	if dirErr != nil {
		return nil, dirErr
	}
	for ; ; dir = filepath.Dir(dir) { // a file that is gone may have left an instance
		d, err := state.DirFor(a.lookup, filepath.Join(dir, "silo.toml"))
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
	d, forErr := state.DirFor(a.lookup, demo)
	if forErr != nil {
		return nil, forErr
	}
	if _, statErr := os.Stat(d.Path); statErr != nil {
		return nil, err
	}
	return d, nil
}

// site is where a plan of this topology is carried out.
func (a *app) host(dir *state.Dir) orchestrator.Host {
	return orchestrator.Host{
		Dir: dir, Environ: a.Environ, Env: a.lookup, Version: release(), Guard: guardArgs(dir),
		Root: os.Geteuid() == 0, Warn: func(line string) { a.logLine(levelWarn, line) }, Trace: func(line string) { a.logLine(levelDebug, line) },
	}
}

// silos are the names that follow a verb.
func siloArgs(c *cli.Context) []string { return c.Args().Slice() }

// none refuses names after a verb that takes none.
func noArgs(c *cli.Context) error {
	if c.NArg() > 0 {
		return &usageError{text: c.Command.HelpName + " takes no name, but was given " + c.Args().First()}
	}
	return nil
}
