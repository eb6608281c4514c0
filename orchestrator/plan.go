// Package orchestrator makes a plan true: it places silos on ports and
// addresses, writes their region config, starts, watches, restarts and stops
// them, and publishes what it sees as snapshots.
//
// It must not know a command line, a terminal or a socket.
package orchestrator

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// Plan is what is to run, before anything is touched. Making one is pure.
type Plan struct {
	Topology *topology.Topology
	Choice   sentry.Choice
	Monolith bool
	Silos    []Planned // in order of start: control first, regions by id
}

// Planned is one silo of a Plan.
type Planned struct {
	topology.Silo
	Mode   state.Mode
	Argv   []string
	Wanted bool // it is to be started; the others only get their ports and addresses
}

// UnknownSiloError names a silo that the topology has not.
type UnknownSiloError struct {
	Name  string
	Known []string
}

func (e *UnknownSiloError) Error() string {
	return fmt.Sprintf("no silo is called %q (there are %s)", e.Name, strings.Join(e.Known, ", "))
}

// NewPlan plans the named silos, or all where none is named. In monolith mode
// there is but one, on control's port and address.
func NewPlan(t *topology.Topology, choice sentry.Choice, monolith bool, only []string) (Plan, error) {
	plan := Plan{Topology: t, Choice: choice, Monolith: monolith}
	silos, control := t.Silos(), state.Control
	if monolith {
		silos, control = silos[:1], state.Monolith
	}
	known := make([]string, len(silos))
	for i, s := range silos {
		known[i] = s.Name
	}
	for _, name := range only {
		if !slices.Contains(known, name) {
			return Plan{}, &UnknownSiloError{name, known}
		}
	}
	for _, s := range silos {
		mode := state.Region
		if s.IsControl() {
			mode = control
		}
		plan.Silos = append(plan.Silos, Planned{
			Silo: s, Mode: mode, Argv: sentry.Argv(s),
			Wanted: len(only) == 0 || slices.Contains(only, s.Name),
		})
	}
	return plan, nil
}

// PerSilo tells whether each silo has a database of its own. A monolith has the
// one that all share otherwise.
func (p Plan) PerSilo() bool { return !p.Monolith && p.Topology.Sentry.Databases == "per-silo" }

// Names are the silos' names, in order of start.
func (p Plan) Names() []string {
	names := make([]string, len(p.Silos))
	for i, s := range p.Silos {
		names[i] = s.Name
	}
	return names
}

// Fingerprint tells one topology's meaning from another's, whatever the file
// looks like.
func (p Plan) Fingerprint() string {
	plain := *p.Topology
	plain.Warnings = nil // may change with the program's release
	data, err := json.Marshal(plain)
	if err != nil {
		return "" // a struct of plain values always has an encoding
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// workers tells whether any silo's devserver runs workers beside its web server.
func (p Plan) workers() bool {
	return slices.ContainsFunc(p.Silos, func(s Planned) bool { return slices.Contains(s.Argv, "--workers") })
}
