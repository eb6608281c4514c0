package ports

import (
	"net/netip"
	"os"
	"slices"
	"strconv"
)

func peer(here, there netip.AddrPort, first []int) (Holder, bool) {
	s, err := diagnose(there, here)
	if user := os.Geteuid(); err != nil || s.inode == "0" || s.uid != user && user != 0 {
		return Holder{}, false
	}
	socket := "socket:[" + s.inode + "]"
	for _, pid := range first {
		if holds(pid, socket) {
			return describe(pid), true
		}
	}
	all := entries("/proc")
	slices.Sort(all)
	for _, pid := range slices.Backward(all) { // what has just been started is seldom looked for in vain
		if holds(pid, socket) {
			return describe(pid), true
		}
	}
	return Holder{}, false
}

// holds tells whether a process has a socket open.
func holds(pid int, socket string) bool {
	folder := "/proc/" + strconv.Itoa(pid) + "/fd"
	return slices.ContainsFunc(entries(folder), func(fd int) bool {
		target, err := os.Readlink(folder + "/" + strconv.Itoa(fd))
		return err == nil && target == socket
	})
}
