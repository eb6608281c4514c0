// Package orchestrator carries out a plan: it reserves ports, opens tunnels, writes the
// region config, starts, watches, restarts and stops silos, and publishes snapshots.
//
// It must not know about command lines, terminals or sockets.
package orchestrator

import (
	"crypto/rand"
	"strings"

	"silo/plan"
	"silo/proc"
	"silo/state"
)

// Host is where an instance runs: its directory, and the caller's environment and rights.
type Host struct {
	Dir     *state.Dir
	Environ []string // the caller's, as os.Environ returns it
	Env     state.Lookup
	Version string
	Guard   []string     // command that calls CleanUp once this process is dead; may be empty
	Root    bool         // the effective user is root
	Color   bool         // ask silos for color, although they write to pipes
	Warn    func(string) // reports a problem to the user; never nil
	Trace   func(string) // logs details for debugging; never nil
}

// NewRun returns the values that all environments of a new run share, including a new run ID
// but no secrets.
func (h Host) NewRun() plan.Run {
	return plan.Run{
		ID: strings.ToLower(rand.Text()), Instance: h.Dir.Key, Environ: h.Environ,
		Root: h.Root, Color: h.Color,
	}
}

// instanceMarker is the environment entry of every process that silo launches for an
// instance, in any run. Commands of `silo run` do not have it.
func instanceMarker(dir *state.Dir) string { return "SILO_SUPERVISED=" + dir.Marker() }

// FindProcesses returns the living processes of an instance's silos. If the instance does not
// run, a killed supervisor left them, and Clean ends them.
func FindProcesses(dir *state.Dir) []proc.Info { return proc.FindMarked(instanceMarker(dir)) }
