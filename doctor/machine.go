package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"

	"silo/orchestrator"
	"silo/proc"
	"silo/state"
)

// record is the last word of an instance, and its directory.
type record struct {
	*state.Snapshot
	dir *state.Dir
}

// instances are the recorded ones, as they were recorded.
func (v *visit) instances() []record {
	found, err := state.Instances(v.Env)
	if err != nil {
		return nil // there is no place to record them: lookAtState says so
	}
	var all []record
	for _, s := range found {
		dir, err := state.For(v.Env, s.File)
		if err != nil {
			continue
		}
		if last, err := dir.Last(); err == nil {
			all = append(all, record{last, dir})
		}
	}
	return all
}

// lookAtLeftovers looks for what supervisors that were killed have left. This
// instance is looked at most closely.
func lookAtLeftovers(_ context.Context, v *visit, c *Check) {
	all := v.instances()
	ran := 0
	for _, last := range all {
		if last.dir.Running() {
			ran++
			continue
		}
		mine := v.Instance != nil && last.dir.Key == v.Instance.Key
		if last.State == state.InstanceStopped && !mine {
			continue // it ended well, and swept for itself
		}
		left := orchestrator.Left(last.dir)
		mend := "silo -f " + last.File + " down clears it away"
		if mine {
			mend = "silo down clears it away; so does the next silo up"
		}
		switch {
		case len(left) > 0:
			c.add(Warn, fmt.Sprintf("%s: its supervisor is gone, and left running: %s", last.File, some(left)), mend)
		case last.State != state.InstanceStopped:
			c.add(Warn, fmt.Sprintf("%s: its supervisor was killed; none of its processes is left", last.File), mend)
		}
	}
	if c.State == "" {
		c.add(OK, fmt.Sprintf("nothing is left; recorded here: %s, running: %d", several(len(all), "instance"), ran))
	}
}

// some names a few processes.
func some(left []proc.Info) string {
	const enough = 5
	var names []string
	for i, p := range left {
		if i == enough {
			return strings.Join(names, ", ") + " and " + itoa(len(left)-i) + " more"
		}
		names = append(names, fmt.Sprintf("%s (pid %d)", p.Name, p.PID))
	}
	return strings.Join(names, ", ")
}

// roomWanted is how much a disk should have free where logs are written.
const roomWanted = 200_000_000

// lookAtState looks at where silo keeps what it knows, and its sockets.
func lookAtState(ctx context.Context, v *visit, c *Check) {
	root, err := state.Root(v.Env)
	if err != nil {
		c.add(Fail, err.Error(), "export SILO_STATE_DIR=…")
		return
	}
	v.lookAtRoot(ctx, root, c)
	v.lookAtSockets(c)
}

func (v *visit) lookAtRoot(ctx context.Context, root string, c *Check) {
	there := root // or the nearest directory above that is there
	for !exists(there) && there != filepath.Dir(there) {
		there = filepath.Dir(there)
	}
	probe, err := os.CreateTemp(there, ".silo-doctor-*")
	if err == nil {
		err = errors.Join(probe.Close(), os.Remove(probe.Name()))
	}
	if err != nil {
		c.add(Fail, fmt.Sprintf("nothing can be written into %s: %v", there, err), "make it writable, or export SILO_STATE_DIR=…")
		return
	}
	usage, err := disk.UsageWithContext(ctx, there)
	switch {
	case err != nil:
		c.add(OK, root+" can be written to")
	case usage.Free < roomWanted:
		c.add(Warn, fmt.Sprintf("%s: only %d MB are free where logs are written", root, usage.Free/1_000_000), "make room, or export SILO_STATE_DIR=… elsewhere")
	default:
		c.add(OK, fmt.Sprintf("%s, %d GB free", root, usage.Free/1_000_000_000))
	}
	if v.Instance == nil {
		return
	}
	if info, err := os.Stat(v.Instance.Path); err == nil && info.Mode().Perm()&0o077 != 0 {
		c.add(Warn, fmt.Sprintf("%s is open to others (mode %04o), and holds secrets", v.Instance.Path, info.Mode().Perm()), "chmod 700 "+v.Instance.Path)
	}
}

// lookAtSockets looks at the place of control sockets.
func (v *visit) lookAtSockets(c *Check) {
	runtime, set := v.Env("XDG_RUNTIME_DIR")
	info, err := os.Stat(runtime)
	switch {
	case !set || runtime == "":
	case !filepath.IsAbs(runtime), errors.Is(err, fs.ErrNotExist):
		c.add(Warn, "XDG_RUNTIME_DIR is "+strconv.Quote(runtime)+", which is no directory: a control socket may have nowhere to be", "unset XDG_RUNTIME_DIR")
	case err != nil:
		c.add(Warn, "XDG_RUNTIME_DIR: "+err.Error(), "unset XDG_RUNTIME_DIR")
	case info.Mode().Perm()&0o077 != 0:
		c.add(Warn, fmt.Sprintf("XDG_RUNTIME_DIR, %s, is open to others (mode %04o)", runtime, info.Mode().Perm()), "chmod 700 "+runtime)
	}
}

// What a silo and its supervisor may have open: devserver's watchers open
// hundreds of files, and macOS allows 256 by default.
const (
	filesOfSilo       = 1024
	filesOfSupervisor = 64
	filesForSilo      = 16 // of the supervisor's
)

// lookAtSystem looks at what the kernel allows.
func lookAtSystem(ctx context.Context, v *visit, c *Check) {
	silos := 1
	if v.Topology != nil {
		silos = len(v.Topology.Silos())
	}
	// Asked of a child, as silos are: a Go program raises its own limit at the start.
	printed, err := v.Run(ctx, []string{"/bin/sh", "-c", "ulimit -Sn; ulimit -Hn"}, "", v.Environ)
	soft, hard, _ := strings.Cut(strings.TrimSpace(string(printed)), "\n")
	needed := filesOfSupervisor + filesForSilo*silos
	switch {
	case err != nil:
		c.add(Warn, "the limit of open files is not known: "+err.Error())
	case less(soft, filesOfSilo):
		c.add(Warn, fmt.Sprintf("a silo may open %s files; devserver with watchers or workers needs about %d", soft, filesOfSilo), fmt.Sprintf("ulimit -n %d, in the shell that runs silo", max(4096, needed)))
	case less(hard, needed):
		c.add(Warn, fmt.Sprintf("silo itself may open %s files; %s need about %d", hard, several(silos, "silo"), needed), fmt.Sprintf("raise the hard limit: ulimit -Hn %d", needed))
	default:
		c.add(OK, fmt.Sprintf("%s open files for each silo", soft))
	}
	if v.System == "linux" {
		lookAtProc(c)
	}
}

func less(limit string, than int) bool {
	n, err := strconv.Atoi(strings.TrimSpace(limit))
	return err == nil && n < than // unlimited is no number
}

// lookAtProc tries what is needed to tell whose port answers and what a crash left.
func lookAtProc(c *Check) {
	for _, file := range []string{"/proc/net/tcp", "/proc/self/environ", "/proc/self/stat"} {
		if _, err := os.ReadFile(file); err != nil {
			c.add(Fail, err.Error(), "mount -t proc proc /proc")
		}
	}
}
