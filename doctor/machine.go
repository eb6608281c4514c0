package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"silo/orchestrator"
	"silo/state"
)

// checkLeftovers looks for processes of supervisors that were killed. Other instances
// that stopped normally are skipped: they ended their processes themselves.
func checkLeftovers(_ context.Context, e *examination, c *Check) {
	all, _ := state.Instances(e.Env) // checkState reports a missing state directory
	running := 0
	for _, s := range all {
		if s.State != state.InstanceStopped {
			running++
			continue
		}
		dir, err := state.DirFor(e.Env, s.File)
		if err != nil {
			continue
		}
		current, killed := e.Instance != nil && dir.Key == e.Instance.Key, s.Reason != nil
		if !killed && !current {
			continue
		}
		fix := "silo -f " + s.File + " down"
		if current {
			fix = "silo down, or silo up"
		}
		var left []string
		for _, p := range orchestrator.FindProcesses(dir) {
			left = append(left, fmt.Sprintf("%s (pid %d)", p.Name, p.PID))
		}
		switch {
		case len(left) > 0:
			c.add(Warn, fmt.Sprintf("%s: its supervisor was killed; these processes are left: %s", s.File, join(left, 5)), fix)
		case killed:
			c.add(Warn, s.File+": its supervisor was killed; no processes are left", fix)
		}
	}
	if c.State == "" {
		c.add(OK, fmt.Sprintf("none; %s known, %d running", plural(len(all), "instance"), running))
	}
}

// minFree is the free disk space, in bytes, below which a warning is given.
const minFree = 200_000_000

// checkState checks the state directory and the directory of the sockets.
func checkState(_ context.Context, e *examination, c *Check) {
	root, err := state.Root(e.Env)
	if err != nil {
		c.add(Fail, err.Error(), "export SILO_STATE_DIR=…")
		return
	}
	nearest := root // nearest directory that exists
	for !exists(nearest) && nearest != filepath.Dir(nearest) {
		nearest = filepath.Dir(nearest)
	}
	free, err := freeSpace(nearest)
	switch writeErr := tryWrite(nearest); {
	case writeErr != nil:
		c.add(Fail, fmt.Sprintf("cannot write to %s: %v", nearest, writeErr), "make it writable, or export SILO_STATE_DIR=…")
		return
	case err != nil:
		c.add(OK, root+" is writable")
	case free < minFree:
		c.add(Warn, fmt.Sprintf("%s: only %d MB free for logs", root, free/1_000_000), "free disk space, or export SILO_STATE_DIR=…")
	default:
		c.add(OK, fmt.Sprintf("%s, %d GB free", root, free/1_000_000_000))
	}
	if e.Instance != nil {
		if info, err := os.Stat(e.Instance.Path); err == nil && info.Mode().Perm()&0o077 != 0 {
			c.add(Warn, fmt.Sprintf("%s holds secrets and is accessible to others (mode %04o)", e.Instance.Path, info.Mode().Perm()), "chmod 700 "+e.Instance.Path)
		}
	}
	e.checkSocketDir(c)
}

// tryWrite creates and removes a file in a directory.
func tryWrite(dir string) error {
	probe, err := os.CreateTemp(dir, ".silo-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// checkSocketDir checks the directory of the control sockets.
func (e *examination) checkSocketDir(c *Check) {
	dir, _ := e.Env("XDG_RUNTIME_DIR")
	if dir == "" {
		return
	}
	info, err := os.Stat(dir)
	switch {
	case !filepath.IsAbs(dir), errors.Is(err, fs.ErrNotExist):
		c.add(Warn, "XDG_RUNTIME_DIR is "+strconv.Quote(dir)+", which is not a directory for control sockets", "unset XDG_RUNTIME_DIR")
	case err != nil:
		c.add(Warn, "XDG_RUNTIME_DIR: "+err.Error(), "unset XDG_RUNTIME_DIR")
	case info.Mode().Perm()&0o077 != 0:
		c.add(Warn, fmt.Sprintf("XDG_RUNTIME_DIR, %s, is accessible to others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 "+dir)
	}
}

// siloFiles is how many files a silo may need to open: a devserver's watchers open
// hundreds, and macOS allows 256 by default.
const siloFiles = 1024

// checkSystem checks the limits of the kernel, and /proc.
func checkSystem(ctx context.Context, e *examination, c *Check) {
	silos := 1
	if e.Topology != nil {
		silos = len(e.Topology.Silos())
	}
	// A Go program raises its own soft limit when it starts, but a child gets the original one.
	output, err := e.Exec(ctx, []string{"/bin/sh", "-c", "ulimit -Sn; ulimit -Hn"}, "", e.Environ)
	soft, hard, _ := strings.Cut(strings.TrimSpace(string(output)), "\n")
	needed := 64 + 16*silos // for the supervisor
	switch {
	case err != nil:
		c.add(Warn, "the limit of open files is unknown: "+err.Error())
	case below(soft, siloFiles):
		c.add(Warn, fmt.Sprintf("a silo may open %s files; a devserver with watchers or workers needs about %d", soft, siloFiles), fmt.Sprintf("ulimit -n %d, in the shell that runs silo", max(4096, needed)))
	case below(hard, needed):
		c.add(Warn, fmt.Sprintf("silo itself may open %s files; %s need about %d", hard, plural(silos, "silo"), needed), fmt.Sprintf("ulimit -Hn %d, which raises the hard limit", needed))
	default:
		c.add(OK, fmt.Sprintf("%s open files for each silo", soft))
	}
	if runtime.GOOS != "linux" {
		return
	}
	for _, file := range []string{"/proc/net/tcp", "/proc/self/environ", "/proc/self/stat"} {
		if _, err := os.ReadFile(file); err != nil {
			c.add(Fail, err.Error(), "mount -t proc proc /proc")
		}
	}
}

func below(limit string, n int) bool {
	have, err := strconv.Atoi(strings.TrimSpace(limit))
	return err == nil && have < n // "unlimited" is not a number
}
