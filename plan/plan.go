// Package plan computes what an instance runs: silos with their modes, commands, ports,
// addresses, environments and region config, and what changes when the topology does.
//
// It is pure. It opens no port, file or tunnel, and does not know about processes.
package plan

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

// Plan describes the silos of an instance before any port or address is known.
type Plan struct {
	Topology *topology.Topology
	Choice   sentry.Choice
	Monolith bool
	Silos    []Silo // in start order: control, then regions by ID
}

// Silo is one silo of a Plan.
type Silo struct {
	topology.Silo

	Mode   state.Mode
	Argv   []string
	Wanted bool // start it; if false, it only gets ports and an address
}

// UnknownSiloError names a silo that is not in the topology.
type UnknownSiloError struct {
	Name  string
	Known []string
}

func (e *UnknownSiloError) Error() string {
	return fmt.Sprintf("unknown silo %q (have: %s)", e.Name, strings.Join(e.Known, ", "))
}

// New plans a topology. It wants only the named silos, or all if only is empty; an
// unknown name is an *UnknownSiloError. In monolith mode, the plan has a single silo
// with control's port and address.
func New(t *topology.Topology, choice sentry.Choice, monolith bool, only []string) (Plan, error) {
	silos, control := t.Silos(), state.Control
	if monolith {
		silos, control = silos[:1], state.Monolith
	}
	p := Plan{Topology: t, Choice: choice, Monolith: monolith}
	for _, s := range silos {
		mode := state.Region
		if s.IsControl() {
			mode = control
		}
		wanted := len(only) == 0 || slices.Contains(only, s.Name)
		p.Silos = append(p.Silos, Silo{Silo: s, Mode: mode, Argv: sentry.Argv(s), Wanted: wanted})
	}
	return p, p.CheckNames(only)
}

// CheckNames returns an *UnknownSiloError for the first name that is not in the plan.
func (p Plan) CheckNames(names []string) error {
	known := p.Names()
	for _, name := range names {
		if !slices.Contains(known, name) {
			return &UnknownSiloError{name, known}
		}
	}
	return nil
}

// Runnable returns an error if the Sentry release cannot run as silos.
func (p Plan) Runnable() error {
	if p.Monolith {
		return nil
	}
	return p.Choice.Runnable()
}

// Managed reports whether silo starts and stops any of the silos itself.
func (p Plan) Managed() bool {
	return slices.ContainsFunc(p.Silos, func(s Silo) bool { return s.Managed })
}

// PerSilo reports whether each silo has its own database. A monolith always has the
// shared one.
func (p Plan) PerSilo() bool { return !p.Monolith && p.Topology.Sentry.Databases == "per-silo" }

// Names returns the silos' names in start order.
func (p Plan) Names() []string {
	names := make([]string, len(p.Silos))
	for i, s := range p.Silos {
		names[i] = s.Name
	}
	return names
}

// WantedNames returns the names of the silos to start, in start order.
func (p Plan) WantedNames() []string {
	var names []string
	for _, s := range p.Silos {
		if s.Wanted {
			names = append(names, s.Name)
		}
	}
	return names
}

// Fingerprint identifies the content of a topology, independent of its formatting.
func (p Plan) Fingerprint() string {
	content := *p.Topology
	content.Warnings = nil // the defaults depend on this program's release
	data, err := json.Marshal(content)
	if err != nil {
		return "" // unreachable: the struct holds plain values only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// PortCount returns how many consecutive ports a silo needs: with watchers, webpack
// gets the first one and the backend the next.
func (s Silo) PortCount() int {
	if s.Watchers {
		return 2
	}
	return 1
}
