package ui

import (
	"slices"
	"strconv"

	"silo/state"
)

// Tunnels prints each silo's address and its upstream. A terminal gets the
// tunnels' problems with hints below the table; a pipe gets the error as the last
// column, "-" if there is none.
func (p *Printer) Tunnels(s state.Snapshot) {
	browser := hidden
	if hasBrowseURLs(s) {
		browser = terminalOnly
	}
	t := p.newTable(
		column{head: "SILO"},
		column{head: "ADDRESS", below: true},
		column{drop: 2, only: terminalOnly}, // the arrow
		column{head: "UPSTREAM", drop: 1},
		column{head: "STATE"},
		column{head: "IN A BROWSER", drop: 3, only: browser},
		column{head: "BROWSE", only: pipeOnly},
		column{head: "ERROR", only: pipeOnly},
	)
	var issues []string
	rows := make([][]cell, len(s.Silos))
	for i, silo := range s.Silos {
		upstream := clean(silo.Bind)
		if upstream == "" && silo.Port != 0 {
			upstream = "127.0.0.1:" + strconv.Itoa(silo.Port)
		}
		rows[i] = []cell{
			{text: clean(silo.Name)},
			p.known(clean(silo.URL), link),
			{text: p.glyphs.arrow, style: muted},
			p.known(upstream, muted),
			p.state(string(silo.Tunnel.State)),
			p.known(browseURL(silo), link),
			p.known(browseURL(silo), link),
			p.known(tunnelError(silo.Tunnel), plain),
		}
		if i, ok := tunnelIssue(silo); ok && p.terminal {
			issues = append(issues, p.issue(i)...)
		}
	}
	lines := t.lines(rows)
	if len(issues) > 0 {
		lines = append(append(lines, ""), issues...)
	}
	p.print(lines)
}

// browseURL returns a silo's address for browsers, or an empty string.
func browseURL(silo state.Silo) string { return clean(value(silo.BrowseURL)) }

// hasBrowseURLs reports whether any silo has an address for browsers.
func hasBrowseURLs(s state.Snapshot) bool {
	return slices.ContainsFunc(s.Silos, func(silo state.Silo) bool { return silo.BrowseURL != nil })
}
