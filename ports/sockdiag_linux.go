package ports

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY (include/uapi/linux/sock_diag.h)
	tcpListen        = 10 // TCP_LISTEN (include/net/tcp_states.h)
)

// socketID is a struct inet_diag_sockid (include/uapi/linux/inet_diag.h). Ports are
// big endian.
type socketID struct {
	LocalPort, RemotePort [2]byte
	Local, Remote         [16]byte
	Interface             uint32
	Cookie                [2]uint32
}

// diagRequest is a struct nlmsghdr and a struct inet_diag_req_v2.
type diagRequest struct {
	Header                       unix.NlMsghdr
	Family, Protocol, Extensions uint8
	_                            uint8
	States                       uint32
	ID                           socketID
}

// socket is a struct nlmsghdr and a struct inet_diag_msg: one socket.
type socket struct {
	Header                                unix.NlMsghdr
	Family, State, Timer, Retransmissions uint8
	ID                                    socketID
	Expires, ReceiveQueue, SendQueue      uint32
	UID, Inode                            uint32
}

func (s socket) link() string { return socketLink(strconv.FormatUint(uint64(s.Inode), 10)) }

// findSocket returns the socket that would receive a segment from remote to local: one
// lookup in the kernel, however many sockets there are (sock_diag(7)). It returns
// ErrGone if no process has such a socket open.
func findSocket(local, remote netip.AddrPort) (socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return socket{}, err
	}
	defer func() { _ = unix.Close(fd) }()
	request := diagRequest{Family: unix.AF_INET, Protocol: unix.IPPROTO_TCP}
	request.Header = unix.NlMsghdr{Len: uint32(binary.Size(request)), Type: sockDiagByFamily, Flags: unix.NLM_F_REQUEST} //nolint:gosec // G115: 72
	if local.Addr().Is6() {
		request.Family = unix.AF_INET6
	}
	binary.BigEndian.PutUint16(request.ID.LocalPort[:], local.Port())
	binary.BigEndian.PutUint16(request.ID.RemotePort[:], remote.Port())
	copy(request.ID.Local[:], local.Addr().AsSlice())
	copy(request.ID.Remote[:], remote.Addr().AsSlice())
	request.ID.Cookie = [2]uint32{^uint32(0), ^uint32(0)} // INET_DIAG_NOCOOKIE: any
	var message bytes.Buffer
	if err := binary.Write(&message, binary.NativeEndian, request); err != nil {
		return socket{}, err
	}
	if err := unix.Sendto(fd, message.Bytes(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, err
	}
	return receiveSocket(fd)
}

func receiveSocket(fd int) (socket, error) {
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return socket{}, err
	}
	if binary.NativeEndian.Uint16(answer[4:]) == unix.NLMSG_ERROR && n >= unix.SizeofNlMsghdr+4 {
		err := unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))) //nolint:gosec // G115: a negative errno
		if errors.Is(err, unix.ENOENT) {
			return socket{}, ErrGone
		}
		return socket{}, err
	}
	var s socket
	if err := binary.Read(bytes.NewReader(answer[:n]), binary.NativeEndian, &s); err != nil {
		return socket{}, err
	}
	switch {
	case s.Header.Type != sockDiagByFamily:
		return socket{}, unix.EBADMSG
	case s.Inode == 0:
		return socket{}, ErrGone
	}
	return s, nil
}
