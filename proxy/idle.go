package proxy

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// silent reports whether an idle connection is open and nothing has arrived on it. It
// does not block.
func silent(conn net.Conn) bool {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	// Use Control, not Read: Transport always holds the read lock.
	var peekErr error
	err = raw.Control(func(fd uintptr) {
		_, _, peekErr = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	return err == nil && peekErr == unix.EAGAIN
}
