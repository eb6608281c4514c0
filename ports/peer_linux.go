package ports

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

func peer(here, there netip.AddrPort, first []int) (Holder, error) {
	s, err := diagnose(there, here)
	user := os.Geteuid()
	switch {
	case isGone(s, err):
		return Holder{}, ErrGone
	case err != nil, s.uid != user && user != 0:
		return Holder{}, ErrHidden
	}
	search := search{link: []byte(link(s.inode))}
	for _, pid := range first {
		if search.in(pid) {
			return describe(pid), nil
		}
	}
	all := entries("/proc")
	slices.Sort(all)
	for _, pid := range slices.Backward(all) { // who ends soon has begun of late
		if search.in(pid) {
			return describe(pid), nil
		}
	}
	if isGone(diagnose(there, here)) { // while it was looked for
		return Holder{}, ErrGone
	}
	return Holder{}, ErrHidden
}

// isGone tells of what diagnose has found whether no process has it any more.
func isGone(s socket, err error) bool {
	return errors.Is(err, unix.ENOENT) || err == nil && s.inode == "0"
}

// search looks for an open file in processes, in as few system calls and copies as
// can be: a client may close its connection the moment it has its answer.
type search struct {
	link    []byte // what its descriptor links to
	entries [4096]byte
	target  [64]byte
}

// in tells whether a process has the file open.
func (s *search) in(pid int) bool {
	dir, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // gone, or another user's
	}
	defer func() { _ = unix.Close(dir) }()
	for {
		n, err := unix.ReadDirent(dir, s.entries[:])
		if err != nil || n <= 0 {
			return false
		}
		_, _, names := unix.ParseDirent(s.entries[:n], -1, nil)
		for _, name := range names {
			if n, err := unix.Readlinkat(dir, name, s.target[:]); err == nil && bytes.Equal(s.target[:n], s.link) {
				return true
			}
		}
	}
}
