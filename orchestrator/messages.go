package orchestrator

import (
	"fmt"

	"silo/state"
)

// describeExit describes how a process ended, in one line.
func describeExit(e state.Exit) string {
	switch {
	case e.Signal != nil:
		return "killed by signal " + *e.Signal
	case e.Code != nil:
		return fmt.Sprintf("exited with code %d", *e.Code)
	}
	return "ended"
}

// isFailure reports whether an exit that was not requested counts as a failure.
func isFailure(e state.Exit) bool { return e.Signal != nil || e.Code == nil || *e.Code != 0 }

// reloadingReason is the reason shown for a silo that has not loaded the rewritten region
// config yet.
const reloadingReason = "reloading the region config"

// timeoutReason explains a ready timeout by the last result of the probes.
func timeoutReason(finding string) string {
	if finding == "" {
		return "not ready in time"
	}
	return "not ready in time: " + finding
}

// wrongModeReason explains the failure of a silo that runs in the wrong mode.
func wrongModeReason(mode string) string { return "it answers as a silo of another mode: " + mode }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
