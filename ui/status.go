package ui

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"silo/state"
)

// Status prints an instance.
//
// On a terminal: a headline, one row per silo, and each problem with a hint. Columns that
// do not fit are dropped, the least important first; an address is never cut. In a pipe:
// only the table, with upper-case heads and one row per silo. All columns are present, in a
// fixed order; MANAGED only if a silo is unmanaged. Each is one word, "-" if absent, except the last, the reason, which may
// contain spaces.
func (p *Printer) Status(s state.Snapshot) { p.print(p.status(s, p.newTable())) }

func (p *Printer) status(s state.Snapshot, silos *table) []string {
	if !p.terminal {
		return silos.lines(p.siloRows(s, silos))
	}
	return p.statusPage(s, p.uptime(s), silos)
}

// Ready prints the summary of `silo up`: headline, table, the address for browsers and
// the next commands. program is the command line that runs silo for this instance.
// joined means that the instance was already running, so that there is no start to
// measure. A pipe gets the same without colour.
func (p *Printer) Ready(s state.Snapshot, program string, joined bool) {
	elapsed := startTime(s)
	if joined {
		elapsed = p.uptime(s)
	}
	lines := append(p.statusPage(s, elapsed, p.newTable()), "")
	const labels = 11
	if hasBrowseURLs(s) {
		control := browseURL(s.Silos[0])
		lines = append(lines, p.label("browse", labels)+p.paint(link, control))
		if len(s.Silos) > 1 {
			lines = append(lines, p.label("", labels)+p.paint(link, strings.Replace(control, "://", "://REGION.", 1)))
		}
		lines = append(lines, "")
	}
	commands := [][2]string{{" status", "show status"}, {" logs -f", "follow logs"}}
	if s.Dashboard != nil {
		commands = append(commands, [2]string{" dashboard", "open the dashboard in a browser"})
	}
	commands = append(commands, [2]string{" down", "stop everything"})
	label := "next"
	for _, next := range commands {
		lines = append(lines, p.label(label, labels)+pad(program+next[0], len(program+" dashboard   "))+p.paint(muted, next[1]))
		label = ""
	}
	p.print(lines)
}

// statusPage returns headline, table and issues.
func (p *Printer) statusPage(s state.Snapshot, elapsed string, silos *table) []string {
	lines := p.headline(s, elapsed)
	if len(s.Silos) > 0 {
		lines = append(append(lines, ""), silos.lines(p.siloRows(s, silos))...)
	}
	if issues := p.issues(s); len(issues) > 0 {
		lines = append(append(lines, ""), issues...)
	}
	return lines
}

func (p *Printer) headline(s state.Snapshot, elapsed string) []string {
	tunnels, dialect := tunnelProvider(s.Provider), ""
	if s.Dialect != "" {
		dialect = "dialect " + clean(s.Dialect)
	}
	return p.newTable(column{}, column{}, column{}, column{drop: 2}, column{drop: 3}, column{drop: 1}).lines([][]cell{{
		{text: clean(s.Name), style: strong},
		p.state(string(s.State)),
		{text: siloCount(s)},
		{text: tunnels, style: muted},
		{text: dialect, style: muted},
		{text: elapsed, style: muted},
	}})
}

// siloCount returns the number of silos, and of ready ones unless all are ready.
func siloCount(s state.Snapshot) string {
	ready := readySilos(s)
	switch {
	case s.Mode == "monolith":
		return "monolith"
	case len(s.Silos) == 0:
		return "no silos"
	case ready == len(s.Silos) || s.State == state.InstanceStopped:
		return count(len(s.Silos), "silo")
	}
	return fmt.Sprintf("%d of %s ready", ready, count(len(s.Silos), "silo"))
}

func readySilos(s state.Snapshot) (n int) {
	for _, silo := range s.Silos {
		if silo.State == state.Ready {
			n++
		}
	}
	return n
}

func tunnelProvider(provider string) string {
	switch provider {
	case "":
		return ""
	case "none":
		return "no tunnels"
	}
	return clean(provider) + " tunnels"
}

func (p *Printer) uptime(s state.Snapshot) string {
	if s.StartedAt == nil || s.State == state.InstanceStopped {
		return ""
	}
	return "up " + Duration(p.now().Sub(*s.StartedAt))
}

// startTime returns how long it took until the last silo was ready.
func startTime(s state.Snapshot) string {
	var last time.Time
	for _, silo := range s.Silos {
		if ready := value(silo.ReadyAt); ready.After(last) {
			last = ready
		}
	}
	if s.StartedAt == nil || last.IsZero() {
		return ""
	}
	return "took " + Duration(last.Sub(*s.StartedAt))
}

// siloRows sets the columns of the silos' table and returns its rows.
func (p *Printer) siloRows(s state.Snapshot, t *table) [][]cell {
	restarts, tunnel, managed := 7, hidden, hidden
	if !p.terminal {
		tunnel = pipeOnly
	}
	rows := make([][]cell, len(s.Silos))
	for i, silo := range s.Silos {
		rows[i] = p.siloRow(s, silo)
		if !s.Manages(silo) {
			managed = 0
		}
		if silo.Restarts > 0 {
			restarts = 1 // users need these
		}
		if p.terminal && (silo.Tunnel.Error != nil || silo.Tunnel.State != state.TunnelOnline && silo.Tunnel.State != state.TunnelNone) {
			tunnel = terminalOnly
		}
		if s.State == state.InstanceStopped {
			for c := range rows[i] {
				if silo.State != state.Failed || c != 3 {
					rows[i][c].style = muted
				}
			}
		}
	}
	t.columns = []column{
		{head: "SILO"},
		{head: "MODE", drop: 6},
		{head: "ID", drop: 8, right: true},
		{head: "STATE"},
		{head: "URL", below: true},
		{head: "PORT", drop: 3, right: true},
		{head: "PID", drop: 4, right: true},
		{head: "UPTIME", drop: 5, right: true},
		{head: "CPU", drop: 10, right: true},
		{head: "MEM", drop: 9, right: true},
		{head: "RESTARTS", drop: restarts, right: true},
		{head: "MANAGED", drop: 2, only: managed},
		{head: "TUNNEL", drop: 2, only: tunnel},
		{head: "REASON", only: pipeOnly},
	}
	return rows
}

func (p *Printer) siloRow(s state.Snapshot, silo state.Silo) []cell {
	uptime, cpu, memory, managed, restarts := "", "", "", "yes", muted
	switch {
	case silo.Debug:
		managed = "debug"
	case !s.Manages(silo):
		managed = "no"
	}
	if silo.StartedAt != nil && silo.PID != nil {
		uptime = Duration(p.now().Sub(*silo.StartedAt))
	}
	if silo.CPUPercent != nil {
		cpu = fmt.Sprintf("%.1f%%", *silo.CPUPercent)
	}
	if silo.RSSBytes != nil {
		memory = p.bytes(*silo.RSSBytes)
	}
	if silo.Restarts > 0 {
		restarts = warn
	}
	return []cell{
		{text: clean(silo.Name)},
		{text: string(silo.Mode), style: muted},
		p.positive(value(silo.RegionID), muted),
		p.state(string(silo.State)),
		p.known(clean(silo.URL), link),
		p.positive(silo.Port, plain),
		p.positive(value(silo.PID), plain),
		p.known(uptime, plain),
		p.known(cpu, muted),
		p.known(memory, muted),
		{text: strconv.Itoa(silo.Restarts), style: restarts},
		{text: managed, style: muted},
		p.state(string(silo.Tunnel.State)),
		p.known(p.reason(silo), plain),
	}
}

// positive returns the cell of a positive number; 0 is absent.
func (p *Printer) positive(n int, s style) cell {
	if n == 0 {
		return p.known("", s)
	}
	return cell{text: strconv.Itoa(n), style: s}
}

// bytes formats a size, in a pipe as one word.
func (p *Printer) bytes(n int64) string {
	if p.terminal {
		return Bytes(n)
	}
	return strings.ReplaceAll(Bytes(n), " ", "")
}
