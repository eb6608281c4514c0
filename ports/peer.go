package ports

import (
	"errors"
	"net"
	"net/netip"
)

var (
	// ErrGone says that the far end of a connection has been closed, by a process of
	// this machine or by its end.
	ErrGone = errors.New("the far end is gone")

	// ErrHidden says that nobody can be named at the far end of a connection.
	ErrHidden = errors.New("the far end cannot be seen")
)

// Peer is the process at the far end of a TCP connection between two processes of
// this machine, by the addresses of this end and of that; of several that share the
// end, one. first are PIDs that are looked at before all others, the newest of which
// come first. ErrGone: there is none any more. ErrHidden: the far end is on another
// machine, or its process is one that this user may not look into; on macOS, also
// that there is none.
//
// It costs some tens of microseconds where it is one of a few first, else as many
// milliseconds as there are hundreds of processes. On macOS, where lsof is asked,
// it takes some tenths of a second, at most 3 s.
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
