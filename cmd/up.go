package cmd

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/dashboard"
	"silo/logs"
	"silo/orchestrator"
	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/ui"
	"silo/wait"
)

func (a *app) upCommand() *cli.Command {
	return &cli.Command{
		Name:      "up",
		Category:  categoryStart,
		Usage:     "Start the silos and stay attached until Ctrl-C",
		ArgsUsage: "[SILO…]",
		Description: `up validates the topology, reserves ports, opens tunnels, writes the region config, starts the
devservers and waits until all are ready. Then it prints a table of addresses and shows the silos'
output. Ctrl-C stops everything; a second Ctrl-C kills what is left.

If the instance already runs, up applies an edited topology to it and returns once all is ready.

Exit codes: 5 if the topology is invalid, 6 if a port, a domain or the region config's file is taken,
124 if the silos are not ready in time, 130 if a detached start is interrupted.`,
		UsageText: `silo up
silo up -d --timeout 2m    # return once all silos are ready
silo up --dry-run          # print the plan or the changes
silo up --demo             # no file, no Sentry, no account`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return once all silos are ready, and leave them running"},
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "give up after `DURATION`, with exit code 124"},
			&cli.BoolFlag{Name: "keep-going", Usage: "keep running when a silo fails permanently"},
			&cli.BoolFlag{Name: "dry-run", Usage: "print the plan and change nothing"},
			&cli.StringFlag{Name: "mode", Value: "silos", Usage: "run in `MODE`: silos, or monolith for one devserver without regions"},
			&cli.BoolFlag{Name: "demo", Usage: "run a stand-in for Sentry, without a topology file or an account"},
			&cli.BoolFlag{Name: "supervise", Hidden: true, Usage: "be the supervisor of a detached instance and report on descriptor 3"},
		},
		Action: a.up,
	}
}

// upRequest is what `up` was asked for.
type upRequest struct {
	plan      plan.Plan
	dir       *state.Dir
	timeout   time.Duration
	keepGoing bool
	json      bool
	program   string // how silo is called for this instance, in hints
	joined    bool   // it ran before
}

func (a *app) up(c *cli.Context) error {
	ctx, cancel := withTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	r, err := a.upRequest(ctx, c)
	if err != nil {
		return a.reportError(c, err)
	}
	switch {
	case c.Bool("dry-run"):
		return a.dryRun(ctx, r)
	case c.Bool("supervise"):
		return a.reportError(c, a.supervise(c.Context, r))
	}
	a.warnOfDatabases(ctx, r.plan, r.dir, r.program)
	for started := time.Now(); ; {
		err := a.upOrJoin(ctx, c, r)
		changing := errors.Is(err, state.ErrRunning) || errors.Is(err, api.ErrNotRunning)
		if !changing || time.Since(started) > handoverTimeout || !wait.Sleep(ctx, frameInterval) {
			return err
		}
	}
}

// handoverTimeout is how long `up` waits where the instance's lock is on its way
// from one to another: to a supervisor that was faster, or from one that is
// ending or is being cleared up after.
const handoverTimeout = 10 * time.Second

// upOrJoin starts the instance, or joins the one that runs. state.ErrRunning and
// control.ErrNotRunning say that this has changed meanwhile.
func (a *app) upOrJoin(ctx context.Context, c *cli.Context, r *upRequest) error {
	switch {
	case r.dir.Running():
		return preferContextError(ctx, a.join(ctx, r))
	case c.Bool("detach"):
		return a.detach(ctx, r)
	}
	return a.foreground(c.Context, ctx, r)
}

// bounded ends with ctx, or after a timeout that is not 0.
func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(ctx, timeout)
	}
	return context.WithCancel(ctx)
}

func (a *app) upRequest(ctx context.Context, c *cli.Context) (*upRequest, error) {
	if err := oneOf("--mode", c.String("mode"), "silos", "monolith"); err != nil {
		return nil, err
	}
	if c.Duration("timeout") < 0 {
		return nil, &usageError{text: "--timeout cannot be negative"}
	}
	t, err := a.topologyOrDemo(c)
	if err != nil {
		return nil, err
	}
	plan, err := a.plan(ctx, t, c.String("mode") == "monolith", siloArgs(c))
	if err != nil {
		return nil, err
	}
	dir, err := state.DirFor(a.lookup, t.File)
	if err != nil {
		return nil, err
	}
	return &upRequest{
		plan: plan, dir: dir, timeout: c.Duration("timeout"), keepGoing: c.Bool("keep-going"),
		json: c.Bool("json"), program: a.commandFor(c, dir),
	}, nil
}

func (a *app) topologyOrDemo(c *cli.Context) (*topology.Topology, error) {
	if c.Bool("demo") {
		if c.String("file") != "" {
			return nil, &usageError{text: "--demo brings its own topology: it takes no --file"}
		}
		return a.demo()
	}
	return a.load(c)
}

// plan finds the dialect and plans the silos.
func (a *app) plan(ctx context.Context, t *topology.Topology, monolith bool, only []string) (plan.Plan, error) {
	choice, err := sentry.Choose(ctx, t.Sentry.Dialect, sentry.Finder{
		Dir: t.Sentry.Dir, Command: t.Sentry.Command, Env: a.sentryEnv(t),
		Run: a.capture,
	})
	if err != nil {
		return plan.Plan{}, err
	}
	if choice.Warning != "" && !a.quiet {
		a.messages.Warn(choice.Warning)
	}
	return plan.New(t, choice, monolith, only)
}

// capture runs a program for its output.
func (a *app) capture(ctx context.Context, argv []string, dir string) ([]byte, error) {
	return proc.Output(ctx, argv, dir, a.Environ)
}

// sentryEnv finds a variable as a devserver will see it.
func (a *app) sentryEnv(t *topology.Topology) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if value, ok := t.Sentry.Env[name]; ok {
			return value, true
		}
		return a.lookup(name)
	}
}

// foreground makes this process the supervisor until a signal, `silo down`, or
// a silo that has failed for good.
func (a *app) foreground(ctx, starting context.Context, r *upRequest) error {
	// A live view has the terminal until all is ready; the raw files have every line.
	// A reader that has gone, as in `silo up | head -1`, has had enough of all of it.
	ctx, enough := context.WithCancel(ctx)
	defer enough()
	sink := &gatedWriter{out: a.detachOutput(), broken: enough}
	sink.open.Store(!a.results.Terminal())
	mux := logs.NewMux(sink, func(name string) string { return a.results.Prefix(name, r.plan.Names()) })
	mux.Clean = a.results.SanitizeLine
	in, err := a.prepare(starting, r, mux)
	if err != nil {
		return asTimeout(starting, ctx, err, wantedNames(r.plan)...)
	}
	defer func() { _ = mux.Close() }() // a reader that has gone has been noted
	for _, note := range startNotes(r.plan, in) {
		a.note(note)
	}
	return a.runInstance(ctx, r, in, func() error {
		a.printUnmanaged(r.plan, r.program, nil)
		if err := a.showProgress(starting, in, r.plan.Names()); err != nil {
			return err
		}
		a.showReady(r, in.Measure())
		sink.open.Store(true)
		return nil
	})
}

// prepare takes a plan up to launch and opens the dashboard and the control socket.
func (a *app) prepare(ctx context.Context, r *upRequest, mux *logs.Mux) (*orchestrator.Instance, error) {
	site := a.host(r.dir)
	site.Color = mux != nil && a.results.Color()
	in, err := orchestrator.Prepare(ctx, r.plan, site, mux)
	if err != nil {
		return nil, err
	}
	page, told := a.page(ctx, r.dir, in)
	server, err := api.Serve(ctx, r.dir, in.Supervisor, api.Options{Replan: a.replan(r), StripEscapes: ui.StripEscapes, Version: release(), Page: told})
	if err != nil {
		return nil, errors.Join(err, in.Abandon(ctx))
	}
	in.Defer(func() error { return server.Close(ctx) })
	if page != nil {
		page.Serve(server.Handler())
	}
	return in, nil
}

// page opens the dashboard's port. An instance can do without.
func (a *app) page(ctx context.Context, dir *state.Dir, in *orchestrator.Instance) (*dashboard.Server, api.Page) {
	page, err := dashboard.Listen(ctx, dir)
	if err != nil {
		a.logLine(levelWarn, "there is no dashboard: "+err.Error())
		return nil, api.Page{}
	}
	in.Defer(func() error { return page.Close(ctx) })
	in.ShowDashboard(page.Address())
	return page, api.Page{URL: page.URL(), OneTimeURL: page.OneTimeURL}
}

// replan reads the topology again, for a later `up` beside this supervisor.
func (a *app) replan(r *upRequest) api.Replan {
	return func(ctx context.Context, only []string, monolith bool) (plan.Plan, error) {
		t, err := topology.Load(r.plan.Topology.File, a.lookup)
		if err != nil {
			return plan.Plan{}, err
		}
		return a.plan(ctx, t, monolith, only)
	}
}

// startNotes say what a start found and did: to somebody's file above all.
func startNotes(plan plan.Plan, in *orchestrator.Instance) []string {
	notes, change := in.Displaced, in.Change
	if plan.Topology.Sentry.Dialect == "auto" {
		notes = append(notes, fmt.Sprintf("dialect %s: %s", plan.Choice.Dialect.Name, plan.Choice.Found))
	}
	if change.Replaced != "" {
		notes = append(notes, fmt.Sprintf("replaced the region config of %q in %s", change.Replaced, plan.Topology.Sentry.Config))
	}
	if change.Backup != "" {
		notes = append(notes, "the file as it was is kept as "+change.Backup)
	}
	return notes
}

// showReady shows what `up` ends with.
func (a *app) showReady(r *upRequest, s *state.Snapshot) {
	switch {
	case r.json:
		_ = writeJSON(a.Stdout, s) // a reader that has gone needs no table
	case a.quiet:
		a.results.Status(*s)
	default:
		a.results.Ready(*s, r.program, r.joined)
	}
}

// live runs an instance from launch to its end. started waits for the silos and
// shows them; when it fails, all is stopped again.
func (a *app) runInstance(ctx context.Context, r *upRequest, in *orchestrator.Instance, started func() error) error {
	// On two cores a collection while hundreds of silos start takes the one that the
	// next of them needs for its exec; what it would have freed is freed at once after.
	ordinary, unbounded := debug.SetGCPercent(-1), debug.SetMemoryLimit(startMemory)
	ran := make(chan error, 1)
	go func() { ran <- in.Run(ctx) }()
	go a.killOnSecondSignal(in)
	err := started()
	debug.SetGCPercent(ordinary)
	debug.SetMemoryLimit(unbounded)
	debug.FreeOSMemory()
	switch {
	case err == nil:
		err = a.awaitEnd(ctx, in, r.keepGoing)
	case ctx.Err() != nil, errors.Is(err, orchestrator.ErrEnded): // the user, or `silo down`, had enough
		err = nil
	}
	if err != nil {
		in.Down(false)
	}
	if ctx.Err() != nil && !a.quiet {
		a.note("stopping; once more ends it without grace")
	}
	a.showStopping(in)
	if ranErr := <-ran; ranErr != nil {
		return errors.Join(err, ranErr)
	}
	select {
	case <-a.SecondSignal:
		return exitWith(exitFailed, "ended without grace")
	default:
		return err
	}
}

// startMemory, in bytes, is how much may be used while silos start before garbage
// is collected at all.
const startMemory = 96 << 20

// killOnSecondSignal ends an instance without grace when the user asks again.
func (a *app) killOnSecondSignal(in *orchestrator.Instance) {
	select {
	case <-a.SecondSignal:
		in.Down(true)
	case <-in.Ended():
	}
}

// outlive waits until the instance is on its way down, or a silo has failed for good.
func (a *app) awaitEnd(ctx context.Context, in *orchestrator.Instance, keepGoing bool) error {
	news := a.messages.StateLog(a.quiet)
	for {
		snapshot, replaced := in.Next()
		if snapshot.State == state.InstanceStopping || snapshot.State == state.InstanceStopped {
			return nil
		}
		news.Update(snapshot)
		if _, failed := orchestrator.Outcome(snapshot, nil); len(failed) > 0 && !keepGoing {
			return in.Await(context.WithoutCancel(ctx), failed[0].Name) // names it with its last lines
		}
		select {
		case <-replaced:
		case <-in.Ended():
			return nil
		}
	}
}

// asTimeout makes an error that a --timeout has caused one of time. What it stopped is
// told by its words, and by the silos that nobody had come to yet.
func asTimeout(bounded, parent context.Context, err error, names ...string) error {
	if !errors.Is(bounded.Err(), context.DeadlineExceeded) || parent.Err() != nil {
		return err
	}
	text := "not ready within --timeout"
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ") + " not started yet"
	}
	_, claimed := errors.AsType[*state.ClaimedError](err)
	if at := withoutDeadline(err); at != "" && !claimed && !errors.Is(err, state.ErrRunning) { // a lock was not waited for: who has it is not known
		text += " (" + at + ")"
	}
	return exitWith(exitTimeout, text, "--timeout gives it longer")
}

// unblamed is an error that does not blame a supervisor for not having answered before
// ctx ended.
func preferContextError(ctx context.Context, err error) error {
	if errors.Is(err, api.ErrUnresponsive) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// withoutDeadline are the words of an error without those of Go's contexts, on one line.
func withoutDeadline(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(strings.TrimSuffix(line, context.DeadlineExceeded.Error()), ": ")
	}
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), "; ")
}
