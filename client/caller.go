package client

import (
	"fmt"

	"silo/state"
)

// Caller is the silo that makes a request. The zero Caller is not a silo.
type Caller struct {
	Name string
	Mode state.Mode
}

// CallerFromEnv returns the silo in whose environment this program runs, as `silo
// run us -- …` sets it, if it belongs to the instance with that key
// (state.Dir.Key). Otherwise it returns the zero Caller.
func CallerFromEnv(env state.Lookup, key string) Caller {
	name, _ := env("SILO_NAME")
	if instance, ok := env("SILO_INSTANCE"); name == "" || ok && instance != key {
		return Caller{}
	}
	mode, _ := env("SENTRY_SILO_MODE")
	switch mode {
	case "CONTROL", "MONOLITH":
		return Caller{name, state.Mode(mode)}
	case "": // the shell dropped it
		if name == "control" {
			return Caller{name, state.Control}
		}
	}
	return Caller{name, state.Region} // REGION, or CELL since the end of March 2026
}

// RefusedError is a call that Sentry's silo clients would not make.
type RefusedError struct {
	From Caller
	To   string
	Mode state.Mode // of To
}

func (e *RefusedError) Error() string {
	switch {
	case e.From.Mode == state.Region && e.From.Name == e.To:
		return fmt.Sprintf("region %s cannot call itself: only control calls regions", e.To)
	case e.From.Mode == state.Region && e.Mode == state.Region:
		return fmt.Sprintf("regions cannot talk to one another: %s cannot call %s", e.From.Name, e.To)
	case e.Mode == state.Region:
		return fmt.Sprintf("%s, a %s, cannot call region %s: only control calls regions", e.From.Name, e.From.Mode, e.To)
	}
	return fmt.Sprintf("%s, a %s, cannot call %s: only regions call control", e.From.Name, e.From.Mode, e.To)
}

// mayCall returns a RefusedError if the caller may not call the silo: control calls regions, and
// regions call control (sentry/silo/client.py, the access_modes of its clients, 22.11 on). A caller
// that is not a silo may call any.
func (c Caller) mayCall(to state.Silo) error {
	if c == (Caller{}) || c.Mode == state.Control && to.Mode == state.Region || c.Mode == state.Region && to.Mode == state.Control {
		return nil
	}
	return &RefusedError{From: c, To: to.Name, Mode: to.Mode}
}
