package proc

import "time"

// Usage is what a tree uses.
type Usage struct {
	CPU time.Duration // so far, user and system, of those who still live
	RSS int64         // resident bytes; memory that processes share is counted for each
}

// Measure measures many trees in one look at the process table. Descendants are
// known by their line of parents alone: who has left it is not counted. A tree
// that has ended has no load.
func Measure(processes []*Process) []Usage {
	look := everybody()
	leaders := map[int]int{} // PID → index
	for i, p := range processes {
		if look[p.pid].StartTime == p.start {
			leaders[p.pid] = i
		}
	}
	members := look.kin(func(info Info) bool { _, ok := leaders[info.PID]; return ok })
	measure(members)
	loads := make([]Usage, len(processes))
	owner := map[int]int{}
	for _, info := range members { // parents come before their children
		i, ok := leaders[info.PID]
		if !ok {
			i = owner[info.PPID]
		}
		owner[info.PID] = i
		loads[i].CPU += info.CPU
		loads[i].RSS += info.RSS
	}
	return loads
}
