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
// On a terminal: a headline, one row a silo, and what is wrong with a hint for
// each. Columns that do not fit are left out, the least important first; an
// address is never cut. In a pipe: the table alone, its heads in upper case, one
// row a silo, every column always there in the same order and of one word, "-"
// for what is absent, and last the reason, which may have spaces.
func (p *Printer) Status(s state.Snapshot) { p.print(p.status(s, nil)) }

// status is Status after others; nil: alone.
func (p *Printer) status(s state.Snapshot, before *steady) []string {
	if !p.terminal {
		return p.silos(s, before)
	}
	return p.page(s, p.headline(s, p.uptime(s)), before)
}

// Ready prints what an `up` ends with: headline, table, the address for browsers,
// and the commands that one goes on with. program is how silo has to be called to
// be about this instance; joined says that it ran before, so that how long its
// start took says nothing. A pipe gets the same without colour.
func (p *Printer) Ready(s state.Snapshot, program string, joined bool) {
	spent := took(s)
	if joined {
		spent = p.uptime(s)
	}
	lines := p.page(s, p.headline(s, spent), nil)
	lines = append(lines, "")
	label := func(text string) string { return p.paint(muted, text+spaces(11-len(text))) }
	if browsable(s) {
		others := ""
		if len(s.Silos) > 1 {
			others = "   and each region by its name before that"
		}
		lines = append(lines, label("browse")+p.paint(link, browse(s.Silos[0]))+p.paint(muted, others), "")
	}
	commands := [][2]string{
		{program + " status", "how they are"},
		{program + " logs -f", "what they say"},
	}
	if s.Dashboard != nil {
		commands = append(commands, [2]string{program + " dashboard", "all of it in a browser"})
	}
	commands = append(commands, [2]string{program + " down", "ends them all"})
	width := len(program + " dashboard   ")
	for i, next := range commands {
		head := ""
		if i == 0 {
			head = "next"
		}
		lines = append(lines, label(head)+next[0]+spaces(width-len(next[0]))+p.paint(muted, next[1]))
	}
	p.print(lines)
}

// page is headline, table and troubles.
func (p *Printer) page(s state.Snapshot, headline string, before *steady) []string {
	lines := []string{headline}
	if len(s.Silos) > 0 {
		lines = append(lines, "")
		lines = append(lines, p.silos(s, before)...)
	}
	if troubles := p.troubles(s); len(troubles) > 0 {
		lines = append(lines, "")
		lines = append(lines, troubles...)
	}
	return lines
}

// part is a piece of the headline. It gives way by its rank, as a column does.
type part struct {
	cell

	rank int
}

func (p *Printer) headline(s state.Snapshot, when string) string {
	glyph, look := p.conditionLook(s.State)
	parts := []part{
		{cell: cell{text: clean(s.Name), ink: strong}},
		{cell: cell{text: string(s.State), glyph: glyph, ink: look}},
		{cell: cell{text: census(s)}},
		{cell: cell{text: tunnelWords(s.Provider), ink: muted}, rank: 2},
		{cell: cell{text: dialectWords(s.Dialect), ink: muted}, rank: 3},
		{cell: cell{text: when, ink: muted}, rank: 1},
	}
	if !p.terminal {
		parts[1].glyph = ""
	}
	columns := make([]column, 0, len(parts))
	cells := make([]cell, 0, len(parts))
	widths := make([]int, 0, len(parts))
	for _, part := range parts {
		if part.text != "" {
			columns = append(columns, column{rank: part.rank})
			cells = append(cells, part.cell)
			widths = append(widths, part.width())
		}
	}
	shown, _ := fit(columns, widths, p.telling(columns, nil), p.width())
	return p.row(columns, cells, widths, shown)
}

// census counts the silos, and those that are ready where not all are.
func census(s state.Snapshot) string {
	if s.Mode == "monolith" {
		return "monolith"
	}
	ready := 0
	for _, silo := range s.Silos {
		if silo.State == state.Ready {
			ready++
		}
	}
	switch {
	case len(s.Silos) == 0:
		return "no silos"
	case ready == len(s.Silos) || s.State == state.InstanceStopped:
		return plural(len(s.Silos), "silo")
	}
	return fmt.Sprintf("%d of %s ready", ready, plural(len(s.Silos), "silo"))
}

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return strconv.Itoa(n) + " " + word + "s"
}

func tunnelWords(provider string) string {
	switch provider {
	case "":
		return ""
	case "none":
		return "no tunnels"
	}
	return clean(provider) + " tunnels"
}

func dialectWords(dialect string) string {
	if dialect == "" {
		return ""
	}
	return "dialect " + clean(dialect)
}

func (p *Printer) uptime(s state.Snapshot) string {
	if s.StartedAt == nil || s.State == state.InstanceStopped {
		return ""
	}
	return "up " + Duration(p.now().Sub(*s.StartedAt))
}

// took is how long it was until the last silo was ready.
func took(s state.Snapshot) string {
	var last time.Time
	for _, silo := range s.Silos {
		if silo.ReadyAt != nil && silo.ReadyAt.After(last) {
			last = *silo.ReadyAt
		}
	}
	if s.StartedAt == nil || last.IsZero() {
		return ""
	}
	return "took " + Duration(last.Sub(*s.StartedAt))
}

// silos is the table of silos.
func (p *Printer) silos(s state.Snapshot, before *steady) []string {
	restarts, tunnels := 7, false
	for _, silo := range s.Silos {
		if silo.Restarts > 0 {
			restarts = 1 // somebody looks for these
		}
		tunnels = tunnels || silo.Tunnel.Error != nil || silo.Tunnel.State != state.TunnelOnline && silo.Tunnel.State != state.TunnelNone
	}
	columns := []column{
		{head: "SILO"},
		{head: "MODE", rank: 6},
		{head: "ID", rank: 8, right: true},
		{head: "STATE"},
		{head: "URL", whole: true},
		{head: "PORT", rank: 3, right: true},
		{head: "PID", rank: 4, right: true},
		{head: "UPTIME", rank: 5, right: true},
		{head: "CPU", rank: 10, right: true},
		{head: "MEM", rank: 9, right: true},
		{head: "RESTARTS", rank: restarts, right: true},
	}
	if !p.terminal {
		columns = append(columns, column{head: "TUNNEL"}, column{head: "REASON"})
	} else if tunnels {
		columns = append(columns, column{head: "TUNNEL", rank: 2})
	}
	rows := make([][]cell, len(s.Silos))
	for i, silo := range s.Silos {
		rows[i] = p.siloRow(s, silo)[:len(columns)]
	}
	return p.steadyTable(columns, rows, before)
}

// siloRow holds every cell of a silo, also those that are not shown here.
func (p *Printer) siloRow(s state.Snapshot, silo state.Silo) []cell {
	id, pid, cpu, mem := 0, 0, "", ""
	if silo.RegionID != nil {
		id = *silo.RegionID
	}
	if silo.PID != nil {
		pid = *silo.PID
	}
	if silo.CPUPercent != nil {
		cpu = strconv.FormatFloat(*silo.CPUPercent, 'f', 1, 64) + "%"
	}
	if silo.RSSBytes != nil {
		mem = Bytes(*silo.RSSBytes)
	}
	if !p.terminal {
		mem = strings.ReplaceAll(mem, " ", "")
	}
	restarts := muted
	if silo.Restarts > 0 {
		restarts = warn
	}
	row := []cell{
		{text: clean(silo.Name)},
		{text: string(silo.Mode), ink: muted},
		p.number(id, muted),
		p.look(string(silo.State))(p.phaseLook(silo.State)),
		p.known(clean(silo.URL), link),
		p.number(silo.Port, plain),
		p.number(pid, plain),
		p.known(p.siloUptime(silo), plain),
		p.known(cpu, muted),
		p.known(mem, muted),
		{text: strconv.Itoa(silo.Restarts), ink: restarts},
		p.look(string(silo.Tunnel.State))(p.tunnelLook(silo.Tunnel.State)),
		p.known(p.reason(silo), plain),
	}
	if s.State == state.InstanceStopped {
		for i := range row {
			if silo.State != state.Failed || i != 3 {
				row[i].ink = muted
			}
		}
	}
	return row
}

// look makes the cell of a state, with its glyph on a terminal.
func (p *Printer) look(word string) func(glyph string, which ink) cell {
	return func(glyph string, which ink) cell {
		c := p.known(word, which)
		if p.terminal && word != "" {
			c.glyph = glyph
		}
		return c
	}
}

// known is a cell, or the sign for what is absent.
func (p *Printer) known(text string, which ink) cell {
	switch {
	case text != "":
		return cell{text: text, ink: which}
	case p.terminal:
		return cell{text: p.glyphs.absent, ink: muted}
	}
	return cell{text: "-"}
}

func (p *Printer) number(n int, which ink) cell {
	if n == 0 {
		return p.known("", which)
	}
	return cell{text: strconv.Itoa(n), ink: which}
}

func (p *Printer) siloUptime(silo state.Silo) string {
	if silo.StartedAt == nil || silo.PID == nil {
		return ""
	}
	return Duration(p.now().Sub(*silo.StartedAt))
}
