package databases

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"silo/plan"
	"silo/sentry"
)

// seedTimeout bounds one step of Seed. Sentry's Python takes 3 to 11 s to start.
const seedTimeout = 3 * time.Minute

// maxSlug is the length of an organization's slug (sentry/models/organization.py), in
// bytes.
const maxSlug = 50

// SeedError is the failure of one step of Seed.
type SeedError struct {
	Silo string
	Step string // what was not done
	Err  error
}

func (e *SeedError) Error() string { return e.Silo + ": " + e.Step + ": " + e.Err.Error() }
func (e *SeedError) Unwrap() error { return e.Err }

// DuplicateIDError reports that regions with databases of their own gave their
// organizations the same id, so that control can map only one of them.
type DuplicateIDError struct {
	Regions []string
	ID      int64
}

func (e *DuplicateIDError) Error() string {
	return fmt.Sprintf("%s and %s gave their organizations the same id, %d", e.Regions[0], e.Regions[1], e.ID)
}

// Seed creates a superuser and one organization in each region with Sentry's own code,
// and maps them in control. What exists is left as it is, except for the password if
// user.Reset is set. The layout is that of a running instance, whose silos must be
// ready. report is called with each step, as in "create the user in control". Errors of
// Sentry are a *SeedError.
func Seed(ctx context.Context, l *plan.Layout, run Run, user sentry.SeededUser, password string, report func(string)) (sentry.SeedResult, error) {
	s := &seeding{Set: &Set{place: l, silos: l.Placed, run: run}, password: password, report: report}
	task := sentry.SeedTask{Step: sentry.SeedControl, User: user}
	for _, silo := range l.Placed {
		if !silo.IsControl() {
			slug := slugOf(l.Topology.Name, silo.Name)
			task.Organizations = append(task.Organizations, sentry.SeededOrg{Region: silo.Name, Slug: slug, Name: slug})
		}
	}
	result, err := s.control(ctx, "create the user", task)
	if err != nil {
		return result, err
	}
	task.User = result.User
	all, err := s.organizations(ctx, task, result)
	result.Organizations = all
	return result, err
}

// slugOf returns the slug of a region's organization. Sentry reserves some short words,
// and all instances may share one database.
func slugOf(instance, region string) string {
	if slug := instance + "-" + region; len(slug) <= maxSlug {
		return slug
	}
	return region[:min(len(region), maxSlug)]
}

// seeding is one run of Seed.
type seeding struct {
	*Set

	password string
	report   func(string)
}

// organizations creates and maps the organizations that control does not report as
// complete, and returns all.
func (s *seeding) organizations(ctx context.Context, task sentry.SeedTask, done sentry.SeedResult) ([]sentry.SeededOrg, error) {
	all := slices.Clone(task.Organizations)
	missing := false
	for i := range all {
		missing = !take(&all[i], done.Organizations) || missing
	}
	if !missing {
		return all, nil
	}
	running := workers()
	for i := range all {
		if all[i].ID != 0 {
			continue
		}
		running.Go(func() error {
			step := sentry.SeedTask{Step: sentry.SeedOrganization, User: task.User, Organizations: all[i : i+1 : i+1]}
			r, err := s.step(ctx, all[i].Region, "create the organization", step)
			if err == nil {
				take(&all[i], r.Organizations)
			}
			return err
		})
	}
	if err := running.Wait(); err != nil {
		return nil, err
	}
	if err := distinct(all); err != nil {
		return nil, err
	}
	_, err := s.control(ctx, "map the organizations", sentry.SeedTask{Step: sentry.SeedMapping, User: task.User, Organizations: all})
	return all, err
}

// take copies the result of an organization, and reports whether there is one.
func take(org *sentry.SeededOrg, results []sentry.SeededOrg) bool {
	i := slices.IndexFunc(results, func(r sentry.SeededOrg) bool { return r.Region == org.Region })
	if i < 0 {
		return false
	}
	org.ID, org.Created = results[i].ID, results[i].Created
	return true
}

func distinct(all []sentry.SeededOrg) error {
	regions := map[int64]string{}
	for _, org := range all {
		if other, taken := regions[org.ID]; taken {
			return &DuplicateIDError{Regions: []string{other, org.Region}, ID: org.ID}
		}
		regions[org.ID] = org.Region
	}
	return nil
}

// control performs a step in control.
func (s *seeding) control(ctx context.Context, what string, task sentry.SeedTask) (sentry.SeedResult, error) {
	i := slices.IndexFunc(s.silos, func(p plan.Placed) bool { return p.IsControl() })
	return s.step(ctx, s.silos[i].Name, what, task)
}

// step performs one step in a silo.
func (s *seeding) step(ctx context.Context, name, what string, task sentry.SeedTask) (sentry.SeedResult, error) {
	s.report(what + " in " + name)
	ctx, cancel := context.WithTimeout(ctx, seedTimeout)
	defer cancel()
	silo := s.silos[s.index(name)]
	program, err := s.program(silo)
	if err != nil {
		return sentry.SeedResult{}, err
	}
	argv, err := sentry.SeedArgv(program.Python, task)
	if err != nil {
		return sentry.SeedResult{}, err
	}
	env, _ := s.environ(name)
	env = append(env, sentry.PasswordVariable+"="+s.password)
	result, err := s.ask(ctx, argv, silo.Dir, env)
	if errors.Is(err, sentry.ErrSeedMode) {
		// 22.11 saves a user together with a model that only regions have.
		result, err = s.ask(ctx, argv, silo.Dir, append(env, "SENTRY_SILO_MODE=MONOLITH"))
	}
	if err != nil {
		err = &SeedError{Silo: name, Step: what, Err: err}
	}
	return result, err
}

// ask runs the command of a step and parses its result.
func (s *seeding) ask(ctx context.Context, argv []string, dir string, env []string) (sentry.SeedResult, error) {
	out, err := s.run(ctx, argv, dir, env)
	if err != nil {
		return sentry.SeedResult{}, err
	}
	return sentry.ParseSeed(out)
}
