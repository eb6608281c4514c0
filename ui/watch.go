package ui

import (
	"fmt"
	"strings"

	"silo/state"
)

// Watch shows an instance repeatedly: on a terminal in place, cut to its height; in a pipe
// as a new table, after an empty line, for every change other than uptime, CPU and memory.
// Columns never get narrower.
type Watch struct {
	p     *Printer
	table *table
	block *liveBlock
	key   string          // of the table last printed to a pipe
	last  *state.Snapshot // shown on a terminal
}

// Watch returns a Watch, which writes nothing before the first Update.
func (p *Printer) Watch() *Watch {
	p, block := p.newLiveBlock()
	return &Watch{p: p, table: p.newTable(), block: block}
}

// Update shows a snapshot. It must not be called concurrently.
func (w *Watch) Update(s state.Snapshot) {
	if w.p.canRedraw() {
		w.last = &s
		w.block.draw(w.p.status(s, w.table))
		return
	}
	key := changeKey(s.Silos)
	if w.key == key {
		return
	}
	lines := w.p.status(s, w.table)
	if w.key != "" {
		lines = append([]string{""}, lines...)
	}
	w.key = key
	w.p.print(lines)
}

// NeedsRedraw reports whether the view has times that change without an Update,
// such as uptimes. Redraw should then be called about once a second.
func (w *Watch) NeedsRedraw() bool { return w.last != nil && w.last.State != state.InstanceStopped }

// Redraw shows the last snapshot with the current times. It must not be called
// concurrently with itself or Update.
func (w *Watch) Redraw() {
	if w.NeedsRedraw() {
		w.block.draw(w.p.status(*w.last, w.table))
	}
}

// changeKey returns the same key for two lists of silos that differ only in measurements.
func changeKey(silos []state.Silo) string {
	var key strings.Builder
	fmt.Fprintln(&key, len(silos))
	for _, s := range silos {
		fmt.Fprintln(&key, s.Name, s.State, s.URL, s.Port, s.Restarts, s.Tunnel.State, value(s.PID), value(s.Reason), s.Managed == nil || *s.Managed, s.Debug)
	}
	return key.String()
}
