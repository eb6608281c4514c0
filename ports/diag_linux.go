package ports

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	listens      = 10 // TCP_LISTEN (include/net/tcp_states.h)
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY (include/uapi/linux/sock_diag.h)
	diagLen      = unix.SizeofNlMsghdr + 56
	uidAt        = unix.SizeofNlMsghdr + 64
	inodeAt      = unix.SizeofNlMsghdr + 68
	stateAt      = unix.SizeofNlMsghdr + 1
)

// Silent are those of ports on which nothing would take a connection to 127.0.0.1. To
// ask costs a tenth of an attempt to connect, or less. On one that is not among them
// something would, or the kernel does not tell.
func Silent(ports ...int) (silent []int) {
	k, err := openDiag()
	if err != nil {
		return nil
	}
	defer k.close()
	for _, port := range ports {
		if _, err := k.find(onLoopback(port), netip.AddrPort{}); errors.Is(err, unix.ENOENT) {
			silent = append(silent, port)
		}
	}
	return silent
}

func onLoopback(port int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)) //nolint:gosec // G115: a port is 16 bits
}

// inodeOn is the socket that would take a connection to 127.0.0.1:port, by its
// inode; ENOENT where there is none, another error where the kernel does not tell.
func inodeOn(port int) (string, error) {
	s, err := diagnose(onLoopback(port), netip.AddrPort{})
	if err == nil && s.state != listens {
		return "", unix.EBADMSG
	}
	return s.inode, err
}

// socket is one as the kernel describes it.
type socket struct {
	inode string // "0" where no process has it any more
	uid   int    // of who made it
	state byte
}

// diagnose is one find.
func diagnose(local, remote netip.AddrPort) (socket, error) {
	k, err := openDiag()
	if err != nil {
		return socket{}, err
	}
	defer k.close()
	return k.find(local, remote)
}

// diag is where the kernel is asked for sockets (man 7 sock_diag).
type diag struct {
	fd     int
	answer [512]byte
}

func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	return &diag{fd: fd}, err
}

func (k *diag) close() { _ = unix.Close(k.fd) } // it was read from, or is of no use

// find gives the socket that a segment from remote to local would be for. It is one
// lookup in the kernel's table, however many sockets there are.
func (k *diag) find(local, remote netip.AddrPort) (socket, error) {
	if err := unix.Sendto(k.fd, diagRequest(local, remote), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return socket{}, err
	}
	answer := k.answer[:]
	n, _, err := unix.Recvfrom(k.fd, answer, 0)
	switch kind := binary.NativeEndian.Uint16(answer[4:]); {
	case err != nil:
		return socket{}, err
	case kind == unix.NLMSG_ERROR && n >= unix.SizeofNlMsghdr+4:
		return socket{}, unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))) //nolint:gosec // G115: a negative errno
	case kind != diagByFamily || n < inodeAt+4:
		return socket{}, unix.EBADMSG
	}
	return socket{
		inode: strconv.FormatUint(uint64(binary.NativeEndian.Uint32(answer[inodeAt:])), 10),
		uid:   int(binary.NativeEndian.Uint32(answer[uidAt:])),
		state: answer[stateAt],
	}, nil
}

// diagRequest is a struct nlmsghdr and a struct inet_diag_req_v2
// (include/uapi/linux/inet_diag.h) that ask for one socket.
func diagRequest(local, remote netip.AddrPort) []byte {
	request := make([]byte, diagLen)
	binary.NativeEndian.PutUint32(request, diagLen)
	binary.NativeEndian.PutUint16(request[4:], diagByFamily)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST)
	body := request[unix.SizeofNlMsghdr:]
	body[0], body[1] = unix.AF_INET, unix.IPPROTO_TCP
	if local.Addr().Is6() {
		body[0] = unix.AF_INET6
	}
	id := body[8:]
	binary.BigEndian.PutUint16(id, local.Port())
	binary.BigEndian.PutUint16(id[2:], remote.Port())
	copy(id[4:], local.Addr().AsSlice())
	copy(id[20:], remote.Addr().AsSlice())
	for i := 40; i < 48; i++ { // INET_DIAG_NOCOOKIE: whichever it is
		id[i] = 0xff
	}
	return request
}
