package ports

import (
	"cmp"
	"context"
	"slices"
	"time"

	psnet "github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// Silent tells that nothing would take a connection to 127.0.0.1:port. Here only an
// attempt to connect tells, so that it is always false.
func Silent(int) bool { return false }

// lookLimit bounds one look, which asks lsof.
const lookLimit = 3 * time.Second

// Holders are the processes that listen on a TCP port, on whatever local address,
// by ascending PID: a listener that was inherited has several. among restricts
// the search to those PIDs; nil: all processes that this user may look into.
func Holders(port int, among []int) []Holder {
	ctx, cancel := context.WithTimeout(context.Background(), lookLimit)
	defer cancel()
	if among == nil {
		among = []int{0} // everybody's
	}
	found := map[int]bool{}
	for _, pid := range among {
		connections, err := psnet.ConnectionsPidWithContext(ctx, "tcp", int32(pid)) //nolint:gosec // G115: a PID is 32 bits
		if err != nil {
			continue // it has ended, or is another user's
		}
		for _, c := range connections {
			if c.Status == "LISTEN" && int(c.Laddr.Port) == port {
				found[int(c.Pid)] = true
			}
		}
	}
	var holders []Holder
	for pid := range found {
		holders = append(holders, describe(ctx, pid))
	}
	slices.SortFunc(holders, func(a, b Holder) int { return cmp.Compare(a.PID, b.PID) })
	return holders
}

func describe(ctx context.Context, pid int) Holder {
	p := &process.Process{Pid: int32(pid)} //nolint:gosec // G115: a PID is 32 bits
	name, _ := p.NameWithContext(ctx)      // what has ended meanwhile has no name
	args, _ := p.CmdlineWithContext(ctx)
	return Holder{PID: pid, Program: name, Args: cut(args)}
}
