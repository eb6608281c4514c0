package proc

import (
	"context"
	"os"
)

// KillTree kills a process that somebody wrote down, and with it its session,
// its process group and all their descendants. A PID that is another process's
// by now (its start time differs) is left alone. It is as certain as KillMarked,
// spares whom that spares, and finds what has overwritten its own environment.
func KillTree(ctx context.Context, pid int, startTime string) (killed []Info, err error) {
	if !Alive(pid, startTime) {
		return nil, nil
	}
	return killAll(ctx, false, func() []Info {
		look := everybody().without(os.Getpid())
		return look.kin(func(info Info) bool {
			if info.PID == pid {
				return info.StartTime == startTime
			}
			// The number of a session or a group is no other process's while it has members.
			return info.SID == pid || info.PGID == pid
		})
	})
}
