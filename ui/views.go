package ui

import (
	"slices"
	"strconv"
	"strings"

	"silo/state"
)

// Tunnels prints each silo's address and what it leads to. A terminal gets the
// troubles of the tunnels with their hints below; a pipe gets the error as the
// last column, "-" where there is none.
func (p *Printer) Tunnels(s state.Snapshot) {
	columns := []column{{head: "SILO"}, {head: "ADDRESS", whole: true}}
	if p.terminal {
		columns = append(columns, column{rank: 2}, column{head: "UPSTREAM", rank: 1}, column{head: "STATE"})
	} else {
		columns = append(columns, column{head: "UPSTREAM"}, column{head: "STATE"}, column{head: "BROWSE"}, column{head: "ERROR"})
	}
	if p.terminal && browsable(s) {
		columns = append(columns, column{head: "IN A BROWSER", rank: 3, whole: true})
	}
	var troubles []string
	rows := make([][]cell, len(s.Silos))
	for i, silo := range s.Silos {
		rows[i] = p.tunnelRow(silo)[:len(columns)]
		if t, is := p.tunnelTrouble(silo); is {
			troubles = append(troubles, p.tell(t)...)
		}
	}
	lines := p.table(columns, rows)
	if p.terminal && len(troubles) > 0 {
		lines = append(append(lines, ""), troubles...)
	}
	p.print(lines)
}

func (p *Printer) tunnelRow(silo state.Silo) []cell {
	upstream := clean(silo.Bind)
	if upstream == "" && silo.Port != 0 {
		upstream = "127.0.0.1:" + strconv.Itoa(silo.Port)
	}
	row := []cell{{text: clean(silo.Name)}, p.known(clean(silo.URL), link)}
	if p.terminal {
		row = append(row, cell{text: p.glyphs.arrow, ink: muted})
	}
	row = append(row, p.known(upstream, muted), p.look(string(silo.Tunnel.State))(p.tunnelLook(silo.Tunnel.State)), p.known(browse(silo), link))
	if !p.terminal {
		text := ""
		if silo.Tunnel.Error != nil {
			text = tunnelText(silo.Tunnel)
		}
		row = append(row, p.known(text, plain))
	}
	return row
}

// browse is a silo's address for browsers, or empty.
func browse(silo state.Silo) string {
	if silo.BrowseURL == nil {
		return ""
	}
	return clean(*silo.BrowseURL)
}

// browsable tells whether browsers have addresses of their own.
func browsable(s state.Snapshot) bool {
	return slices.ContainsFunc(s.Silos, func(silo state.Silo) bool { return silo.BrowseURL != nil })
}

// Instances prints one row an instance, with the path of its topology file last.
// Of those whose file is in silent no more is known than what they once said.
func (p *Printer) Instances(all []state.Snapshot, silent map[string]bool) {
	if p.terminal && len(all) == 0 {
		p.print([]string{p.paint(muted, "no instances on this machine")})
		return
	}
	columns := []column{
		{head: "NAME"},
		{head: "STATE"},
		{head: "READY", rank: 1},
		{head: "TUNNELS", rank: 4},
		{head: "PID", rank: 3, right: true},
		{head: "UPTIME", rank: 2, right: true},
		{head: "FILE", whole: true},
	}
	rows := make([][]cell, len(all))
	for i, s := range all {
		rows[i] = p.instanceRow(s, silent[s.File])
	}
	p.print(p.table(columns, rows))
}

func (p *Printer) instanceRow(s state.Snapshot, silent bool) []cell {
	ready, pid, uptime, look := 0, 0, "", plain
	for _, silo := range s.Silos {
		if silo.State == state.Ready {
			ready++
		}
	}
	if s.PID != nil {
		pid = *s.PID
	}
	if s.State == state.InstanceStopped {
		look = muted
	} else if s.StartedAt != nil {
		uptime = Duration(p.now().Sub(*s.StartedAt))
	}
	stands := p.look(string(s.State))(p.conditionLook(s.State))
	census := strconv.Itoa(ready) + "/" + strconv.Itoa(len(s.Silos))
	if silent {
		stands, census = p.look("silent")(p.glyphs.trouble, warn), "?/"+strconv.Itoa(len(s.Silos))
	}
	return []cell{
		{text: clean(s.Name), ink: look},
		stands,
		{text: census, ink: look},
		p.known(clean(s.Provider), muted),
		p.number(pid, look),
		p.known(uptime, look),
		p.known(clean(s.File), muted),
	}
}

// Diff prints a unified diff (the format of diff -u), coloured by line.
func (p *Printer) Diff(unified string) {
	lines := strings.Split(strings.TrimSuffix(unified, "\n"), "\n")
	for i, line := range lines {
		line = strings.TrimSuffix(line, "\r")
		switch {
		case strings.HasPrefix(line, "+++ "), strings.HasPrefix(line, "--- "):
			line = p.paint(strong, line)
		case strings.HasPrefix(line, "@@"):
			line = p.paint(busy, line)
		case strings.HasPrefix(line, "+"):
			line = p.paint(good, line)
		case strings.HasPrefix(line, "-"):
			line = p.paint(gone, line)
		}
		lines[i] = line
	}
	p.print(lines)
}

// Prefix is what stands before a log line of a silo: its name in its colour,
// padded to the longest of names, and a bar. Names are all silos in their order,
// which also gives each region its colour. It has no state: a caller that prints
// many lines keeps what it got.
func (p *Printer) Prefix(silo string, names []string) string {
	longest, which, regions := width(silo), link, 0
	for _, name := range names {
		longest = max(longest, width(name))
		if name == control {
			continue
		}
		if name == silo {
			which = region + ink(regions%regionInks)
		}
		regions++
	}
	return p.paint(which, silo+spaces(longest-width(silo))+" |") + " "
}

// control is the name of the control silo, which every topology has.
const control = "control"
