package orchestrator

import (
	"silo/proc"
	"silo/state"
)

// Left are the living processes of an instance's silos, whoever started them.
// Where the instance does not run they are what a supervisor that was killed has
// left, and Clean ends them.
func Left(dir *state.Dir) []proc.Info { return proc.FindMarked(marker(dir)) }
