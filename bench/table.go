//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// sample holds the figures of one run of one contender.
type sample map[string]float64

// table holds all samples of a part.
type table struct {
	names   []string
	samples map[string][]sample
}

func newTable(field []contender) *table {
	t := &table{samples: map[string][]sample{}}
	for _, c := range field {
		t.names = append(t.names, c.name)
	}
	return t
}

func (t *table) add(name string, s sample) { t.samples[name] = append(t.samples[name], s) }

// figure is a column. With ratio, each run is also divided by the first contender's run of
// the same round. With peer, it is also divided by that contender's run.
type figure struct {
	name, unit string
	digits     int
	ratio      bool
	peer       string
}

// bases returns the contenders that f is divided by.
func (t *table) bases(f figure) (names []string) {
	if f.ratio {
		names = append(names, t.names[0])
	}
	if f.peer != "" && slices.Contains(t.names, f.peer) {
		names = append(names, f.peer)
	}
	return names
}

// print writes the samples as a Markdown table: median (lowest–highest).
func (t *table) print(w io.Writer, title string, figures ...figure) {
	fmt.Fprintf(w, "\n%s\n\n|", title)
	for _, f := range figures {
		fmt.Fprintf(w, " | %s, %s", f.name, f.unit)
		for _, base := range t.bases(f) {
			fmt.Fprintf(w, " | ÷ %s", base)
		}
	}
	fmt.Fprintln(w, " |")
	columns := 1 + len(figures)
	for _, f := range figures {
		columns += len(t.bases(f))
	}
	fmt.Fprintln(w, "|"+strings.Repeat("---|", columns))
	for _, name := range t.names {
		fmt.Fprintf(w, "| %s", name)
		for _, f := range figures {
			fmt.Fprintf(w, " | %s", spread(t.values(name, f.name), f.digits))
			for _, base := range t.bases(f) {
				fmt.Fprintf(w, " | %s", spread(t.ratios(name, base, f.name), 2))
			}
		}
		fmt.Fprintln(w, " |")
	}
}

func (t *table) values(name, figure string) (list []float64) {
	for _, s := range t.samples[name] {
		if v, ok := s[figure]; ok {
			list = append(list, v)
		}
	}
	return list
}

func (t *table) ratios(name, base, figure string) (list []float64) {
	for i, s := range t.samples[name] {
		v, ok := s[figure]
		if by, there := t.samples[base][i][figure]; ok && there && by > 0 {
			list = append(list, v/by)
		}
	}
	return list
}

// spread formats "median (lowest–highest)".
func spread(values []float64, digits int) string {
	if len(values) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(values))
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, median(sorted), digits, sorted[0], digits, sorted[len(sorted)-1])
}

// median returns the median of sorted values.
func median(sorted []float64) float64 {
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}
