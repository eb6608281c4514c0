package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// checkSentry checks which Sentry the command runs, and whether it can run as silos.
func checkSentry(ctx context.Context, e *examination, c *Check) {
	finder := e.finder(ctx)
	choice, err := e.choice()
	program, found := finder.Executable()
	switch {
	case err != nil && choice.Found != "":
		c.add(Fail, err.Error(), "install Sentry 22.10.0 or later")
		return
	case err != nil:
		c.add(Fail, err.Error(), "set sentry.dialect in silo.toml; silo config dialects lists the values")
		return
	case !finder.IsSentry():
		c.add(OK, fmt.Sprintf("%s is not Sentry's own command; dialect %s (%s)", strings.Join(finder.Command, " "), choice.Dialect.Name, choice.Found))
	case !found:
		c.add(Fail, fmt.Sprintf("%s not found in PATH or %s", finder.Command[0], finder.Dir), activate(finder)...)
		return
	default:
		c.add(OK, choice.Found)
		c.add(OK, fmt.Sprintf("dialect %s, run by %s", choice.Dialect.Name, program))
	}
	if err := choice.Runnable(); err != nil {
		c.add(Fail, err.Error(), "silo up --mode monolith, which runs it as one devserver", "install another release")
	}
	if choice.Warning != "" {
		c.add(Warn, choice.Warning, "silo config dialects, which lists the values of sentry.dialect")
	}
}

// activate returns hints for a Sentry that is not in PATH. It may be in a virtual
// environment.
func activate(finder sentry.Finder) []string {
	if found, err := finder.Program(); err == nil {
		bin := filepath.Dir(found.Argv[0])
		return []string{"source " + filepath.Join(bin, "activate"), fmt.Sprintf("or sentry.command = [%q, \"devserver\"] in silo.toml", found.Argv[0])}
	}
	return []string{"activate the virtual environment of Sentry", "or sentry.command = [\"/path/to/venv/bin/sentry\", \"devserver\"] in silo.toml", `or sentry.command = ["silo", "devserver"] in silo.toml, a stand-in for Sentry`}
}

// checkCommand checks that every silo's command and directory exist.
func checkCommand(ctx context.Context, e *examination, c *Check) {
	var seen []string
	for _, s := range e.Topology.Silos() {
		argv := sentry.Argv(s)
		key := strings.Join(argv, " ") + " in " + s.Dir
		if slices.Contains(seen, key) {
			continue
		}
		seen = append(seen, key)
		_, err := proc.Find(argv[0], s.Dir, e.environ(s))
		isSentry := sentry.Finder{Command: argv}.IsSentry()
		switch problem := fmt.Sprintf("%s: %v", s.Name, err); {
		case err == nil:
			c.add(OK, key)
		case !exists(s.Dir):
			c.add(Fail, problem, "set dir in silo.toml to the directory that devservers start in")
		case isSentry && argv[0] == e.Topology.Control.Command[0]:
			c.add(Skip, argv[0]+" not found: see the sentry check")
		case isSentry:
			finder := e.finder(ctx)
			finder.Dir, finder.Command = s.Dir, argv
			c.add(Fail, problem, activate(finder)...)
		default:
			c.add(Fail, problem, "set command in silo.toml to the program")
		}
	}
}

// checkConfig checks the file that holds the region config.
func checkConfig(_ context.Context, e *examination, c *Check) {
	const other = "or set sentry.config in silo.toml to another file"
	path := e.Topology.Sentry.Config
	file, err := sentry.ReadFile(path)
	switch {
	case errors.Is(err, sentry.ErrMissing):
		hint := "sentry init"
		if dir := filepath.Dir(path); !e.isSentryHome(dir) {
			hint += " " + dir
		}
		c.add(Fail, path+" does not exist", hint, other)
		return
	case errors.Is(err, sentry.ErrMarkers):
		c.add(Fail, err.Error(), "repair the marker lines in "+path+", or delete silo's block; silo up writes it again")
		return
	case err != nil:
		c.add(Fail, err.Error(), "chmod u+r "+path)
		return
	}
	e.checkBlock(file, c)
	for _, o := range file.Overrides {
		c.add(Warn, o.Text(path), fmt.Sprintf("delete line %d, or move it above the region config", o.Line))
	}
	// The file is replaced by a rename, which needs a new file next to it.
	dir := filepath.Dir(file.Path)
	switch err := tryWrite(dir); {
	case errors.Is(err, fs.ErrPermission):
		c.add(Fail, "no permission to write to "+dir+", where silo replaces the file with a rename", "chmod u+w "+dir, other)
	case err != nil:
		c.add(Fail, fmt.Sprintf("cannot write to %s: %v", dir, err))
	}
}

// isSentryHome reports whether dir is where Sentry looks for its configuration by default.
func (e *examination) isSentryHome(dir string) bool { return dir == filepath.Join(e.Home, ".sentry") }

// checkBlock compares silo's block in the file with the topology.
func (e *examination) checkBlock(file sentry.File, c *Check) {
	path := e.Topology.Sentry.Config
	switch {
	case e.File == "":
		c.add(OK, path+" exists")
		return
	case !file.HasBlock:
		c.add(OK, path+" has no region config yet; silo up writes it")
		return
	case file.Block.Instance != e.Topology.Name:
		e.addOtherInstance(file, c)
		return
	}
	wanted, err := e.block()
	if err != nil {
		c.add(OK, path+" has the region config of this instance, which was not compared: "+err.Error())
		return
	}
	switch _, inStep, err := sentry.Diff(path, wanted); {
	case err != nil:
		c.add(Fail, err.Error())
	case inStep:
		c.add(OK, path+" is in step with the topology")
	default:
		c.add(Warn, path+" is out of step with the topology", "silo config write; silo config check shows the difference")
	}
}

// addOtherInstance reports that the file has the block of another instance.
func (e *examination) addOtherInstance(file sentry.File, c *Check) {
	const own = "or set sentry.config in silo.toml to a separate file"
	found := fmt.Sprintf("%s has the region config of another instance, %q", e.Topology.Sentry.Config, file.Block.Instance)
	instances, _ := state.Instances(e.Env) // checkState reports a missing state directory
	for _, other := range instances {
		resolved, err := filepath.EvalSymlinks(other.Config.Path)
		if err == nil && resolved == file.Path && other.File != e.Instance.Topology && other.State != state.InstanceStopped {
			c.add(Fail, found+", which runs", "silo -f "+other.File+" down", own)
			return
		}
	}
	c.add(Warn, found+", which does not run", "silo up, which replaces it", own)
}

// watching reports whether any silo has watchers or workers.
func watching(t *topology.Topology) (watchers, workers bool) {
	for _, s := range t.Silos() {
		watchers = watchers || s.Watchers
		workers = workers || sentry.Workers(s.Command)
	}
	return watchers, workers
}
