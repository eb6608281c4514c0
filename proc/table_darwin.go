package proc

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/shirou/gopsutil/v4/process"
	"golang.org/x/sys/unix"
)

// Process states (xnu, bsd/sys/proc.h).
const (
	stopped = 4 // SSTOP
	zombie  = 5 // SZOMB
)

// readTree reads all processes with one call.
func readTree(int) table { return readAll(1) }

// readOrphans returns nothing: orphans go to launchd.
func readOrphans() table { return nil }

func readAll(int) table {
	t := table{}
	processes, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return t
	}
	for i := range processes {
		info := infoOf(&processes[i])
		t[info.PID] = info
	}
	return t
}

// inspect reads one process or zombie.
func inspect(pid int) (Info, error) {
	found, err := unix.SysctlKinfoProcSlice("kern.proc.pid", pid)
	if err != nil {
		return Info{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	if len(found) != 1 || int(found[0].Proc.P_pid) != pid {
		return Info{}, os.ErrProcessDone
	}
	return infoOf(&found[0]), nil
}

// infoOf does not set CPU time and memory, which the kernel does not provide here;
// see measure.
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
	info.SID, _ = unix.Getsid(info.PID) // 0, which is no session, if it has ended
	return info
}

// measure sets CPU time and memory, with separate calls for each process.
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

// environment returns the initial environment of a process of this user.
func environment(pid int) []byte {
	found, err := unix.SysctlKinfoProcSlice("kern.proc.pid", pid)
	if err != nil || len(found) != 1 || int(found[0].Eproc.Ucred.Uid) != os.Geteuid() {
		return nil
	}
	raw, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil
	}
	environ, _ := environmentOf(raw)
	return environ
}

// outputOf and outputs would need libproc.
func outputOf(*os.File) string { return "" }

func outputs(int) []string { return nil }
