package ui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"silo/state"
)

// phases in the order in which they are counted: what asks for attention first.
func phases() []state.Phase {
	return []state.Phase{
		state.Failed, state.Backoff, state.Unready, state.Stopping, state.Starting,
		state.Ready, state.Planned, state.Stopped,
	}
}

// counts is how many silos are in each state, for those that are too many to
// have a row each.
func (g *Progress) counts(silos []state.Silo) string {
	number := map[state.Phase]int{}
	for _, silo := range silos {
		number[silo.State]++
	}
	var words []string
	for _, phase := range phases() {
		if n := number[phase]; n > 0 {
			glyph, look := g.p.phaseLook(phase)
			words = append(words, g.p.paint(look, glyph+" "+strconv.Itoa(n)+" "+string(phase)))
		}
	}
	return strings.Join(words, spaces(gap))
}

// slowest are the silos worth a row where there is room for a few: those in
// trouble, then those that have been at it longest, in a stable order.
func (g *Progress) slowest(silos []state.Silo, room int) []state.Silo {
	order := phases()
	var few []state.Silo
	for _, silo := range silos {
		if slices.Index(order, silo.State) < slices.Index(order, state.Ready) {
			few = append(few, silo)
		}
	}
	slices.SortStableFunc(few, func(a, b state.Silo) int {
		x, _ := g.spent(a)
		y, _ := g.spent(b)
		return cmp.Or(cmp.Compare(slices.Index(order, a.State), slices.Index(order, b.State)), cmp.Compare(y, x))
	})
	return few[:max(0, min(len(few), room))]
}
