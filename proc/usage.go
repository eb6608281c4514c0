package proc

import "time"

// Usage is the resource usage of a tree.
type Usage struct {
	CPU time.Duration // user and system time of its living processes
	RSS int64         // resident bytes; memory that processes share counts for each
}

// Measure measures many trees with one read of the process table. It follows only
// the parents of descendants, so a daemon is not counted. A tree that has ended uses
// nothing.
func Measure(processes []*Process) []Usage {
	all := readAll(1)
	leaders := map[int]int{} // PID → index
	for i, p := range processes {
		if all[p.pid].StartTime == p.start {
			leaders[p.pid] = i
		}
	}
	members := all.descendants(func(info Info) bool { _, ok := leaders[info.PID]; return ok })
	measure(members)
	usages := make([]Usage, len(processes))
	owner := map[int]int{}
	for _, info := range members { // parents precede their children
		i, ok := leaders[info.PID]
		if !ok {
			i = owner[info.PPID]
		}
		owner[info.PID] = i
		usages[i].CPU += info.CPU
		usages[i].RSS += info.RSS
	}
	return usages
}
