package ports

import (
	"encoding/binary"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	listens      = 10 // TCP_LISTEN (include/net/tcp_states.h)
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY (include/uapi/linux/sock_diag.h)
	diagLen      = unix.SizeofNlMsghdr + 56
	inodeAt      = unix.SizeofNlMsghdr + 68
	stateAt      = unix.SizeofNlMsghdr + 1
)

// Silent tells that nothing would take a connection to 127.0.0.1:port. It costs a
// tenth of an attempt to connect; false: something would, or the kernel does not tell.
func Silent(port int) bool {
	_, err := inodeOn(port)
	return errors.Is(err, unix.ENOENT)
}

// inodeOn is the socket that would take a connection to 127.0.0.1:port, by its
// inode; ENOENT where there is none, another error where the kernel does not tell
// (man 7 sock_diag). It is one lookup in the kernel's table, however many listen.
func inodeOn(port int) (string, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }() // it was read from, or is of no use
	if err := unix.Sendto(fd, diagRequest(port), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return "", err
	}
	answer := make([]byte, 512)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	switch kind := binary.NativeEndian.Uint16(answer[4:]); {
	case err != nil:
		return "", err
	case kind == unix.NLMSG_ERROR && n >= unix.SizeofNlMsghdr+4:
		return "", unix.Errno(-int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:]))) //nolint:gosec // G115: a negative errno
	case kind != diagByFamily || n < inodeAt+4 || answer[stateAt] != listens:
		return "", unix.EBADMSG
	}
	return strconv.FormatUint(uint64(binary.NativeEndian.Uint32(answer[inodeAt:])), 10), nil
}

// diagRequest is a struct nlmsghdr and a struct inet_diag_req_v2
// (include/uapi/linux/inet_diag.h) that ask for one socket.
func diagRequest(port int) []byte {
	request := make([]byte, diagLen)
	binary.NativeEndian.PutUint32(request, diagLen)
	binary.NativeEndian.PutUint16(request[4:], diagByFamily)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST)
	body := request[unix.SizeofNlMsghdr:]
	body[0], body[1] = unix.AF_INET, unix.IPPROTO_TCP
	id := body[8:]
	binary.BigEndian.PutUint16(id, uint16(port)) //nolint:gosec // G115: a port is 16 bits
	copy(id[4:], []byte{127, 0, 0, 1})
	for i := 40; i < 48; i++ { // INET_DIAG_NOCOOKIE: whichever it is
		id[i] = 0xff
	}
	return request
}
