package ports

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Holders are the processes that listen on a TCP port, on whatever local address,
// by ascending PID: a listener that was inherited has several. Those that this user
// may not look into are not among them.
func Holders(port int) []Holder {
	listeners := map[string]bool{} // by what a descriptor links to
	each(port, func(socket string) bool { listeners[socket] = true; return true })
	if len(listeners) == 0 {
		return nil
	}
	var found []int
	for socket, pids := range sockets(entries("/proc")) {
		if listeners[socket] {
			found = append(found, pids...)
		}
	}
	slices.Sort(found)
	var holders []Holder
	for _, pid := range slices.Compact(found) {
		holders = append(holders, describe(pid))
	}
	return holders
}

// Listens tells whether a process listens on a TCP port, on whatever local address.
// That is cheap, however many processes there are and whatever listens beside it.
func Listens(port, pid int) bool {
	if inode, err := inodeOn(port); err == nil {
		search := search{link: []byte(link(inode))}
		if search.in(pid) {
			return true
		}
	}
	own := sockets([]int{pid})
	found := false
	each(port, func(socket string) bool {
		found = own[socket] != nil
		return !found
	})
	return found
}

// each passes on what listens on a port, until one is enough.
func each(port int, more func(socket string) bool) {
	enough := false
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(file, port, func(inode string) bool {
			enough = !more(link(inode))
			return !enough
		})
		if enough {
			return
		}
	}
}

// link is what a socket's descriptor links to (man 5 proc).
func link(inode string) string { return "socket:[" + inode + "]" }

// stateListen is TCP_LISTEN (include/net/tcp_states.h).
const stateListen = "0A"

// listening passes on, by inode, the sockets in LISTEN on a port that
// /proc/net/tcp or tcp6 shows (Documentation/networking/proc_net_tcp.rst), until
// one is enough. The listening ones come first (net/ipv4/tcp_ipv4.c,
// tcp_seq_start); to reach the end, or to read ahead, makes the kernel walk its
// whole table of connections, which takes milliseconds.
func listening(file string, port int, more func(inode string) bool) {
	text, err := os.Open(file)
	if err != nil {
		return // no IPv6
	}
	defer func() { _ = text.Close() }()
	suffix := fmt.Appendf(nil, ":%04X", port)
	lines := bufio.NewReaderSize(text, 256) // one or two lines
	for number := 0; ; number++ {
		line, err := lines.ReadSlice('\n')
		fields := bytes.Fields(line)
		if err != nil || number > 0 && (len(fields) < 10 || string(fields[3]) != stateListen) {
			return
		}
		if number > 0 && bytes.HasSuffix(fields[1], suffix) && !more(string(fields[9])) {
			return
		}
	}
}

// sockets are the sockets that processes hold open, with who holds each.
func sockets(pids []int) map[string][]int {
	owners := map[string][]int{}
	for _, pid := range pids {
		folder := "/proc/" + strconv.Itoa(pid) + "/fd"
		for _, fd := range entries(folder) {
			if target, err := os.Readlink(folder + "/" + strconv.Itoa(fd)); err == nil && strings.HasPrefix(target, "socket:") {
				owners[target] = append(owners[target], pid)
			}
		}
	}
	return owners
}

func describe(pid int) Holder {
	folder := "/proc/" + strconv.Itoa(pid)
	name, _ := os.ReadFile(folder + "/comm") // what has ended meanwhile has no name
	args, _ := os.ReadFile(folder + "/cmdline")
	return Holder{
		PID:     pid,
		Program: strings.TrimSpace(string(name)),
		Args:    cut(strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")),
	}
}

// entries are the names in a directory that are numbers.
func entries(folder string) []int {
	dir, err := os.Open(folder)
	if err != nil {
		return nil
	}
	defer func() { _ = dir.Close() }()
	names, _ := dir.Readdirnames(-1) // as far as it comes: a process may end meanwhile
	var numbers []int
	for _, name := range names {
		if n, err := strconv.Atoi(name); err == nil {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
