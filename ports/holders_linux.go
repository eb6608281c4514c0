package ports

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// accepts always reports false on Linux. There, binding one address fails if a socket
// listens on all addresses (net/ipv4/inet_connection_sock.c, inet_csk_bind_conflict).
func accepts(context.Context, int) bool { return false }

// Holders returns the processes that listen on a TCP port, on any local address, by
// ascending PID: several processes can inherit one listener. Those that this user
// may not inspect are missing.
func Holders(port int) []Holder {
	var sockets []string
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, _ := os.ReadFile(file) // the machine may not have IPv6
		sockets = append(sockets, listeningSockets(string(text), port)...)
	}
	if len(sockets) == 0 {
		return nil
	}
	var holders []Holder
	for _, pid := range processes() {
		if hasOpen(pid, sockets...) {
			holders = append(holders, describe(pid))
		}
	}
	return holders
}

// Listens reports whether a process has the socket open that a connection to
// 127.0.0.1:port would reach. It is fast, and returns false if the kernel refuses the
// query; Holders is slower and finds every listener.
func Listens(port, pid int) bool {
	socket := Socket(port)
	return socket != "" && hasOpen(pid, socket)
}

// Socket returns the kernel's name of the socket that a connection to 127.0.0.1:port
// would reach, or "" if there is none or the kernel refuses the query.
func Socket(port int) string {
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)) //nolint:gosec // G115: a port is 16 bits
	s, err := findSocket(local, netip.AddrPort{})                                     // only a listener has no remote address
	if err != nil {
		return ""
	}
	return s.link()
}

// listeningSockets returns the sockets in state LISTEN on a port, by their names in
// /proc/PID/fd, given the text of /proc/net/tcp or tcp6
// (Documentation/networking/proc_net_tcp.rst).
func listeningSockets(text string, port int) (sockets []string) {
	state := fmt.Sprintf("%02X", tcpListen)
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) >= 10 && fields[3] == state && strings.HasSuffix(fields[1], suffix) {
			sockets = append(sockets, socketLink(fields[9]))
		}
	}
	return sockets
}

// socketLink returns the link target of a socket's descriptor (proc_pid_fd(5)).
func socketLink(inode string) string { return "socket:[" + inode + "]" }

// processes returns all PIDs, ascending.
func processes() []int {
	var pids []int
	folders, _ := filepath.Glob("/proc/[0-9]*")
	for _, folder := range folders {
		if pid, err := strconv.Atoi(filepath.Base(folder)); err == nil {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// hasOpen reports whether a process has one of the sockets open. It is false for a
// process of another user.
func hasOpen(pid int, sockets ...string) bool {
	folder, err := os.Open("/proc/" + strconv.Itoa(pid) + "/fd")
	if err != nil {
		return false
	}
	defer func() { _ = folder.Close() }()
	names, _ := folder.Readdirnames(-1) // the process may have ended
	target := make([]byte, 64)
	for _, name := range names {
		n, err := unix.Readlinkat(int(folder.Fd()), name, target)
		if err == nil && slices.Contains(sockets, string(target[:n])) {
			return true
		}
	}
	return false
}

func describe(pid int) Holder {
	folder := "/proc/" + strconv.Itoa(pid)
	name, _ := os.ReadFile(folder + "/comm") // empty if it has ended
	args, _ := os.ReadFile(folder + "/cmdline")
	return Holder{
		PID:     pid,
		Program: strings.TrimSpace(string(name)),
		Args:    truncate(strings.ReplaceAll(strings.TrimRight(string(args), "\x00"), "\x00", " ")),
	}
}
