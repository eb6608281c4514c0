package proc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"silo/wait"
)

// settleTime is how long a journal's trees must be empty before they count as ended: a
// process being forked appears within that time.
const settleTime = 50 * time.Millisecond

// entry is one line of the journal, which a Guard writes and its guardian reads.
type entry struct {
	Leader int    `json:"leader,omitempty"`
	Start  string `json:"start,omitempty"` // start time of the leader
	Marker string `json:"marker,omitempty"`
	Pipe   string `json:"pipe,omitempty"`
	Swept  int    `json:"gone,omitempty"` // the leader of a tree that has ended
	Fork   fork   `json:"birth,omitempty"`
}

// fork is set in entries without a leader. If this process dies between a fork and the
// entry with its leader, only marker and pipe identify the tree.
type fork string

const (
	starting fork = "expected"
	aborted  fork = "miscarriage"
)

// Journal contains the trees that a dead process started but did not sweep.
type Journal struct {
	leaders map[int]entry
	pending map[string]entry // trees with unknown leaders, by marker and pipe
	known   map[int]string   // start times of the members seen so far, by PID
	first   []Info           // the members found by ReadJournal
}

// ReadJournal reads the journal of a dead process, and looks for the members of its trees
// at once: a death signal may be about to end the leaders, and while they exist they show
// which processes descend from them.
func ReadJournal(file io.ReaderAt) (*Journal, error) {
	j := &Journal{leaders: map[int]entry{}, pending: map[string]entry{}, known: map[int]string{}}
	lines := json.NewDecoder(io.NewSectionReader(file, 0, math.MaxInt64))
	for {
		var e entry
		err := lines.Decode(&e)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break // the last line may be incomplete
		}
		if err != nil {
			return nil, fmt.Errorf("read the journal of processes: %w", err)
		}
		j.apply(e)
	}
	j.first = j.members()
	return j, nil
}

func (j *Journal) apply(e entry) {
	switch {
	case e.Fork == starting:
		j.pending[e.Marker+e.Pipe] = e
	case e.Fork == aborted:
		delete(j.pending, e.Marker+e.Pipe)
	case e.Swept != 0:
		delete(j.leaders, e.Swept)
	default:
		delete(j.pending, e.Marker+e.Pipe)
		j.leaders[e.Leader] = e
	}
}

// End ends all trees and returns their processes. Each gets TERM, and is killed when
// grace expires or ctx ends. Processes that appear later are killed at once. The error
// names what could not be killed within five seconds after the grace.
func (j *Journal) End(ctx context.Context, grace time.Duration) ([]Info, error) {
	found := map[int]Info{}
	j.terminate(ctx, grace, found)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killTimeout)
	defer cancel()
	killed, err := killAll(ctx, settleTime, func() []Info {
		left := j.members()
		killGroups(left)
		return left
	})
	for _, info := range killed {
		found[info.PID] = info
	}
	return slices.SortedFunc(maps.Values(found), func(a, b Info) int { return a.PID - b.PID }), err
}

// terminate sends TERM to all members and waits until they have ended or grace is
// over.
func (j *Journal) terminate(ctx context.Context, grace time.Duration, found map[int]Info) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	signaled := map[int]string{}
	for left := j.first; len(left) > 0 && ctx.Err() == nil; left = j.members() {
		for _, info := range left {
			found[info.PID] = info
		}
		signalRest(left, unix.SIGTERM, signaled)
		for retry := (backoff{}); len(left) > 0 && wait.Sleep(ctx, retry.next()); {
			left = slices.DeleteFunc(left, func(info Info) bool { return !Alive(info.PID, info.StartTime) })
		}
	}
}

// members returns the living members of all trees, and records them.
func (j *Journal) members() []Info {
	all := readAll(sweepRounds).without(os.Getpid())
	members := all.descendants(j.matcher(all).matches)
	j.known = startTimes(members)
	return members
}

// matcher returns one matcher for all trees.
func (j *Journal) matcher(all table) matcher {
	m := matcher{leaders: map[int]string{}, known: j.known, groups: map[int]bool{}, pipes: map[string]bool{}, markers: map[string]bool{}}
	for pid, e := range j.leaders {
		leader, there := all[pid]
		m.leaders[pid] = e.Start
		m.groups[pid] = !there || leader.zombie() || leader.StartTime == e.Start // else the PID has been reused
		m.pipes[e.Pipe] = e.Pipe != ""
		m.markers[e.Marker] = e.Marker != ""
	}
	for _, e := range j.pending {
		m.pipes[e.Pipe] = e.Pipe != ""
		m.markers[e.Marker] = e.Marker != ""
	}
	return m
}
