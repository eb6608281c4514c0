// Package databases looks after the databases that silos have of their own: it has
// Sentry's Python look for them, make them and drop them, and runs Sentry's own
// migrations on them, side by side.
//
// It must not know a command line, a terminal or an exit code, nor how to
// speak to Postgres: Sentry's Python does that (see sentry.DatabaseArgv).
package databases

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"silo/orchestrator"
	"silo/sentry"
	"silo/state"
)

// Run runs a command to its end and returns what it prints, as room proc's Output
// does.
type Run func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error)

// Set is the databases of some silos of one instance.
type Set struct {
	place *orchestrator.Placement // where the silos would be; no address of it counts
	names []string                // of the silos, in order
	run   Run
}

// Of is the databases of the silos that a plan wants started, there or not. It
// touches nothing; run is for Sentry's Python.
func Of(plan orchestrator.Plan, site orchestrator.Site, run Run) *Set {
	s := &Set{place: place(plan, site), run: run}
	for _, one := range plan.Silos {
		if one.Wanted {
			s.names = append(s.names, one.Name)
		}
	}
	return s
}

// place is a placement for commands that no other silo has anything to do with: its
// ports and addresses are made up, and nothing is held for it.
func place(plan orchestrator.Plan, site orchestrator.Site) *orchestrator.Placement {
	made := &state.Snapshot{RunID: "db"}
	for i, s := range plan.Silos {
		port := cmp.Or(s.Port, 8000+2*i)
		made.Silos = append(made.Silos, state.Silo{Name: s.Name, Port: port, HealthPort: port, URL: fmt.Sprintf("http://127.0.0.1:%d", port)})
	}
	return orchestrator.Recall(plan, site, made)
}

// Dir is the directory of the instance.
func (s *Set) Dir() *state.Dir { return s.place.Dir }

// Lock takes the right to change the databases, which ends with release, or with
// this process. What is done to them then has the instance's secrets, made where
// there are none yet. It does not wait: the error wraps state.ErrDatabasesBusy where
// another process has the right.
func (s *Set) Lock() (release func(), err error) {
	if err := s.place.Share(); err != nil {
		return nil, err
	}
	unlock, err := s.place.Dir.LockDatabases()
	if err != nil {
		return nil, err
	}
	return func() { _ = unlock() }, nil // it ends with this process anyway
}

// environ is a silo's environment, as a list and to look things up in.
func (s *Set) environ(name string) ([]string, state.Lookup) {
	vars := map[string]string{}
	var list []string
	for _, v := range s.place.Environment(name) {
		vars[v.Name] = v.Value
		list = append(list, v.Name+"="+v.Value)
	}
	return list, func(name string) (string, bool) { value, ok := vars[name]; return value, ok }
}

func (s *Set) placed(name string) orchestrator.Placed {
	i := slices.IndexFunc(s.place.Placed, func(p orchestrator.Placed) bool { return p.Name == name })
	return s.place.Placed[i]
}

// program is the Sentry that a silo is run by.
func (s *Set) program(name string) (sentry.Program, error) {
	placed := s.placed(name)
	_, env := s.environ(name)
	p, err := sentry.Finder{Dir: placed.Dir, Command: placed.Command, Env: env}.Sentry()
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// OfAnother tells whether a database was made for another instance.
func OfAnother(b sentry.Database) bool { return !b.Owned && strings.HasPrefix(b.Comment, "silo ") }

// Lack is what silos cannot do with the databases that they have.
type Lack struct {
	Missing []string // names of databases that are not there
	Empty   []string // names of those in which nothing has been migrated
	Unknown []string // why nothing is known of others, each reason once
}

// Lacking tells what is wrong with databases as Finder has found them.
func Lacking(all []sentry.Database) Lack {
	var l Lack
	for _, b := range all {
		switch {
		case b.Error != "":
			if !slices.Contains(l.Unknown, b.Error) {
				l.Unknown = append(l.Unknown, b.Error)
			}
		case !b.Exists:
			l.Missing = append(l.Missing, b.Name)
		case !b.Migrated:
			l.Empty = append(l.Empty, b.Name)
		}
	}
	return l
}

// failed tells whether anything has gone wrong with one of them.
func failed(all []sentry.Database) bool {
	return slices.ContainsFunc(all, func(b sentry.Database) bool { return b.Error != "" })
}
