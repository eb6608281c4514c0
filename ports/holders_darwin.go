package ports

import (
	"context"
	"slices"
	"time"

	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// Silent are those of ports on which nothing would take a connection to 127.0.0.1, as
// far as the kernel tells. Here only an attempt to connect tells: there are none.
func Silent(...int) []int { return nil }

// lookLimit bounds one look, which asks lsof.
const lookLimit = 3 * time.Second

// Holders are the processes that listen on a TCP port, on whatever local address,
// by ascending PID: a listener that was inherited has several. Those that this user
// may not look into are not among them.
func Holders(port int) []Holder {
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	var holders []Holder
	for _, pid := range listeners(ctx, port, 0) {
		holders = append(holders, describe(ctx, pid))
	}
	return holders
}

// Listens tells whether a process listens on a TCP port, on whatever local address.
func Listens(port, pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	return len(listeners(ctx, port, pid)) > 0
}

// listeners are the processes that listen on a port, in order; pid restricts the
// search to one, 0 does not.
func listeners(ctx context.Context, port, pid int) (found []int) {
	connections, _ := psnet.ConnectionsPidWithContext(ctx, "tcp", int32(pid)) //nolint:gosec // G115: a PID is 32 bits; one that has ended has none
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
	name, _ := p.NameWithContext(ctx)      // what has ended meanwhile has no name
	args, _ := p.CmdlineWithContext(ctx)
	return Holder{PID: pid, Program: name, Args: cut(args)}
}
