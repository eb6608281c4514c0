package proc

import (
	"maps"
	"os"
	"slices"
)

// table is one look at processes, by PID.
type table map[int]Info

// kin picks the living members of a tree: the seeds and all that descends from
// them. Parents come before their children, siblings by PID. seed may be asked
// of any process that is not known to descend from another seed.
func (t table) kin(seed func(Info) bool) []Info {
	children := map[int][]int{}
	pids := slices.Sorted(maps.Keys(t))
	for _, pid := range pids {
		if parent := t[pid].PPID; parent != pid {
			children[parent] = append(children[parent], pid)
		}
	}
	var members []Info
	seen := map[int]bool{}
	var take func(pid int)
	take = func(pid int) {
		if seen[pid] {
			return
		}
		seen[pid] = true
		if info := t[pid]; !info.zombie() {
			members = append(members, info)
		}
		for _, child := range children[pid] {
			take(child)
		}
	}
	for _, pid := range pids {
		if !seen[pid] && seed(t[pid]) {
			take(pid)
		}
	}
	return members
}

// lineage tells who belongs to the tree of one leader, apart from descent.
type lineage struct {
	leader int
	start  string
	marker string
	pipe   string         // the pipe of the tree's output, as the kernel names it; empty: not known
	passed bool           // the leader's number is another process's now
	known  map[int]string // start times of members seen earlier
}

// member judges by what the kernel says of the process itself, then by where its
// output goes and by the marker, which cost a further look.
func (l lineage) member(info Info) bool {
	if info.PID == l.leader {
		return info.StartTime == l.start
	}
	if start, ok := l.known[info.PID]; ok && start == info.StartTime {
		return true
	}
	if !l.passed && (info.SID == l.leader || info.PGID == l.leader) {
		return true
	}
	if info.zombie() || info.PID == os.Getpid() {
		return false
	}
	return l.pipe != "" && writesTo(info.PID, l.pipe) || l.marker != "" && marked(info.PID, l.marker)
}

// Tree is the leader and its living descendants, zombies excluded, with their
// CPU time and memory. A descendant is known by its line of parents, by the
// leader's session or process group, by the marker, by having been seen as one
// earlier, and on Linux by writing to the pipe that the leader was given.
func (p *Process) Tree() []Info {
	members := p.tree()
	measure(members)
	return members
}

func (p *Process) tree() []Info {
	look := survey(p.pid)
	line := p.lineage()
	if there, ok := look[p.pid]; ok && !there.zombie() && there.StartTime != p.start {
		line.passed = true
	}
	members := look.kin(line.member)
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.known)
	for _, info := range members {
		p.known[info.PID] = info.StartTime
	}
	return members
}

func (p *Process) lineage() lineage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return lineage{leader: p.pid, start: p.start, marker: p.marker, pipe: p.pipe, known: maps.Clone(p.known)}
}

// Owns tells whether a living process is the leader or one of its descendants.
// It reads only the process and its ancestors: cheap enough to ask at every probe.
func (p *Process) Owns(pid int) bool {
	line := p.lineage()
	if start, err := StartTime(p.pid); err == nil && start != p.start {
		line.passed = true
	}
	for depth := 0; pid > 1 && pid != os.Getpid() && depth < maxDepth; depth++ {
		info, err := inspect(pid)
		if err != nil || depth == 0 && info.zombie() {
			return false
		}
		if line.member(info) {
			return true
		}
		pid = info.PPID
	}
	return false
}

// maxDepth ends a walk over parents that change meanwhile.
const maxDepth = 1000
