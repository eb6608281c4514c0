package proc

import "time"

// Load is what a tree uses.
type Load struct {
	CPU time.Duration // so far, user and system, of those who still live
	RSS int64         // resident bytes; memory that processes share is counted for each
}

// Loads measures many trees in one look at the process table. Descendants are
// known by their line of parents alone: who has left it is not counted. A tree
// that has ended has no load.
func Loads(processes []*Process) []Load {
	look := everybody()
	leaders := map[int]int{} // PID → index
	for i, p := range processes {
		if look[p.pid].StartTime == p.start {
			leaders[p.pid] = i
		}
	}
	members := look.kin(func(info Info) bool { _, ok := leaders[info.PID]; return ok })
	measure(members)
	loads := make([]Load, len(processes))
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
