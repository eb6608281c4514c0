package ports

import (
	"context"
	"net"
	"slices"
	"strconv"
	"time"

	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

const (
	dialTimeout = 200 * time.Millisecond
	lsofTimeout = 3 * time.Second
)

// accepts reports whether a port accepts connections. On macOS, binding a loopback
// address succeeds even if another socket listens on all addresses, and clients could
// then reach either.
func accepts(ctx context.Context, port int) bool {
	dialer := &net.Dialer{Timeout: dialTimeout}
	for _, host := range []string{"127.0.0.1", "::1"} {
		conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			_ = conn.Close()
			return true
		}
	}
	return false
}

// Holders returns the processes that listen on a TCP port, on any local address, by
// ascending PID: several processes can inherit one listener. Those that this user
// may not inspect are missing.
func Holders(port int) []Holder {
	ctx, cancel := context.WithTimeout(context.Background(), lsofTimeout)
	defer cancel()
	var holders []Holder
	for _, pid := range listeners(ctx, port, 0) {
		holders = append(holders, describe(ctx, pid))
	}
	return holders
}

// Listens reports whether a process listens on a TCP port, on any local address.
func Listens(port, pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lsofTimeout)
	defer cancel()
	return len(listeners(ctx, port, pid)) > 0
}

// Socket returns "": macOS does not name sockets.
func Socket(int) string { return "" }

// listeners returns the processes that listen on a port, in order; with a pid other
// than 0, only that process.
func listeners(ctx context.Context, port, pid int) (found []int) {
	connections, _ := psnet.ConnectionsPidWithContext(ctx, "tcp", int32(pid)) //nolint:gosec // G115: a PID is 32 bits; an ended process has none
	for _, c := range connections {
		if c.Status == "LISTEN" && int(c.Laddr.Port) == port {
			found = append(found, int(c.Pid))
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func describe(ctx context.Context, pid int) Holder {
	p := &process.Process{Pid: int32(pid)} //nolint:gosec // G115: a PID is 32 bits
	name, _ := p.NameWithContext(ctx)      // empty if it has ended
	args, _ := p.CmdlineWithContext(ctx)
	return Holder{PID: pid, Program: name, Args: truncate(args)}
}
