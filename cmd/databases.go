package cmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"silo/orchestrator"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/ui"
)

// databasesPatience is how long `up` waits for what Postgres says of the silos'
// databases, which takes about half a second.
const databasesPatience = 8 * time.Second

// migrateGrace is how long a migration has to end by itself.
const migrateGrace = 10 * time.Second

// databases is work on the databases of some silos.
type databases struct {
	*app

	place *orchestrator.Placement // where the silos would be; no address of it counts
	names []string                // of the silos, in order
}

// databases begins work on the named silos' databases, or on all silos'. No other
// process does any until release.
func (a *app) databases(c *cli.Context, names []string) (d *databases, release func(), err error) {
	t, err := a.load(c)
	if err != nil {
		return nil, nil, err
	}
	if t.Sentry.Databases != "per-silo" {
		return nil, nil, &usageError{
			text: "all silos share the database in " + t.Sentry.Config,
			hint: "databases = \"per-silo\" under [sentry] in silo.toml gives each silo its own; sentry upgrade migrates the shared one",
		}
	}
	plan, err := a.plan(c.Context, t, false, names)
	if err != nil {
		return nil, nil, err
	}
	dir, err := state.For(a.lookup, t.File)
	if err != nil {
		return nil, nil, err
	}
	d = &databases{app: a, place: a.databasesPlace(plan, dir)}
	for _, s := range plan.Silos {
		if s.Wanted {
			d.names = append(d.names, s.Name)
		}
	}
	if err := d.place.Share(); err != nil {
		return nil, nil, err
	}
	unlock, err := dir.LockDatabases()
	if err != nil {
		return nil, nil, err
	}
	return d, func() { _ = unlock() }, nil // it ends with this process anyway
}

// databasesPlace is a placement for commands that no other silo has anything to do
// with: its ports and addresses are made up, and nothing is held for it.
func (a *app) databasesPlace(plan orchestrator.Plan, dir *state.Dir) *orchestrator.Placement {
	made := &state.Snapshot{RunID: "db"}
	for i, s := range plan.Silos {
		port := cmp.Or(s.Port, 8000+2*i)
		made.Silos = append(made.Silos, state.Silo{Name: s.Name, Port: port, HealthPort: port, URL: fmt.Sprintf("http://127.0.0.1:%d", port)})
	}
	return orchestrator.Recall(plan, a.site(dir), made)
}

// environ is a silo's environment, as a list and to look things up in.
func (d *databases) environ(name string) ([]string, state.Lookup) {
	vars := map[string]string{}
	var list []string
	for _, v := range d.place.Environment(name) {
		vars[v.Name] = v.Value
		list = append(list, v.Name+"="+v.Value)
	}
	return list, func(name string) (string, bool) { value, ok := vars[name]; return value, ok }
}

func (d *databases) placed(name string) orchestrator.Placed {
	i := slices.IndexFunc(d.place.Placed, func(s orchestrator.Placed) bool { return s.Name == name })
	return d.place.Placed[i]
}

// program is the Sentry that a silo is run by.
func (d *databases) program(name string) (sentry.Program, error) {
	s := d.placed(name)
	_, env := d.environ(name)
	p, err := sentry.Look{Dir: s.Dir, Command: s.Command, Env: env}.Sentry()
	if err != nil {
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// alike parts the silos into groups whose configuration is read the same way: with
// one environment of their own, directory and command.
func (d *databases) alike() [][]string {
	var groups [][]string
	for _, name := range d.names {
		s := d.placed(name)
		i := slices.IndexFunc(groups, func(g []string) bool {
			o := d.placed(g[0])
			return maps.Equal(o.Env, s.Env) && o.Dir == s.Dir && slices.Equal(o.Command, s.Command)
		})
		if i < 0 {
			groups = append(groups, []string{name})
		} else {
			groups[i] = append(groups[i], name)
		}
	}
	return groups
}

// ask has Sentry's Python do what verb says, and returns what it says of each silo,
// in order. An error is about all of them.
func (d *databases) ask(ctx context.Context, verb string) ([]sentry.Database, error) {
	groups := d.alike()
	answers, errs := make([][]sentry.Database, len(groups)), make([]error, len(groups))
	d.sideBySide(len(groups), func(i int) { answers[i], errs[i] = d.askGroup(ctx, verb, groups[i]) })
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return nil, silent(exitInterrupted)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	all := slices.Concat(answers...)
	slices.SortFunc(all, func(x, y sentry.Database) int {
		return slices.Index(d.names, x.Silo) - slices.Index(d.names, y.Silo)
	})
	return all, nil
}

func (d *databases) askGroup(ctx context.Context, verb string, group []string) ([]sentry.Database, error) {
	program, err := d.program(group[0])
	if err != nil {
		return nil, err
	}
	argv, err := sentry.DatabaseArgv(program, verb, d.place.Topology.Sentry.Config, d.place.Dir.Key, group)
	if err != nil {
		return nil, err
	}
	env, _ := d.environ(group[0])
	out, err := proc.Output(ctx, argv, d.placed(group[0]).Dir, env)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.place.Topology.Sentry.Config, err)
	}
	all, err := sentry.ParseDatabases(out)
	if err == nil && len(all) != len(group) {
		err = fmt.Errorf("%s has answered for %d of %d silos", program.Python, len(all), len(group))
	}
	return all, err
}

// sideBySide does work on n things, as many at once as there are processors.
func (d *databases) sideBySide(n int, work func(int)) {
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

// migration is `sentry upgrade` on one silo's database.
type migration struct {
	d    *databases
	log  *os.File
	conf string // SENTRY_CONF

	mu   sync.Mutex // guards all below
	task ui.Task
	tail []byte // the end of its output
}

// tailMax is how much of a migration's output is kept for an error.
const tailMax = 16 << 10

// Write takes what a migration says.
func (m *migration) Write(block []byte) (int, error) {
	m.mu.Lock()
	m.tail = append(m.tail, block...)
	m.tail = m.tail[max(0, len(m.tail)-tailMax):]
	// What it is at is the last line that has something on it, or what a bar has drawn over it.
	if lines := bytes.FieldsFunc(m.tail, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 0 {
		m.task.Line = strings.TrimSpace(string(lines[len(lines)-1]))
	}
	m.mu.Unlock()
	return m.log.Write(block)
}

// seen is how it stands.
func (m *migration) seen() ui.Task {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.task
}

func (m *migration) state(word string, failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.task.State, m.task.Failed = word, failed
	if m.task.Began.IsZero() {
		m.task.Began = time.Now()
	} else {
		m.task.Took = max(time.Since(m.task.Began), 1)
	}
}

// migrate runs `sentry upgrade` on all, side by side, and shows how far each is.
func (d *databases) migrate(ctx context.Context, all []sentry.Database) ([]sentry.Database, error) {
	block, err := d.place.RegionConfig()
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(d.place.Dir.Databases(), "conf")
	// One that was killed has left it.
	if err := errors.Join(os.RemoveAll(scratch), os.MkdirAll(scratch, 0o700)); err != nil {
		return nil, fmt.Errorf("make a directory for the migration: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }() // else the next run does
	conf, err := sentry.Overlay(scratch, d.place.Topology.Sentry.Config, block)
	if err != nil {
		return nil, err
	}
	work := make([]*migration, len(all))
	for i, b := range all {
		work[i] = &migration{d: d, conf: conf, task: ui.Task{Name: b.Silo}}
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		d.sideBySide(len(all), func(i int) { work[i].run(ctx, &all[i]) })
	}()
	d.show(work, over)
	if ctx.Err() != nil {
		return nil, hinted(exitInterrupted, "migrations were interrupted", "silo db migrate goes on where they were")
	}
	for i, b := range all {
		if b.Error != "" {
			d.tell(b.Silo, work[i].tail)
		}
	}
	return all, nil
}

// show draws how migrations stand until all are over.
func (d *databases) show(work []*migration, over <-chan struct{}) {
	view := d.talk.Tasks()
	defer view.Done()
	tick := time.NewTicker(frame)
	defer tick.Stop()
	for done := false; !done; {
		select {
		case <-over:
			done = true
		case <-tick.C:
		}
		if d.quiet {
			continue
		}
		tasks := make([]ui.Task, len(work))
		for i, m := range work {
			tasks[i] = m.seen()
		}
		view.Update(tasks)
	}
}

// tell prints the last lines of a migration that failed.
func (d *databases) tell(silo string, tail []byte) {
	lines := strings.Split(strings.TrimRight(string(tail), "\n"), "\n")
	for _, line := range lines[max(0, len(lines)-20):] {
		_, _ = fmt.Fprintf(d.Stderr, "%s | %s\n", silo, d.talk.Line([]byte(line))) // stderr is all there is to tell
	}
}

// run migrates one database, and says in b what came of it.
func (m *migration) run(ctx context.Context, b *sentry.Database) {
	if ctx.Err() != nil {
		return
	}
	m.state("migrating", false)
	if err := m.upgrade(ctx, b); err != nil {
		b.Error = err.Error()
		word := "failed"
		if ctx.Err() != nil {
			word = "stopped"
		}
		m.state(word, true)
		return
	}
	b.Result = "migrated"
	m.state("migrated", false)
}

// upgrade runs Sentry's own command to its end, or until ctx ends.
func (m *migration) upgrade(ctx context.Context, b *sentry.Database) (err error) {
	program, err := m.d.program(b.Silo)
	if err != nil {
		return err
	}
	name := filepath.Join(m.d.place.Dir.Databases(), b.Silo+".log")
	if m.log, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600); err != nil {
		return fmt.Errorf("open the migration's log: %w", err)
	}
	defer func() { err = errors.Join(err, m.log.Close()) }()
	env, _ := m.d.environ(b.Silo)
	// Migrations touch models of both kinds of silos, and 23.6.1's and earlier ones' last step makes a project with a
	// user: they run as in a monolith alone (AvailabilityError else, sentry/db/models/base.py).
	env = slices.DeleteFunc(env, func(entry string) bool {
		return strings.HasPrefix(entry, "SENTRY_REGION=") || strings.HasPrefix(entry, "SENTRY_LOCAL_CELL=")
	})
	mark := "SILO_PROCESS=" + m.d.place.Dir.Mark() + "/" + b.Silo + "/migrate"
	process, err := proc.Start(proc.Spec{
		Argv:   slices.Concat(program.Argv, []string{"upgrade"}, b.Upgrade),
		Dir:    m.d.placed(b.Silo).Dir,
		Env:    append(env, "SENTRY_SILO_MODE=MONOLITH", "SENTRY_CONF="+m.conf, mark),
		Marker: mark, Output: m, Death: "TERM",
	})
	if err != nil {
		return err
	}
	select {
	case <-process.Done():
		process.Sweep(context.WithoutCancel(ctx))
	case <-ctx.Done():
		m.d.end(context.WithoutCancel(ctx), process)
	}
	if exit := process.Exit(); exit.Code != 0 || exit.Signal != "" {
		return fmt.Errorf("sentry upgrade: %v (all that it said is in %s)", exit, name)
	}
	return nil
}

// end ends a migration's process tree, without grace where the user asks again.
func (d *databases) end(ctx context.Context, process *proc.Process) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.Again:
			cancel()
		case <-ctx.Done():
		}
	}()
	process.Stop(ctx, "TERM", migrateGrace, nil)
}
