package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"silo/proc"
	"silo/sentry"
	"silo/topology"
)

// lookAtSentry tells which Sentry the command runs, and whether it can run as silos.
func lookAtSentry(ctx context.Context, v *visit, c *Check) {
	look := v.look(ctx)
	found := v.choice()
	program, there := look.Program()
	switch {
	case found.err != nil && found.Found != "":
		c.add(Fail, found.err.Error(), "silos begin with Sentry 22.10.0")
		return
	case found.err != nil:
		c.add(Fail, found.err.Error(), "sentry.dialect in silo.toml names another")
		return
	case !look.IsSentry():
		c.add(OK, fmt.Sprintf("%s is not Sentry's own command; dialect %s (%s)", words(look.Command), found.Dialect.Name, found.Found))
	case !there:
		c.add(Fail, fmt.Sprintf("no program %s was found in PATH or in %s", look.Command[0], look.Dir), v.activate(look.Dir)...)
		return
	default:
		c.add(OK, found.Found)
		c.add(OK, fmt.Sprintf("dialect %s, run by %s", found.Dialect.Name, program))
	}
	if err := found.Runnable(); err != nil {
		c.add(Fail, err.Error(), "silo up --mode monolith runs it as one devserver", "install another release")
	}
	if found.Warning != "" {
		c.add(Warn, found.Warning, "silo config dialects lists what sentry.dialect may name")
	}
}

// activate are the mends for a Sentry that is not found.
func (v *visit) activate(dir string) []string {
	for _, name := range []string{".venv", "venv"} {
		if program := filepath.Join(dir, name, "bin", "sentry"); exists(program) {
			return []string{"source " + filepath.Join(dir, name, "bin", "activate"), fmt.Sprintf("or sentry.command = [%q, \"devserver\"] in silo.toml", program)}
		}
	}
	return []string{"activate the virtual environment that Sentry is installed in", "or name the program in silo.toml: sentry.command = [\"/path/to/venv/bin/sentry\", \"devserver\"]"}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// lookAtCommand tells whether every silo's command and directory are there.
func lookAtCommand(_ context.Context, v *visit, c *Check) {
	var seen []string
	for _, s := range v.Topology.Silos() {
		argv := sentry.Argv(s)
		key := words(argv) + " in " + s.Dir
		if slices.Contains(seen, key) {
			continue
		}
		seen = append(seen, key)
		env := v.environ(s)
		switch err := proc.Find(argv[0], s.Dir, env); {
		case err == nil:
			c.add(OK, key)
		case !exists(s.Dir):
			c.add(Fail, fmt.Sprintf("%s: %v", s.Name, err), "dir in silo.toml names where devservers are started")
		case sentry.Finder{Command: argv}.IsSentry() && argv[0] == v.Topology.Control.Command[0]:
			c.add(Skip, "there is no "+argv[0]+" to run, as said above")
		case sentry.Finder{Command: argv}.IsSentry():
			c.add(Fail, fmt.Sprintf("%s: %v", s.Name, err), v.activate(s.Dir)...)
		default:
			c.add(Fail, fmt.Sprintf("%s: %v", s.Name, err), "command in silo.toml names the program")
		}
	}
}

// lookAtConfig looks at the file that the region config belongs into.
func lookAtConfig(_ context.Context, v *visit, c *Check) {
	path := v.Topology.Sentry.Config
	file, err := sentry.ReadFile(path)
	switch {
	case errors.Is(err, sentry.ErrMissing):
		c.add(Fail, path+" is not there", "sentry init "+v.initTarget(path), "or name another file in silo.toml: sentry.config")
	case errors.Is(err, sentry.ErrMarkers):
		c.add(Fail, err.Error(), "repair the marker lines in "+path+", or delete silo's block; silo up writes it again")
	case err != nil:
		c.add(Fail, err.Error(), "make the file readable for "+v.user())
	default:
		v.lookAtBlock(file, c)
		v.lookAtFolder(file.Path, c)
	}
}

// initTarget is what `sentry init` is to be given: nothing for its own default.
func (v *visit) initTarget(path string) string {
	if dir := filepath.Dir(path); dir != filepath.Join(v.Home, ".sentry") {
		return dir + " makes one"
	}
	return "makes one"
}

func (v *visit) user() string {
	name, ok := v.Env("USER")
	if !ok || name == "" {
		return "this user"
	}
	return name
}

// lookAtBlock compares what silo has written with what it would write.
func (v *visit) lookAtBlock(file sentry.File, c *Check) {
	path := v.Topology.Sentry.Config
	switch {
	case v.File == "":
		c.add(OK, path+" is there")
		return
	case !file.HasBlock:
		c.add(OK, path+" holds no region config of silo's yet; silo up writes it")
		return
	case file.Block.Instance != v.Topology.Name:
		v.lookAtOther(file, c)
		return
	}
	wanted, err := v.block()
	if err != nil {
		c.add(OK, path+" holds this instance's region config; not compared: "+err.Error())
		return
	}
	switch _, inStep, err := sentry.Diff(path, wanted); {
	case err != nil:
		c.add(Fail, err.Error())
	case inStep:
		c.add(OK, path+" is in step with the topology")
	default:
		c.add(Warn, path+" is out of step with the topology", "silo config write, or the next silo up, mends it; silo config check shows the difference")
	}
}

// lookAtOther speaks of a block that another topology's instance has written.
func (v *visit) lookAtOther(file sentry.File, c *Check) {
	const own = "or give this topology a file of its own: sentry.config in silo.toml"
	holds := fmt.Sprintf("%s holds the region config of another instance, %q", v.Topology.Sentry.Config, file.Block.Instance)
	for _, last := range v.instances() {
		resolved, err := filepath.EvalSymlinks(last.Config.Path)
		if err == nil && resolved == file.Path && last.File != v.Instance.Topology && last.dir.Running() {
			c.add(Fail, holds+", which runs", "silo -f "+last.File+" down ends it", own)
			return
		}
	}
	c.add(Warn, holds+", which does not run", "silo up replaces it", own)
}

// lookAtFolder tells whether the file could be replaced by a rename: whether a
// file can be made beside it.
func (v *visit) lookAtFolder(path string, c *Check) {
	dir := filepath.Dir(path)
	probe, err := os.CreateTemp(dir, ".silo-doctor-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		c.add(Fail, fmt.Sprintf("%s may not write into %s, where the file is replaced whole", v.user(), dir), "chown or chmod "+dir, "or name another file in silo.toml: sentry.config")
	case err != nil:
		c.add(Fail, fmt.Sprintf("nothing can be written into %s: %v", dir, err))
	}
}

// watching tells whether any silo has watchers, or workers, beside its web server.
func watching(t *topology.Topology) (watchers, workers bool) {
	for _, s := range t.Silos() {
		watchers = watchers || s.Watchers
		workers = workers || sentry.Workers(s.Command)
	}
	return watchers, workers
}
