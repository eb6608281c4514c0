package proc

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"
)

// The states of a process that matter here (xnu, bsd/sys/proc.h).
const (
	stopped = 4 // SSTOP
	zombie  = 5 // SZOMB
)

// survey looks at everybody: one call tells all.
func survey(int) table { return everybody() }

func everybody() table {
	look := table{}
	processes, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return look
	}
	for i := range processes {
		info := infoOf(&processes[i])
		look[info.PID] = info
	}
	return look
}

// descend is for where there are lists of children.
func (table) descend([]int) {}

// adopted is nobody: orphans go to launchd.
func (f *family) adopted() ([]int, bool) { return nil, false }

// inspect looks at one process, zombies included.
func inspect(pid int) (Info, error) {
	found, err := unix.SysctlKinfoProcSlice("kern.proc.pid", pid)
	if err != nil {
		return Info{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	if len(found) != 1 || int(found[0].Proc.P_pid) != pid {
		return Info{}, os.ErrProcessDone
	}
	return infoOf(&found[0]), nil
}

// infoOf leaves CPU time and memory to measure: the kernel does not fill them in here.
func infoOf(k *unix.KinfoProc) Info {
	name, _, _ := bytes.Cut(k.Proc.P_comm[:], []byte{0})
	info := Info{
		PID:       int(k.Proc.P_pid),
		PPID:      int(k.Eproc.Ppid),
		PGID:      int(k.Eproc.Pgid),
		StartTime: fmt.Sprintf("%d.%06d", k.Proc.P_starttime.Sec, k.Proc.P_starttime.Usec),
		Name:      string(name),
		State:     "S",
	}
	switch k.Proc.P_stat {
	case stopped:
		info.State = "T"
	case zombie:
		info.State = "Z"
	}
	info.SID, _ = unix.Getsid(info.PID) // 0 where it is gone, which is nobody's session
	return info
}

// measure fills in CPU time and memory, which take a call for each process.
func measure(processes []Info) {
	for i := range processes {
		handle := &process.Process{Pid: int32(processes[i].PID)} //nolint:gosec // G115: a PID is 32 bits
		if times, err := handle.Times(); err == nil {
			processes[i].CPU = time.Duration((times.User + times.System) * float64(time.Second))
		}
		if memory, err := handle.MemoryInfo(); err == nil {
			processes[i].RSS = int64(memory.RSS) //nolint:gosec // G115: far below 2^63
		}
	}
}

// environment is what a process of this user was started with. The kernel shows
// other users' to nobody.
func environment(pid int) []byte {
	found, err := unix.SysctlKinfoProcSlice("kern.proc.pid", pid)
	if err != nil || len(found) != 1 || int(found[0].Eproc.Ucred.Uid) != os.Geteuid() {
		return nil
	}
	raw, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil
	}
	environ, _ := processArguments(raw)
	return environ
}

// nameOf and outputs would need a library call for each descriptor.
func nameOf(*os.File) string { return "" }

func outputs(int) []string { return nil }
