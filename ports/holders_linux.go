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
// by ascending PID: a listener that was inherited has several. among restricts
// the search to those PIDs and ends it at the first listener that any of them has,
// which makes it cheap (well below a millisecond, however many listen); nil: all processes that this
// user may look into.
func Holders(port int, among []int) []Holder {
	if among != nil && len(among) == 0 {
		return nil
	}
	owners := map[string][]int{} // by socket
	if among != nil {
		owners = sockets(among)
		if inode, err := inodeOn(port); err == nil && owners["socket:["+inode+"]"] != nil {
			return describeAll(owners["socket:["+inode+"]"])
		}
	}
	var found []int
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listening(file, port, func(inode string) bool {
			socket := "socket:[" + inode + "]"
			if among == nil {
				owners[socket] = nil
				return true
			}
			found = owners[socket]
			return found == nil
		})
		if found != nil {
			break
		}
	}
	if among == nil && len(owners) > 0 {
		for socket, pids := range sockets(entries("/proc")) {
			if _, listens := owners[socket]; listens {
				found = append(found, pids...)
			}
		}
	}
	return describeAll(found)
}

func describeAll(pids []int) []Holder {
	slices.Sort(pids)
	var holders []Holder
	for _, pid := range slices.Compact(pids) {
		holders = append(holders, describe(pid))
	}
	return holders
}

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
