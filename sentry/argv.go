package sentry

import (
	"path/filepath"
	"slices"

	"silo/topology"
)

// Argv returns a new copy of the silo's command. It adds --no-watchers or --watchers to `sentry
// devserver` if the silo's watchers differ from those of the command. It does not change other
// commands.
func Argv(s topology.Silo) []string {
	argv := slices.Clone(s.Command)
	flags, ok := devserverFlags(argv)
	if !ok {
		return argv
	}
	wanted := "--no-watchers"
	if s.Watchers {
		wanted = "--watchers"
	}
	if lastOf(flags, "--watchers", "--no-watchers", true) == s.Watchers {
		return argv
	}
	end := len(argv)
	if i := slices.Index(argv, "--"); i >= 0 {
		end = i // no flags follow
	}
	return slices.Insert(argv, end, wanted)
}

// Workers reports whether a command is a devserver that runs Celery workers.
// --ingest implies them (sentry/runner/commands/devserver.py, 23.7).
func Workers(command []string) bool {
	flags, ok := devserverFlags(command)
	return ok && (lastOf(flags, "--workers", "--no-workers", false) || lastOf(flags, "--ingest", "--no-ingest", false))
}

// Reloading reports whether a command reloads the region config when the file changes.
type Reloading int

// The values of Reloading.
const (
	ReloadsUnknown Reloading = iota // not a devserver, or one in a script
	ReloadsNever
	ReloadsAlways
)

// Reloads reports whether a command reloads the region config: `sentry devserver` does
// unless it has --no-reload (sentry/runner/commands/devserver.py, py-autoreload), and so
// does silo's stand-in. Words before it, such as `poetry run`, do not matter.
func Reloads(command []string) Reloading {
	i := slices.Index(command, "devserver")
	if i < 1 {
		return ReloadsUnknown
	}
	if name := filepath.Base(command[i-1]); name != "sentry" && name != "silo" {
		if _, direct := devserverFlags(command); !direct { // with flags in between
			return ReloadsUnknown
		}
	}
	flags := command[i+1:]
	if end := slices.Index(flags, "--"); end >= 0 {
		flags = flags[:end]
	}
	if lastOf(flags, "--reload", "--no-reload", true) {
		return ReloadsAlways
	}
	return ReloadsNever
}

// devserverFlags returns the arguments of `sentry devserver` or `python -m sentry
// devserver` up to "--", and false for any other command.
func devserverFlags(command []string) ([]string, bool) {
	if len(command) == 0 {
		return nil, false
	}
	name, rest := filepath.Base(command[0]), command[1:]
	if isPython(name) && len(rest) > 1 && rest[0] == "-m" {
		name, rest = rest[1], rest[2:]
	}
	i := slices.Index(rest, "devserver")
	if name != "sentry" || i < 0 {
		return nil, false
	}
	flags := rest[i+1:]
	if end := slices.Index(flags, "--"); end >= 0 {
		flags = flags[:end]
	}
	return flags, true
}

// lastOf returns the value of one of click's boolean flags: the last occurrence counts.
func lastOf(flags []string, on, off string, otherwise bool) bool {
	for _, flag := range slices.Backward(flags) {
		switch flag {
		case on:
			return true
		case off:
			return false
		}
	}
	return otherwise
}
