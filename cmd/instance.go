package cmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/orchestrator"
	"silo/proc"
	"silo/state"
	"silo/topology"
)

// topologyPath returns the absolute path of the topology file that -f, -C, SILO_FILE or
// the working directory select. The file need not exist or be valid.
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
		return "", &usageError{text: "no such directory: " + dir}
	}
	file, err = topology.Find(dir, a.lookup)
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, topology.ErrNotFound) {
		named, _ := a.lookup("SILO_FILE")
		return "", &usageError{text: "no topology at " + named + ", which SILO_FILE names", hint: "unset SILO_FILE"}
	}
	return file, err
}

// notDirectory returns an error if the topology file is a directory.
func notDirectory(file string) (string, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		return "", &usageError{text: "--file names a directory: " + file, hint: "silo -C " + file + ", to look for silo.toml there"}
	}
	return file, nil
}

// directory returns the directory of -C, or the working directory.
func (a *app) directory(c *cli.Context) (string, error) {
	given := c.String("directory")
	if filepath.IsAbs(given) {
		return given, nil
	}
	dir, err := workingDirectory()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, given), nil
}

func workingDirectory() (string, error) {
	dir, err := os.Getwd()
	if errors.Is(err, fs.ErrNotExist) {
		return "", exitWith(exitFailed, "the working directory no longer exists", "cd to another one, or use silo -C DIR")
	}
	return dir, err
}

// programName returns the word that calls this program: silo if PATH has it, else the
// way it was started.
func (a *app) programName() string {
	dir, err := os.Getwd()
	if err == nil {
		_, err = proc.Find("silo", dir, a.Environ)
	}
	switch {
	case a.Program == "", err == nil:
		return "silo"
	case strings.Contains(a.Program, "/go-build"): // a temporary file of go run
		return "go run ."
	}
	return a.Program
}

// commandFor returns the start of a command line that selects an instance: with -f if
// the working directory does not select it. If there is no topology, silo selects the demo.
func (a *app) commandFor(dir *state.Dir, demo bool) string {
	name := a.programName()
	explicit := name + " -f " + dir.Topology
	wd, err := os.Getwd()
	if err != nil {
		return explicit
	}
	file, err := topology.Find(wd, a.lookup)
	if errors.Is(err, topology.ErrNotFound) && demo {
		return name
	}
	if found, forErr := state.DirFor(a.lookup, file); err != nil || forErr != nil || found.Key != dir.Key {
		return explicit
	}
	return name
}

// load reads and validates the topology, and prints its warnings.
func (a *app) load(c *cli.Context) (*topology.Topology, error) {
	file, err := a.topologyPath(c)
	if err != nil {
		return nil, err
	}
	t, err := topology.Load(file, a.lookup)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exitWith(exitUsage, "no topology at "+file, "silo init")
	}
	if err != nil {
		return nil, err
	}
	if !a.quiet && len(t.Warnings) > 0 {
		a.messages.Warnings(t.Warnings)
	}
	return t, nil
}

// topologyOf reads the topology of an instance.
func (a *app) topologyOf(dir *state.Dir) (*topology.Topology, error) {
	return topology.Load(dir.Topology, a.lookup)
}

// instanceDir returns the state directory of the selected instance. Its topology may be
// broken or missing. If no topology is found, that is the demo, if it has ever run.
func (a *app) instanceDir(c *cli.Context) (*state.Dir, error) {
	demo, err := a.demoFile()
	if err != nil {
		return nil, err
	}
	if c.Bool("demo") {
		return state.DirFor(a.lookup, demo)
	}
	file, notFound := a.topologyPath(c)
	if notFound == nil {
		return state.DirFor(a.lookup, file)
	}
	if !errors.Is(notFound, topology.ErrNotFound) {
		return nil, notFound
	}
	dir, err := a.directory(c)
	if err != nil {
		return nil, err
	}
	var files []string // topologies in this directory and above, which may have been deleted
	for {
		files = append(files, filepath.Join(dir, "silo.toml"))
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	for _, file := range append(files, demo) {
		found, err := state.DirFor(a.lookup, file)
		if err != nil {
			return nil, err
		}
		if _, err := os.Stat(found.Path); err != nil {
			continue
		}
		if file == demo && !a.demoNoted {
			a.demoNoted = true
			a.note("using the demo, because there is no silo.toml in this directory or above")
		}
		return found, nil
	}
	return nil, notFound
}

// host returns the environment and the rights that an instance runs with.
func (a *app) host(dir *state.Dir) orchestrator.Host {
	return orchestrator.Host{
		Dir: dir, Environ: a.Environ, Env: a.lookup, Version: release(), Guard: guardArgs(dir),
		Root: os.Geteuid() == 0, Warn: func(line string) { a.logLine(levelWarn, line) }, Trace: func(line string) { a.logLine(levelDebug, line) },
	}
}

// noArgs returns an error if names follow a verb that takes none.
func noArgs(c *cli.Context) error {
	if c.NArg() > 0 {
		return &usageError{text: c.Command.HelpName + " takes no name, but was given " + c.Args().First()}
	}
	return nil
}
