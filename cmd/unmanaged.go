package cmd

import (
	"slices"

	"silo/plan"
	"silo/state"
	"silo/ui"
)

// printUnmanaged prints the commands that start the unmanaged silos, except those that
// are ready in s. s may be nil.
func (a *app) printUnmanaged(p plan.Plan, program string, s *state.Snapshot) {
	if a.quiet {
		return
	}
	var all []ui.UnmanagedSilo
	for _, silo := range p.Silos {
		ready := s != nil && slices.ContainsFunc(s.Silos, func(v state.Silo) bool { return v.Name == silo.Name && v.State == state.Ready })
		if silo.Wanted && !silo.Managed && !ready {
			all = append(all, ui.UnmanagedSilo{Name: silo.Name, Program: program, Argv: silo.Argv})
		}
	}
	if len(all) > 0 {
		a.messages.UnmanagedSilos(all)
	}
}
