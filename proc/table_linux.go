package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit of times in /proc/PID/stat on all of Go's Linux ports
// (proc_pid_stat(5), sysconf(_SC_CLK_TCK)).
const userHZ = 100

// readTree reads every process that may belong to the leader's tree. If this process
// is the subreaper, those are its descendants, otherwise all processes.
func readTree(leader int) table {
	t := table{}
	next := []int{leader}
	// Repeat while there are new orphans, so that a process cannot evade the scan by
	// forking and exiting.
	for round := 0; len(next) > 0 && round < 100; round++ {
		orphans, ok := []int(nil), t.readDescendants(next)
		if ok {
			orphans, ok = children.adopted()
		}
		if !ok {
			return readAll(sweepRounds)
		}
		next = t.unread(orphans)
	}
	return t
}

// readOrphans reads the adopted orphans and their descendants.
func readOrphans() table {
	t := table{}
	orphans, _ := children.adopted()
	t.readDescendants(orphans)
	return t
}

// readAll reads all processes. Each further round adds those that started during the
// previous one.
func readAll(rounds int) table {
	t := table{}
	for range rounds {
		pids := t.unread(numbers("/proc"))
		if len(pids) == 0 {
			break
		}
		for _, pid := range pids {
			t.read(pid)
		}
	}
	return t
}

// read adds one process, and reports whether it is alive. One that has ended is
// added as a zombie.
func (t table) read(pid int) bool {
	info, err := inspect(pid)
	if err != nil {
		info = Info{PID: pid, State: "Z"}
	}
	t[pid] = info
	return !info.zombie()
}

func (t table) unread(pids []int) (rest []int) {
	for _, pid := range pids {
		if _, there := t[pid]; !there {
			rest = append(rest, pid)
		}
	}
	return rest
}

// readDescendants adds the roots and their descendants. It reports false if the
// kernel was built without lists of children (CONFIG_PROC_CHILDREN).
func (t table) readDescendants(roots []int) bool {
	for len(roots) > 0 {
		pid := roots[len(roots)-1]
		roots = roots[:len(roots)-1]
		if _, there := t[pid]; there || !t.read(pid) {
			continue // a zombie no longer has children
		}
		for _, thread := range numbers(procPath(pid, "task")) {
			pids, err := childrenOf(pid, thread)
			if err != nil && thread == pid && Alive(pid, t[pid].StartTime) {
				return false
			}
			roots = append(roots, pids...)
		}
	}
	return true
}

// childrenOf lists the processes that one thread has forked or, if it is the first
// thread, adopted.
func childrenOf(pid, thread int) ([]int, error) {
	text, err := os.ReadFile(procPath(pid, "task", strconv.Itoa(thread), "children"))
	if err != nil {
		return nil, err
	}
	return parseNumbers(strings.Fields(string(text))), nil
}

// adopted returns the children of this process that it has not started. It reports
// false if orphans are not adopted. The kernel gives them to the first thread
// (kernel/exit.c, find_new_reaper), so that one list is enough.
func (c *childSet) adopted() ([]int, bool) {
	c.forks.Lock()
	defer c.forks.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.subreaper {
		return nil, false
	}
	pids, err := childrenOf(os.Getpid(), os.Getpid())
	if err != nil {
		return nil, false
	}
	var orphans []int
	for _, pid := range pids {
		if !c.pids[pid] {
			orphans = append(orphans, pid)
		}
	}
	return orphans, true
}

// inspect reads one process or zombie.
func inspect(pid int) (Info, error) {
	text, err := os.ReadFile(procPath(pid, "stat"))
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return Info{}, os.ErrProcessDone
	}
	if err != nil {
		return Info{}, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	return parseStat(text)
}

// parseStat parses /proc/PID/stat (proc_pid_stat(5)). The name is in parentheses
// and may contain any byte, including a parenthesis.
func parseStat(text []byte) (Info, error) {
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || shut < open {
		return Info{}, fmt.Errorf("process without a name: %q", text)
	}
	fields := strings.Fields(string(text[shut+1:]))
	if len(fields) < 22 {
		return Info{}, fmt.Errorf("process with %d fields: %q", len(fields), text)
	}
	number := func(field string) int64 {
		n, _ := strconv.ParseInt(field, 10, 64)
		return n
	}
	return Info{
		PID:       int(number(strings.TrimSpace(string(text[:open])))),
		Name:      string(text[open+1 : shut]),
		State:     fields[0],
		PPID:      int(number(fields[1])),
		PGID:      int(number(fields[2])),
		SID:       int(number(fields[3])),
		CPU:       time.Duration(number(fields[11])+number(fields[12])) * (time.Second / userHZ),
		StartTime: fields[19],
		RSS:       number(fields[21]) * int64(os.Getpagesize()),
	}, nil
}

// measure does nothing on Linux: inspect sets CPU time and memory.
func measure([]Info) {}

// environment returns the initial environment of a process of this user, or other bytes
// if the process has overwritten that memory (setproctitle). It is empty for a process
// of another user.
func environment(pid int) []byte {
	var stat unix.Stat_t
	if unix.Stat(procPath(pid), &stat) != nil || int(stat.Uid) != os.Geteuid() {
		return nil
	}
	environ, _ := os.ReadFile(procPath(pid, "environ")) // it may have ended
	return environ
}

// outputOf returns the name of an open file in /proc: "pipe:[4711]".
func outputOf(file *os.File) string {
	return linkTarget("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
}

// linkTarget returns the name of a descriptor's file. Each container numbers its own
// terminals, so a terminal is named by device and inode.
func linkTarget(descriptor string) string {
	name, err := os.Readlink(descriptor)
	if err != nil || !strings.HasPrefix(name, "/dev/pts/") {
		return name
	}
	var stat unix.Stat_t
	if unix.Stat(descriptor, &stat) != nil {
		return ""
	}
	return fmt.Sprintf("pts:[%d:%d]", stat.Dev, stat.Ino)
}

// outputs returns the names of a process's standard output and error.
func outputs(pid int) []string {
	return []string{linkTarget(procPath(pid, "fd/1")), linkTarget(procPath(pid, "fd/2"))}
}

func procPath(pid int, names ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(pid)}, names...)...)
}

// numbers returns the entries of a directory that are numbers.
func numbers(path string) []int {
	directory, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = directory.Close() }()
	names, _ := directory.Readdirnames(-1) // a process may have ended
	return parseNumbers(names)
}

func parseNumbers(texts []string) (parsed []int) {
	for _, text := range texts {
		if n, err := strconv.Atoi(text); err == nil {
			parsed = append(parsed, n)
		}
	}
	return parsed
}
