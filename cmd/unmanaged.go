package cmd

import (
	"slices"

	"silo/plan"
	"silo/state"
	"silo/ui"
)

// printUnmanaged tells how silos are started that are the user's to start, but for
// those that are there already. s is nil where nobody knows.
func (a *app) printUnmanaged(plan plan.Plan, program string, s *state.Snapshot) {
	if plan.Topology.Sentry.Managed || a.quiet {
		return
	}
	var all []ui.UnmanagedSilo
	for _, silo := range plan.Silos {
		there := s != nil && slices.ContainsFunc(s.Silos, func(v state.Silo) bool { return v.Name == silo.Name && v.State == state.Ready })
		if silo.Wanted && !there {
			all = append(all, ui.UnmanagedSilo{Name: silo.Name, Program: program, Argv: silo.Argv})
		}
	}
	if len(all) > 0 {
		a.messages.UnmanagedSilos(all)
	}
}
