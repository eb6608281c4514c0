package ui

import (
	"fmt"

	"silo/state"
)

// Instances prints one row per instance, with the path of its topology file last.
// silent contains the files of those whose supervisor does not answer: their snapshots
// are the last known ones.
func (p *Printer) Instances(all []state.Snapshot, silent map[string]bool) {
	if p.terminal && len(all) == 0 {
		p.print([]string{p.paint(muted, "no instances on this machine")})
		return
	}
	t := p.newTable(
		column{head: "NAME"},
		column{head: "STATE"},
		column{head: "READY", drop: 1},
		column{head: "TUNNELS", drop: 4},
		column{head: "PID", drop: 3, right: true},
		column{head: "UPTIME", drop: 2, right: true},
		column{head: "FILE", below: true},
	)
	rows := make([][]cell, len(all))
	for i, s := range all {
		rows[i] = p.instanceRow(s, silent[s.File])
	}
	p.print(t.lines(rows))
}

func (p *Printer) instanceRow(s state.Snapshot, silent bool) []cell {
	uptime, style := "", plain
	if s.State == state.InstanceStopped {
		style = muted
	} else if s.StartedAt != nil {
		uptime = Duration(p.now().Sub(*s.StartedAt))
	}
	condition, ready := string(s.State), fmt.Sprint(readySilos(s))
	if silent {
		condition, ready = "silent", "?"
	}
	return []cell{
		{text: clean(s.Name), style: style},
		p.state(condition),
		{text: fmt.Sprintf("%s/%d", ready, len(s.Silos)), style: style},
		p.known(clean(s.Provider), muted),
		p.positive(value(s.PID), style),
		p.known(uptime, style),
		p.known(clean(s.File), muted),
	}
}
