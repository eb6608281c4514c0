package proc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// FindMarked are the living processes of this user on this machine that have
// marker, a KEY=VALUE, in the environment they were started with, and all their
// descendants. This process and its ancestors are left out, though they may be
// marked: who asks from a shell inside a tree does not mean himself. On macOS the
// kernel hides the environment of programs that are part of the system.
func FindMarked(marker string) []Info {
	look := everybody().without(os.Getpid())
	return look.kin(func(info Info) bool { return !info.zombie() && marked(info.PID, marker) })
}

// without leaves out a process and the line of its parents.
func (t table) without(pid int) table {
	for pid > 0 {
		info, there := t[pid]
		if !there {
			break
		}
		delete(t, pid)
		pid = info.PPID
	}
	return t
}

// KillMarked kills what FindMarked finds, again and again until nothing is left
// or ctx ends. A process is killed only if its start time is still the one it was
// found with. The error names what was left, or could not be killed.
func KillMarked(ctx context.Context, marker string) (killed []Info, err error) {
	return killAll(ctx, false, func() []Info { return FindMarked(marker) })
}

// Orphans are the living orphans that have come to this process by adoption, and
// their descendants: what has outlived its parents, whoever they were. After all
// trees are stopped nothing should be among them but what left its session and
// overwrote its environment. Empty where there is no adoption (macOS, or Subreap
// not called).
func Orphans() []Info {
	look := table{}
	look.descend(adoptedPIDs())
	return look.kin(func(Info) bool { return true })
}

// KillOrphans kills the Orphans until none is left or ctx ends.
func KillOrphans(ctx context.Context) (killed []Info, err error) {
	return killAll(ctx, false, Orphans)
}

// killAll kills until two looks in a row find nothing: what forks while it is
// being looked for can hide from one. gone: the first of them has been taken. Who
// was killed counts as found until he is dead: on a busy machine that takes a
// while, in which nothing but his number may tell of him any more.
func killAll(ctx context.Context, gone bool, find func() []Info) (killed []Info, err error) {
	met := map[int]Info{}
	pause := pauses{}
	for {
		found := find()
		found = append(found, dying(met, found)...)
		if len(found) == 0 && gone {
			return killed, nil
		}
		if gone = len(found) == 0; gone {
			continue
		}
		killLed(found)
		var refused error
		for _, info := range found {
			if err := kill(info, unix.SIGKILL); err != nil {
				refused = errors.Join(refused, err)
			} else if met[info.PID].StartTime != info.StartTime {
				met[info.PID] = info
				killed = append(killed, info)
			}
		}
		reapAdopted()
		select {
		case <-ctx.Done():
			return killed, fmt.Errorf("kill %v: %w", found, errors.Join(refused, context.Cause(ctx)))
		case <-time.After(pause.next()):
		}
	}
}

// dying are those who were met, live, and are not among found.
func dying(met map[int]Info, found []Info) (list []Info) {
	for pid, info := range met {
		again := slices.ContainsFunc(found, func(f Info) bool { return f.PID == pid })
		if !again && Alive(pid, info.StartTime) {
			list = append(list, info)
		}
	}
	return list
}

// killLed kills the process groups that members lead, each at one stroke: a child
// that is born between a look and a kill, in a session that nobody knows and with
// an environment of its own, dies with its group. It does not go as far as
// killGroups: a group without its leader among the members may be led by one of
// those whom a look has spared, the asking process and its ancestors.
func killLed(members []Info) {
	own := unix.Getpgrp() // a pipeline's, perhaps, whose first process is a member
	for _, info := range members {
		if info.PID == info.PGID && info.PGID != own && info.PGID > 1 && Alive(info.PID, info.StartTime) { // else the number may be another's
			_ = unix.Kill(-info.PGID, unix.SIGKILL) // each member is killed by itself too
		}
	}
}

// pauses grow from one millisecond to twenty-five: most of what is killed is
// gone at once, and the rest is not worth a busy processor.
type pauses struct{ last time.Duration }

func (p *pauses) next() time.Duration {
	p.last = min(max(time.Millisecond, 2*p.last), 25*time.Millisecond)
	return p.last
}

// marked tells whether a process of this user has the marker among what it was
// started with.
func marked(pid int, marker string) bool { return holds(environment(pid), marker) }

// writesTo tells whether a process has the pipe as standard output or error.
func writesTo(pid int, pipe string) bool { return slices.Contains(outputs(pid), pipe) }

// holds tells whether one of the NUL-ended strings is the marker.
func holds(environ []byte, marker string) bool {
	for entry := range bytes.SplitSeq(environ, []byte{0}) {
		if string(entry) == marker {
			return true
		}
	}
	return false
}

// processArguments takes the environment out of what sysctl kern.procargs2
// returns on macOS (xnu, bsd/kern/kern_sysctl.c): the count of arguments as a
// native 32-bit integer, the path of the program, NULs up to a word's end, the
// arguments and the environment, each ended by a NUL.
func processArguments(raw []byte) (environ []byte, ok bool) {
	if len(raw) < 4 {
		return nil, false
	}
	count := int32(binary.NativeEndian.Uint32(raw)) //nolint:gosec // G115: the kernel writes an int
	rest := raw[4:]
	end := bytes.IndexByte(rest, 0)
	if end < 0 {
		return nil, false
	}
	rest = bytes.TrimLeft(rest[end:], "\x00")
	for range count {
		end := bytes.IndexByte(rest, 0)
		if end < 0 {
			return nil, false
		}
		rest = rest[end+1:]
	}
	return rest, true
}
