// Package databases manages per-silo databases: it creates, inspects and drops them, and runs
// Sentry's migrations in parallel.
//
// It must not know about the command line, terminals or exit codes, nor how to
// talk to Postgres: Sentry's Python does that (see sentry.DatabaseArgv).
package databases

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"silo/plan"
	"silo/sentry"
	"silo/state"
)

// Run runs a command until it exits and returns its standard output, as proc.Output does.
type Run func(ctx context.Context, argv []string, dir string, env []string) ([]byte, error)

// Set is the databases of some silos of one instance.
type Set struct {
	dir   *state.Dir
	place *plan.Layout // its ports and addresses are placeholders
	silos []plan.Placed
	run   Run
	to    string // the region for organizations that name none; only for Repair
}

// New returns the databases of the silos that p starts, whether they exist or not. It has no side
// effects. env is the input of their environments, and run executes Sentry's Python.
func New(p plan.Plan, dir *state.Dir, env plan.Run, run Run) *Set {
	// No command on a database uses a port or an address, but a placement needs them.
	snapshot := &state.Snapshot{RunID: "db"}
	for i, s := range p.Silos {
		port := cmp.Or(s.Port, 8000+2*i)
		snapshot.Silos = append(snapshot.Silos, state.Silo{Name: s.Name, Port: port, HealthPort: port, URL: fmt.Sprintf("http://127.0.0.1:%d", port)})
	}
	s := &Set{dir: dir, place: plan.FromSnapshot(p, env, snapshot), run: run}
	for _, silo := range s.place.Placed {
		if silo.Wanted {
			s.silos = append(s.silos, silo)
		}
	}
	return s
}

// Dir returns the directory of the instance.
func (s *Set) Dir() *state.Dir { return s.dir }

// Lock locks the databases for changes until release is called or the process ends, and loads the
// instance's secrets, creating them if necessary. It does not wait: the error wraps
// state.ErrDatabasesBusy if another process has the lock.
func (s *Set) Lock() (release func(), err error) {
	if s.place.Run.Secrets, err = s.dir.Secrets(); err != nil {
		return nil, err
	}
	unlock, err := s.dir.LockDatabases()
	if err != nil {
		return nil, err
	}
	return func() { _ = unlock() }, nil // the kernel releases the lock when the process ends
}

func (s *Set) index(name string) int {
	return slices.IndexFunc(s.silos, func(p plan.Placed) bool { return p.Name == name })
}

// environ returns a silo's environment, as a list and as a lookup function.
func (s *Set) environ(name string) ([]string, state.Lookup) {
	vars := map[string]string{}
	var list []string
	for _, v := range s.place.Environment(name) {
		vars[v.Name] = v.Value
		list = append(list, v.Name+"="+v.Value)
	}
	return list, func(name string) (string, bool) { value, ok := vars[name]; return value, ok }
}

// program returns the Sentry that a silo runs.
func (s *Set) program(silo plan.Placed) (sentry.Program, error) {
	_, env := s.environ(silo.Name)
	p, err := sentry.Finder{Dir: silo.Dir, Command: silo.Command, Env: env}.Program()
	if err != nil {
		return p, fmt.Errorf("%s: %w", silo.Name, err)
	}
	return p, nil
}

// workers returns a group that runs as many functions at once as there are processors.
func workers() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(max(2, runtime.NumCPU()))
	return group
}

// OwnedByOther reports whether another instance created the database.
func OwnedByOther(d sentry.Database) bool { return !d.Owned && strings.HasPrefix(d.Comment, "silo ") }

// Problems lists why silos cannot use their databases.
type Problems struct {
	Missing    []string // names of databases that do not exist
	Unmigrated []string // names of databases in which no migration has run
	Errors     []string // of databases that could not be inspected, without duplicates
}

// FindProblems sorts the results of Inspect by problem.
func FindProblems(all []sentry.Database) Problems {
	var p Problems
	for _, d := range all {
		switch {
		case d.Error != "":
			if !slices.Contains(p.Errors, d.Error) {
				p.Errors = append(p.Errors, d.Error)
			}
		case !d.Exists:
			p.Missing = append(p.Missing, d.Name)
		case !d.Migrated:
			p.Unmigrated = append(p.Unmigrated, d.Name)
		}
	}
	return p
}

// DescribeUnmapped describes organizations whose region is not in the topology, given
// their number by the name of that region.
func DescribeUnmapped(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d in %s", counts[name], name))
	}
	return "organizations in a region that the topology does not have: " + strings.Join(parts, ", ")
}
