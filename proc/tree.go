package proc

import (
	"bytes"
	"maps"
	"os"
	"slices"
)

// table is a set of processes by PID, read at about the same time.
type table map[int]Info

// descendants returns the living seeds and their living descendants. Parents precede
// their children; siblings are ordered by PID. It may call seed for any process that
// does not descend from another seed.
func (t table) descendants(seed func(Info) bool) []Info {
	children := map[int][]int{}
	pids := slices.Sorted(maps.Keys(t))
	for _, pid := range pids {
		if parent := t[pid].PPID; parent != pid {
			children[parent] = append(children[parent], pid)
		}
	}
	var members []Info
	seen := map[int]bool{}
	var add func(pid int)
	add = func(pid int) {
		if seen[pid] {
			return
		}
		seen[pid] = true
		if info := t[pid]; !info.zombie() {
			members = append(members, info)
		}
		for _, child := range children[pid] {
			add(child)
		}
	}
	for _, pid := range pids {
		if !seen[pid] && seed(t[pid]) {
			add(pid)
		}
	}
	return members
}

// without removes a process and its ancestors.
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

// matcher decides by criteria other than descent whether a process belongs to a tree.
type matcher struct {
	leaders map[int]string  // start times by PID
	known   map[int]string  // start times of members seen earlier
	groups  map[int]bool    // sessions and process groups
	pipes   map[string]bool // the kernel's names for the tree's output pipes
	markers map[string]bool
}

// matches checks output and environment last, since they need additional reads.
func (m matcher) matches(info Info) bool {
	if start, ok := m.leaders[info.PID]; ok {
		return info.StartTime == start
	}
	if start, ok := m.known[info.PID]; ok && start == info.StartTime {
		return true
	}
	if m.groups[info.SID] || m.groups[info.PGID] {
		return true
	}
	if info.zombie() || info.PID == os.Getpid() {
		return false
	}
	for _, name := range outputs(info.PID) {
		if m.pipes[name] {
			return true
		}
	}
	for entry := range bytes.SplitSeq(environment(info.PID), []byte{0}) {
		if m.markers[string(entry)] {
			return true
		}
	}
	return false
}

// Tree returns the leader and its living descendants, with their CPU time and
// memory. A descendant is recognized by its parents, by the leader's session or
// process group, by the marker, by having been recognized earlier and, on Linux, by
// writing to the pipe that the leader was given.
func (p *Process) Tree() []Info {
	members := p.tree()
	measure(members)
	return members
}

func (p *Process) tree() []Info {
	t := readTree(p.pid)
	leader, there := t[p.pid]
	members := t.descendants(p.matcher(there && !leader.zombie() && leader.StartTime != p.start).matches)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known = startTimes(members)
	return members
}

// matcher returns the matcher of this tree. reused means that the leader's PID now
// belongs to another process.
func (p *Process) matcher(reused bool) matcher {
	p.mu.Lock()
	defer p.mu.Unlock()
	return matcher{
		leaders: map[int]string{p.pid: p.start},
		known:   p.known,
		groups:  map[int]bool{p.pid: !reused},
		pipes:   map[string]bool{p.pipe: p.pipe != ""},
		markers: map[string]bool{p.marker: p.marker != ""},
	}
}

func startTimes(processes []Info) map[int]string {
	times := map[int]string{}
	for _, info := range processes {
		times[info.PID] = info.StartTime
	}
	return times
}

// Owns reports whether a living process is the leader or one of its descendants. It
// reads only that process and its ancestors.
func (p *Process) Owns(pid int) bool {
	start, err := StartTime(p.pid)
	m := p.matcher(err == nil && start != p.start)
	for depth := 0; pid > 1 && pid != os.Getpid() && depth < maxDepth; depth++ {
		info, err := inspect(pid)
		if err != nil || depth == 0 && info.zombie() {
			return false
		}
		if m.matches(info) {
			return true
		}
		pid = info.PPID
	}
	return false
}

// maxDepth bounds a walk over parents that change during the walk.
const maxDepth = 1000
