package orchestrator

import (
	"fmt"

	"silo/state"
)

// describe says how a process ended, in one line.
func describe(e state.Exit) string {
	switch {
	case e.Signal != nil:
		return "killed by signal " + *e.Signal
	case e.Code != nil:
		return fmt.Sprintf("exited with code %d", *e.Code)
	}
	return "ended"
}

// late says that a silo was not ready in time, and what was seen last.
func late(seen string) string {
	if seen == "" {
		return "not ready in time"
	}
	return "not ready in time: " + seen
}

// failure tells whether an exit that nobody asked for counts as one.
func failure(e state.Exit) bool { return e.Signal != nil || e.Code == nil || *e.Code != 0 }

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
