package ports

import (
	"errors"
	"net/netip"
	"os"
	"slices"
)

func peer(here, there netip.AddrPort, first []int) (Holder, error) {
	s, err := findSocket(there, here)
	user := os.Geteuid()
	switch {
	case errors.Is(err, ErrGone):
		return Holder{}, ErrGone
	case err != nil, int(s.UID) != user && user != 0:
		return Holder{}, ErrHidden
	}
	isPeer := func(pid int) bool { return hasOpen(pid, s.link()) }
	pids := first
	i := slices.IndexFunc(pids, isPeer)
	if i < 0 {
		pids = processes()
		slices.Reverse(pids) // a short-lived process has probably started recently
		i = slices.IndexFunc(pids, isPeer)
	}
	if i >= 0 {
		return describe(pids[i]), nil
	}
	if _, err := findSocket(there, here); errors.Is(err, ErrGone) { // closed meanwhile
		return Holder{}, ErrGone
	}
	return Holder{}, ErrHidden
}
