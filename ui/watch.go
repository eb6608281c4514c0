package ui

import "silo/state"

// Watch shows an instance again and again: on a terminal in place, cut to the
// height; in a pipe as one table for each change of what is not merely a
// measure (uptime, CPU, memory), with an empty line between. A column stays as wide
// as it once was.
type Watch struct {
	p     *Printer
	table *steady
	block block
	shown bool
	last  []state.Silo
	now   *state.Snapshot // what stands on a terminal
}

// Watch begins to show an instance. Nothing is written before the first Update.
func (p *Printer) Watch() *Watch { return &Watch{p: p, table: newSteady(), block: block{p: p}} }

// Update shows a snapshot; one at a time.
func (w *Watch) Update(s state.Snapshot) {
	if w.p.movable() {
		w.now = &s
		w.block.draw(w.p.status(s, w.table))
		return
	}
	if w.shown && sameButMeasures(w.last, s.Silos) {
		return
	}
	lines := w.p.status(s, w.table)
	if w.shown {
		lines = append([]string{""}, lines...)
	}
	w.shown, w.last = true, s.Silos
	w.p.print(lines)
}

// Runs tells whether what is shown has times that run on without a change, as an
// uptime does, and can be drawn over: Again is then worth a call about once a second.
func (w *Watch) NeedsRedraw() bool { return w.now != nil && w.now.State != state.InstanceStopped }

// Again shows the last snapshot as it stands now. It is no more than Update is: one
// at a time, and nothing is written where nothing has changed.
func (w *Watch) Redraw() {
	if w.NeedsRedraw() {
		w.block.draw(w.p.status(*w.now, w.table))
	}
}

func sameButMeasures(a, b []state.Silo) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].State != b[i].State || a[i].URL != b[i].URL || a[i].Port != b[i].Port ||
			a[i].Restarts != b[i].Restarts || a[i].Tunnel.State != b[i].Tunnel.State || !same(a[i].PID, b[i].PID) || !same(a[i].Reason, b[i].Reason) {
			return false
		}
	}
	return true
}

func same[T comparable](a, b *T) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
