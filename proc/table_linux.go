package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// userHZ is the unit of times in /proc/PID/stat, the same on every architecture
// that Go's Linux ports have (proc_pid_stat(5), sysconf(_SC_CLK_TCK)).
const userHZ = 100

// survey looks at every process that may belong to the leader's tree. Where
// orphans come to this process, those are its own descendants, which costs a few
// reads; else it is everybody.
func survey(leader int) table {
	look := table{}
	next := []int{leader}
	// Once more as long as orphans have come meanwhile: what passes itself on from
	// process to process cannot keep ahead of the look.
	for len(next) > 0 {
		if !look.descend(next) {
			return everybody()
		}
		adopted, ok := ours.adopted()
		if !ok {
			return everybody()
		}
		next = look.unseen(adopted)
	}
	return look
}

// everybody is all processes that /proc shows, those too that begin while it is read.
func everybody() table {
	look := table{}
	for next := numbers("/proc"); len(next) > 0; next = look.unseen(numbers("/proc")) {
		for _, pid := range next {
			look.see(pid)
		}
	}
	return look
}

// see looks at one process and tells whether it is there. One that has ended is
// remembered as a zombie, which it was.
func (t table) see(pid int) bool {
	info, err := inspect(pid)
	if err != nil {
		info = Info{PID: pid, State: "Z"}
	}
	t[pid] = info
	return !info.zombie()
}

func (t table) unseen(pids []int) (rest []int) {
	for _, pid := range pids {
		if _, seen := t[pid]; !seen {
			rest = append(rest, pid)
		}
	}
	return rest
}

// descend sees the roots and all their descendants; false where the kernel was
// built without lists of children (CONFIG_PROC_CHILDREN).
func (t table) descend(roots []int) bool {
	for len(roots) > 0 {
		pid := roots[len(roots)-1]
		roots = roots[:len(roots)-1]
		if _, seen := t[pid]; seen || !t.see(pid) {
			continue // a zombie's children have gone to others
		}
		threads := []int{pid}
		if t[pid].threads != 1 {
			threads = numbers("/proc/" + strconv.Itoa(pid) + "/task")
		}
		for _, thread := range threads {
			children, err := childrenOf(pid, thread)
			if err != nil && thread == pid && Alive(pid, t[pid].StartTime) {
				return false
			}
			roots = append(roots, children...)
		}
	}
	return true
}

// childrenOf lists what one thread has forked or, if it is the first of its
// process, adopted.
func childrenOf(pid, thread int) ([]int, error) {
	text, err := slurp("/proc/" + strconv.Itoa(pid) + "/task/" + strconv.Itoa(thread) + "/children")
	if err != nil {
		return nil, err
	}
	var pids []int
	for field := range bytes.FieldsSeq(text) {
		if child, err := strconv.Atoi(string(field)); err == nil {
			pids = append(pids, child)
		}
	}
	return pids, nil
}

// adopted are the orphans that have come to this process; false where they do
// not. The kernel gives them to the first thread (kernel/exit.c,
// find_new_reaper), so that one list tells.
func (f *family) adopted() ([]int, bool) {
	f.births.Lock()
	defer f.births.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.adopts {
		return nil, false
	}
	children, err := childrenOf(os.Getpid(), os.Getpid())
	if err != nil {
		return nil, false
	}
	var orphans []int
	for _, pid := range children {
		if !f.pids[pid] {
			orphans = append(orphans, pid)
		}
	}
	return orphans, true
}

// inspect looks at one process, zombies included.
func inspect(pid int) (Info, error) {
	text, err := slurp("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
		return Info{}, os.ErrProcessDone
	}
	if err != nil {
		return Info{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return parseStat(text)
}

// parseStat reads /proc/PID/stat (proc_pid_stat(5)). The name stands in
// parentheses and may hold any byte, a parenthesis too.
func parseStat(text []byte) (Info, error) {
	open, shut := bytes.IndexByte(text, '('), bytes.LastIndexByte(text, ')')
	if open < 1 || shut < open {
		return Info{}, fmt.Errorf("process without a name: %q", text)
	}
	fields := bytes.Fields(text[shut+1:])
	if len(fields) < 22 {
		return Info{}, fmt.Errorf("process with %d fields: %q", len(fields), text)
	}
	number := func(field []byte) int64 {
		n, _ := strconv.ParseInt(string(field), 10, 64)
		return n
	}
	return Info{
		PID:       int(number(bytes.TrimSpace(text[:open]))),
		Name:      string(text[open+1 : shut]),
		State:     string(fields[0]),
		PPID:      int(number(fields[1])),
		PGID:      int(number(fields[2])),
		SID:       int(number(fields[3])),
		CPU:       time.Duration(number(fields[11])+number(fields[12])) * (time.Second / userHZ),
		threads:   int(number(fields[17])),
		StartTime: string(fields[19]),
		RSS:       number(fields[21]) * int64(os.Getpagesize()),
	}, nil
}

// measure is nothing here: a look brings CPU time and memory with it.
func measure([]Info) {}

// environment is what a process of this user was started with. Who has
// overwritten that memory since (setproctitle) shows other bytes. Empty where it
// is another user's, or gone.
func environment(pid int) []byte {
	directory := "/proc/" + strconv.Itoa(pid)
	var stat unix.Stat_t
	if unix.Stat(directory, &stat) != nil || int(stat.Uid) != os.Geteuid() {
		return nil
	}
	environ, err := slurp(directory + "/environ")
	if err != nil {
		return nil
	}
	return environ
}

// nameOf is what /proc calls an open file: "pipe:[4711]".
func nameOf(file *os.File) string {
	return outputName("/proc/self/fd/" + strconv.Itoa(int(file.Fd())))
}

// outputName is what /proc calls the file that a descriptor is of. Terminals are
// numbered in each container anew: by device and inode they are told apart.
func outputName(descriptor string) string {
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

// outputs are the names of what a process has as standard output and error.
func outputs(pid int) []string {
	var names []string
	for _, fd := range []string{"/fd/1", "/fd/2"} {
		if name := outputName("/proc/" + strconv.Itoa(pid) + fd); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// numbers are the entries of a directory that are numbers.
func numbers(directory string) []int {
	folder, err := os.Open(directory)
	if err != nil {
		return nil
	}
	defer func() { _ = folder.Close() }()
	names, _ := folder.Readdirnames(-1) // as far as it comes: a process may end meanwhile
	var found []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			found = append(found, n)
		}
	}
	return found
}

// slurp reads a file of /proc in the fewest system calls: a look reads hundreds.
func slurp(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	buffer := make([]byte, 1024)
	for filled := 0; ; {
		n, err := unix.Read(fd, buffer[filled:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		filled += n
		if n == 0 {
			return buffer[:filled], nil
		}
		if filled == len(buffer) {
			buffer = append(buffer, make([]byte, 3*len(buffer))...)
		}
	}
}
