package databases

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"silo/sentry"
)

// Look tells how each database stands, in the order of the silos, and changes
// nothing. What is wrong with one is its Error; an error is about all of them, and
// wraps sentry.ErrNoProgram where there is no Sentry to ask. When ctx is cancelled it
// is the cause of that. It takes half a second where Postgres answers.
func (s *Set) Look(ctx context.Context) ([]sentry.Database, error) {
	return s.ask(ctx, sentry.DatabaseInspect)
}

// Create makes the databases that are missing, each marked as its silo's own, and
// leaves the others as they are. It may be called again; results and errors are as
// Look's. The caller has the lock.
func (s *Set) Create(ctx context.Context) ([]sentry.Database, error) {
	return s.ask(ctx, sentry.DatabaseCreate)
}

// ask has Sentry's Python do what verb says, and returns what it says of each silo.
func (s *Set) ask(ctx context.Context, verb string) ([]sentry.Database, error) {
	groups := s.alike()
	answers, errs := make([][]sentry.Database, len(groups)), make([]error, len(groups))
	sideBySide(len(groups), func(i int) { answers[i], errs[i] = s.askGroup(ctx, verb, groups[i]) })
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil, context.Cause(ctx)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all := slices.Concat(answers...)
	slices.SortFunc(all, func(x, y sentry.Database) int {
		return slices.Index(s.names, x.Silo) - slices.Index(s.names, y.Silo)
	})
	return all, nil
}

// alike parts the silos into groups whose configuration is read the same way: with
// one environment of their own, directory and command.
func (s *Set) alike() [][]string {
	var groups [][]string
	for _, name := range s.names {
		p := s.placed(name)
		i := slices.IndexFunc(groups, func(g []string) bool {
			o := s.placed(g[0])
			return maps.Equal(o.Env, p.Env) && o.Dir == p.Dir && slices.Equal(o.Command, p.Command)
		})
		if i < 0 {
			groups = append(groups, []string{name})
		} else {
			groups[i] = append(groups[i], name)
		}
	}
	return groups
}

func (s *Set) askGroup(ctx context.Context, verb string, group []string) ([]sentry.Database, error) {
	program, err := s.program(group[0])
	if err != nil {
		return nil, err
	}
	config := s.place.Topology.Sentry.Config
	argv, err := sentry.DatabaseArgv(program, verb, config, s.place.Dir.Key, group)
	if err != nil {
		return nil, err
	}
	env, _ := s.environ(group[0])
	out, err := s.run(ctx, argv, s.placed(group[0]).Dir, env)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", config, err)
	}
	all, err := sentry.ParseDatabases(out)
	if err == nil && len(all) != len(group) {
		err = fmt.Errorf("%s has answered for %d of %d silos", program.Python, len(all), len(group))
	}
	return all, err
}

// sideBySide does work on n things, as many at once as there are processors.
func sideBySide(n int, work func(int)) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(n, max(2, runtime.NumCPU())) {
		workers.Go(func() {
			for i := range next {
				work(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
}
