package proc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// settle is how long nothing has to be left before an inheritance counts as
// ended: what was just being started when its parent died comes to light by then.
const settle = 50 * time.Millisecond

// Journal is what a process that has died had planted and not swept.
type Journal struct {
	leaders map[int]note
	unborn  map[string]note // trees whose leaders are not known, by markers and pipes
	known   map[int]string  // start times of the members seen so far, by PID
	first   []Info          // whom the first look has found
}

// ReadJournal is the guardian's first act: it reads the record that the dead process
// kept, and looks who is there. The rest is End.
func ReadJournal(record io.ReaderAt) (*Journal, error) {
	in := &Journal{leaders: map[int]note{}, unborn: map[string]note{}, known: map[int]string{}}
	lines := json.NewDecoder(io.NewSectionReader(record, 0, math.MaxInt64))
	for {
		var n note
		err := lines.Decode(&n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break // at the end, or at a line that death has cut off
		}
		if err != nil {
			return nil, fmt.Errorf("read the record of processes: %w", err)
		}
		in.take(n)
	}
	// Leaders may be on their way out by the kernel's signal: while they are there
	// they show what has no other sign of them.
	in.first = in.look()
	return in, nil
}

// take follows one line of the record.
func (in *Journal) take(n note) {
	switch {
	case n.Birth == expected:
		in.unborn[n.Marker+n.Pipe] = n
	case n.Birth == miscarriage:
		delete(in.unborn, n.Marker+n.Pipe)
	case n.Gone != 0:
		delete(in.leaders, n.Gone)
	default:
		delete(in.unborn, n.Marker+n.Pipe)
		in.leaders[n.Leader] = n
	}
}

// End ends all of it, and returns what was there. Each process is sent TERM, has
// until grace is over or ctx ends, and is killed then; what comes up afterwards is
// killed at once, until a last look finds nothing. The error names what could not
// be killed five seconds after the grace.
func (in *Journal) End(ctx context.Context, grace time.Duration) ([]Info, error) {
	met := map[int]Info{}
	if grace > 0 {
		in.ask(ctx, grace, met)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killLimit)
	defer cancel()
	for settled := false; ; {
		left := in.look()
		if len(left) == 0 && settled {
			return inOrder(met), nil
		}
		killGroups(left)
		for _, info := range left {
			met[info.PID] = info
			_ = kill(info, unix.SIGKILL) // who cannot be killed is seen again
		}
		if settled = len(left) == 0; settled {
			await(ctx.Done(), settle)
		} else {
			awaitGone(ctx, left)
		}
		if ctx.Err() != nil {
			return inOrder(met), fmt.Errorf("kill %v: %w", left, context.Cause(ctx))
		}
	}
}

// ask tells everybody to go, and waits for it.
func (in *Journal) ask(ctx context.Context, grace time.Duration, met map[int]Info) {
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	told := map[int]string{}
	for left := in.first; len(left) > 0 && ctx.Err() == nil; left = in.look() {
		for _, info := range left {
			met[info.PID] = info
		}
		tellRest(left, unix.SIGTERM, told)
		awaitGone(ctx, left)
	}
}

// awaitGone blocks until processes have gone, or ctx ends. It looks at them alone: a
// look at all is dear on a busy machine.
func awaitGone(ctx context.Context, processes []Info) {
	for pause := (pauses{}); len(processes) > 0; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause.next()):
		}
		processes = slices.DeleteFunc(processes, func(info Info) bool { return !Alive(info.PID, info.StartTime) })
	}
}

func inOrder(met map[int]Info) []Info {
	var list []Info
	for _, pid := range slices.Sorted(maps.Keys(met)) {
		list = append(list, met[pid])
	}
	return list
}

// look finds who lives of it, and remembers them.
func (in *Journal) look() []Info {
	look := everybody().without(os.Getpid())
	kin := in.kinship(look)
	members := look.kin(kin.member)
	clear(in.known)
	for _, info := range members {
		in.known[info.PID] = info.StartTime
	}
	return members
}

// kinship tells who belongs to any of many trees, at the cost of one.
type kinship struct {
	*Journal
	since   float64         // nobody belongs to them who started before the first leader
	numbers map[int]bool    // sessions and groups of leaders whose number has not passed to others
	pipes   map[string]bool // where trees write to
	markers map[string]bool
}

func (in *Journal) kinship(look table) kinship {
	k := kinship{Journal: in, since: math.Inf(1), numbers: map[int]bool{}, pipes: map[string]bool{}, markers: map[string]bool{}}
	for pid, n := range in.leaders {
		k.since = min(k.since, moment(n.Start))
		there, found := look[pid]
		k.numbers[pid] = !found || there.zombie() || there.StartTime == n.Start
		k.pipes[n.Pipe] = n.Pipe != ""
		k.markers[n.Marker] = n.Marker != ""
	}
	for _, n := range in.unborn {
		k.since = min(k.since, moment(n.Start))
		k.pipes[n.Pipe] = n.Pipe != ""
		k.markers[n.Marker] = n.Marker != ""
	}
	return k
}

// member judges as lineage.member does, the cheap signs first.
func (k kinship) member(info Info) bool {
	if n, ok := k.leaders[info.PID]; ok {
		return info.StartTime == n.Start
	}
	if start, ok := k.known[info.PID]; ok && start == info.StartTime {
		return true
	}
	if k.numbers[info.SID] || k.numbers[info.PGID] {
		return true
	}
	if info.zombie() || steadyStarts && moment(info.StartTime) < k.since {
		return false
	}
	for _, name := range outputs(info.PID) {
		if k.pipes[name] {
			return true
		}
	}
	for entry := range bytes.SplitSeq(environment(info.PID), []byte{0}) {
		if k.markers[string(entry)] {
			return true
		}
	}
	return false
}

// moment makes start times comparable: both systems write them as numbers.
func moment(startTime string) float64 {
	number, _ := strconv.ParseFloat(startTime, 64) // 0, the beginning, where it is not known
	return number
}
