package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"silo/wait"
)

// sweepRounds is how often a sweep reads the list of processes, to catch those that start
// while it reads. It is bounded because a machine that forks continuously has new ones in
// every round.
const sweepRounds = 3

// FindMarked returns the living processes of this user that were started with
// marker, a KEY=VALUE, in their environment, and all their descendants, but not
// this process and its ancestors: a user may run silo in a shell inside a tree.
// macOS hides the environment of system programs.
func FindMarked(marker string) []Info {
	m := matcher{markers: map[string]bool{marker: true}}
	return readAll(sweepRounds).without(os.Getpid()).descendants(m.matches)
}

// KillMarked kills the processes that FindMarked returns, repeatedly, until there
// are none or ctx ends. It compares start times, so that it does not kill a later
// process with the same PID. The error names what was left or could not be killed.
func KillMarked(ctx context.Context, marker string) (killed []Info, err error) {
	return killAll(ctx, 0, func() []Info { return FindMarked(marker) })
}

// KillTree kills a recorded process, its session, its process group and all their
// descendants, unless the PID belongs to a process with another start time. It
// spares the same processes as KillMarked, and also finds those that have
// overwritten their environment.
func KillTree(ctx context.Context, pid int, startTime string) (killed []Info, err error) {
	if !Alive(pid, startTime) {
		return nil, nil
	}
	return killAll(ctx, 0, func() []Info {
		return readAll(sweepRounds).without(os.Getpid()).descendants(func(info Info) bool {
			if info.PID == pid {
				return info.StartTime == startTime
			}
			// The kernel does not reuse a PID while a session or group has its number.
			return info.SID == pid || info.PGID == pid
		})
	})
}

// Orphans returns the living orphans that this process has adopted, and their
// descendants. Once all trees are stopped, only processes that left their session and
// overwrote their environment remain. The result is empty on macOS, or if
// BecomeSubreaper has not succeeded.
func Orphans() []Info {
	return readOrphans().descendants(func(Info) bool { return true })
}

// KillOrphans kills the Orphans until there are none or ctx ends.
func KillOrphans(ctx context.Context) (killed []Info, err error) {
	return killAll(ctx, 0, Orphans)
}

// killAll kills what find returns until it returns nothing twice in a row, with a pause
// in between: a process that forks can be missed once. A process that was killed counts
// as found until it is dead, since find may recognize it only by its PID.
func killAll(ctx context.Context, pause time.Duration, find func() []Info) (killed []Info, err error) {
	signaled := map[int]Info{}
	retry := backoff{}
	for none := false; ; {
		found := find()
		found = append(found, dying(signaled, found)...)
		if len(found) == 0 {
			if none {
				return killed, nil
			}
			none = true
			wait.Sleep(ctx, pause)
			continue
		}
		none = false
		killLedGroups(found)
		var refused error
		for _, info := range found {
			if err := kill(info, unix.SIGKILL); err != nil {
				refused = errors.Join(refused, err)
			} else if signaled[info.PID].StartTime != info.StartTime {
				signaled[info.PID] = info
				killed = append(killed, info)
			}
		}
		reapOrphans()
		if !wait.Sleep(ctx, retry.next()) {
			return killed, fmt.Errorf("kill %v: %w", found, errors.Join(refused, context.Cause(ctx)))
		}
	}
}

// dying returns the signaled processes that are alive and not in found.
func dying(signaled map[int]Info, found []Info) (list []Info) {
	for pid, info := range signaled {
		again := slices.ContainsFunc(found, func(f Info) bool { return f.PID == pid })
		if !again && Alive(pid, info.StartTime) {
			list = append(list, info)
		}
	}
	return list
}

// killLedGroups kills the process groups whose leaders are in processes. The kernel
// kills a group atomically, including children forked in the meantime. It spares other
// groups, unlike killGroups: this process or an ancestor may be in them.
func killLedGroups(processes []Info) {
	own := unix.Getpgrp() // its leader may be in processes, such as the first process of a pipeline
	for _, info := range processes {
		if info.PID == info.PGID && info.PGID != own && info.PGID > 1 && Alive(info.PID, info.StartTime) {
			_ = unix.Kill(-info.PGID, unix.SIGKILL) // each process is also killed individually
		}
	}
}

// backoff grows from one to twenty-five milliseconds.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(time.Millisecond, 2*b.last), 25*time.Millisecond)
	return b.last
}
