package sentry

import (
	"path/filepath"
	"slices"
	"strings"

	"silo/topology"
)

// Argv is the command of a silo with what its topology asks for beyond it:
// --no-watchers for `sentry devserver` where the silo has no watchers, and
// --watchers where it has them against the command's own word. Any other command
// is left as it is. The result is the caller's.
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
		end = i // what follows are no flags
	}
	return slices.Insert(argv, end, wanted)
}

// Workers tells whether a command is a devserver that runs celery's workers.
// --ingest implies them (sentry/runner/commands/devserver.py, 23.7).
func Workers(command []string) bool {
	flags, ok := devserverFlags(command)
	return ok && (lastOf(flags, "--workers", "--no-workers", false) || lastOf(flags, "--ingest", "--no-ingest", false))
}

// devserverFlags are the arguments of `sentry devserver`, also of `python -m
// sentry devserver`, up to a lone --.
func devserverFlags(command []string) ([]string, bool) {
	if len(command) == 0 {
		return nil, false
	}
	name, rest := filepath.Base(command[0]), command[1:]
	if strings.HasPrefix(name, "python") && len(rest) > 1 && rest[0] == "-m" {
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

// lastOf is what a switch of click's stands at: its last mention counts.
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
