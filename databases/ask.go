package databases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"silo/plan"
	"silo/sentry"
)

// Inspect returns the state of each database, in the order of the silos. It changes
// nothing. A problem with one database is recorded in its Error. A returned error
// applies to all of them: it wraps sentry.ErrNoProgram if there is no Sentry to run, or
// is the cause of ctx if that was cancelled. Inspect takes half a second if Postgres
// answers.
func (s *Set) Inspect(ctx context.Context) ([]sentry.Database, error) {
	return s.ask(ctx, sentry.DatabaseInspect)
}

// Create creates the databases that do not exist and marks each as its silo's own. It does not
// change existing databases. It returns results and errors as Inspect does. The caller
// must hold the lock.
func (s *Set) Create(ctx context.Context) ([]sentry.Database, error) {
	return s.ask(ctx, sentry.DatabaseCreate)
}

// Repair gives organizations of control that name no region of the topology to the region
// to: their mappings, and the reservations of their slugs, as Sentry's own
// bin/split-silo-database does. The set must be that of control. If there are any, it
// first calls confirm, which may block; if that returns an error, nothing changes. It
// returns what it changed, or an empty Result.
func (s *Set) Repair(ctx context.Context, to string, confirm func(sentry.Database) error) (sentry.Database, error) {
	all, err := s.Inspect(ctx)
	if err != nil {
		return sentry.Database{}, err
	}
	control := all[0]
	switch {
	case control.Error != "":
		return control, errors.New(control.Error)
	case !control.Exists:
		return control, &MissingError{[]string{control.Name}}
	case len(control.Unmapped)+len(control.Reserved) == 0:
		return control, nil
	}
	if err := confirm(control); err != nil {
		return control, err
	}
	s.to = to
	if all, err = s.ask(ctx, sentry.DatabaseRepair); err != nil {
		return control, err
	}
	if all[0].Error != "" {
		err = errors.New(all[0].Error)
	}
	return all[0], err
}

// ask runs Sentry's Python with verb and returns its answer for each silo.
func (s *Set) ask(ctx context.Context, verb sentry.DatabaseVerb) ([]sentry.Database, error) {
	groups := s.groups()
	answers, errs := make([][]sentry.Database, len(groups)), make([]error, len(groups))
	running := workers()
	for i, group := range groups {
		running.Go(func() error {
			answers[i], errs[i] = s.askGroup(ctx, verb, group)
			return nil
		})
	}
	_ = running.Wait() // the errors are in errs
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, context.Cause(ctx)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all := slices.Concat(answers...)
	slices.SortFunc(all, func(x, y sentry.Database) int { return s.index(x.Silo) - s.index(y.Silo) })
	return all, nil
}

// regions returns the names of all regions of the topology, by ID.
func (s *Set) regions() (names []string) {
	for _, r := range s.place.Topology.Regions {
		names = append(names, r.Name)
	}
	return names
}

// groups partitions the silos by configuration: silos with the same own environment, directory and
// command share one Python process.
func (s *Set) groups() [][]plan.Placed {
	var groups [][]plan.Placed
	for _, silo := range s.silos {
		i := slices.IndexFunc(groups, func(group []plan.Placed) bool {
			first := group[0]
			return maps.Equal(first.Env, silo.Env) && first.Dir == silo.Dir && slices.Equal(first.Command, silo.Command)
		})
		if i < 0 {
			groups = append(groups, []plan.Placed{silo})
		} else {
			groups[i] = append(groups[i], silo)
		}
	}
	return groups
}

func (s *Set) askGroup(ctx context.Context, verb sentry.DatabaseVerb, group []plan.Placed) ([]sentry.Database, error) {
	program, err := s.program(group[0])
	if err != nil {
		return nil, err
	}
	var names []string
	for _, silo := range group {
		names = append(names, silo.Name)
	}
	config := s.place.Topology.Sentry.Config
	argv, err := sentry.DatabaseArgv(program, sentry.DatabaseTask{
		Verb: verb, Config: config, Instance: s.dir.Key, Silos: names, Shared: !s.place.PerSilo(),
		Regions: s.regions(), To: s.to,
	})
	if err != nil {
		return nil, err
	}
	env, _ := s.environ(group[0].Name)
	out, err := s.run(ctx, argv, group[0].Dir, env)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", config, err)
	}
	all, err := sentry.ParseDatabases(out)
	if err == nil && len(all) != len(group) {
		err = fmt.Errorf("%s answered for %d of %d silos", program.Python, len(all), len(group))
	}
	return all, err
}
