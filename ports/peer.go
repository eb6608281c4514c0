package ports

import (
	"errors"
	"net"
	"net/netip"
)

var (
	// ErrGone reports that the far end of a connection is closed.
	ErrGone = errors.New("the far end is gone")

	// ErrHidden reports that the process at the far end of a connection cannot be
	// determined.
	ErrHidden = errors.New("the process at the far end cannot be determined")
)

// Peer returns the process at the far end of a TCP connection on this machine, given
// the addresses of this end and the far end; if several processes share the far end,
// one of them. It checks the PIDs in first, then all others, newest first. It returns
// ErrGone if no process has the far end open, and ErrHidden if the far end is on
// another machine or this user may not inspect its process. On macOS it returns
// ErrHidden in both cases.
//
// It takes less than a millisecond if the process is in first, otherwise a few
// milliseconds per hundred processes. On macOS it runs lsof, which takes a few tenths
// of a second, at most 3 s.
func Peer(local, remote net.Addr, first []int) (Holder, error) {
	here, there := addrPort(local), addrPort(remote)
	if !here.IsValid() || !there.IsValid() || !there.Addr().IsLoopback() && here.Addr() != there.Addr() {
		return Holder{}, ErrHidden
	}
	return peer(here, there, first)
}

func addrPort(addr net.Addr) netip.AddrPort {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	at := tcp.AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port())
}
