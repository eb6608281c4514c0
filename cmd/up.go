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
		Name: "up", ArgsUsage: "[SILO…]", Category: categoryStart,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return once all silos are ready, and leave them running"},
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "give up after `DURATION`, with exit code 124"},
			&cli.BoolFlag{Name: "keep-going", Usage: "keep running when a silo fails permanently"},
			&cli.BoolFlag{Name: "dry-run", Usage: "print the plan and change nothing"},
			&cli.StringFlag{Name: "mode", Value: "silos", Usage: "run in `MODE`: silos, or monolith for one devserver without regions"},
			&cli.BoolFlag{Name: "demo", Usage: "run a stand-in for Sentry, without a topology file or an account"},
			&cli.BoolFlag{Name: "attach", Usage: "show a running instance, and take keys"},
			&cli.BoolFlag{Name: "supervise", Hidden: true, Usage: "be the supervisor of a detached instance and report on descriptor 3"},
		},
		Action: a.up,
	}
}

// upRequest is a parsed command line of up.
type upRequest struct {
	plan      plan.Plan
	dir       *state.Dir
	timeout   time.Duration
	keepGoing bool
	json      bool
	program   string // how hints call silo for this instance
	joined    bool   // the instance was running before
}

func (a *app) up(c *cli.Context) error {
	if c.Bool("attach") {
		return a.attachRunning(c)
	}
	ctx, cancel := withTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	r, err := a.upRequest(ctx, c, c.Args().Slice())
	if err != nil {
		return a.reportError(c, err)
	}
	if !c.Bool("supervise") {
		a.warnOfChoice(r.plan.Choice)
	}
	switch {
	case c.Bool("dry-run"):
		return a.dryRun(ctx, r)
	case c.Bool("supervise"):
		return a.reportError(c, a.supervise(c.Context, ctx, r))
	}
	a.warnOfDatabases(ctx, r.plan, r.dir, r.program)
	return retryHandover(ctx, func() error {
		switch {
		case r.dir.Running():
			return preferContextError(ctx, a.join(ctx, r))
		case c.Bool("detach"):
			return a.detach(ctx, r)
		}
		return a.foreground(c.Context, ctx, r)
	})
}

// handoverTimeout bounds the wait while the instance's lock changes hands: another
// supervisor started first, or the last one is exiting or being cleaned up.
const handoverTimeout = 10 * time.Second

// retryHandover retries start while it fails because the instance is already running or has
// just ended.
func retryHandover(ctx context.Context, start func() error) error {
	for began := time.Now(); ; {
		err := start()
		changed := errors.Is(err, state.ErrRunning) || errors.Is(err, api.ErrNotRunning)
		if !changed || time.Since(began) > handoverTimeout || !wait.Sleep(ctx, frameInterval) {
			return err
		}
	}
}

// withTimeout is context.WithTimeout, without a bound if timeout is 0.
func withTimeout(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout > 0 {
		return context.WithTimeout(ctx, timeout)
	}
	return context.WithCancel(ctx)
}

func (a *app) upRequest(ctx context.Context, c *cli.Context, silos []string) (*upRequest, error) {
	t, err := a.topologyOrDemo(c)
	if err != nil {
		return nil, err
	}
	p, err := a.plan(ctx, t, c.String("mode") == "monolith", silos)
	if err != nil {
		return nil, err
	}
	dir, err := state.DirFor(a.lookup, t.File)
	if err != nil {
		return nil, err
	}
	return &upRequest{
		plan: p, dir: dir, timeout: c.Duration("timeout"), keepGoing: c.Bool("keep-going"),
		json: c.Bool("json"), program: a.commandFor(dir, c.Bool("demo")),
	}, nil
}

func (a *app) topologyOrDemo(c *cli.Context) (*topology.Topology, error) {
	if c.Bool("demo") {
		if c.String("file") != "" {
			return nil, &usageError{text: "--demo has its own topology and takes no --file"}
		}
		return a.demo()
	}
	return a.load(c)
}

// plan detects the dialect and plans the silos.
func (a *app) plan(ctx context.Context, t *topology.Topology, monolith bool, only []string) (plan.Plan, error) {
	choice, err := sentry.Choose(ctx, t.Sentry.Dialect, sentry.Finder{
		Dir: t.Sentry.Dir, Command: t.Sentry.Command, Env: a.sentryEnv(t),
		Run: a.capture,
	})
	if err != nil {
		return plan.Plan{}, err
	}
	if a.isDemo(t) {
		choice.Found = strings.Replace(choice.Found, "set by sentry.dialect in silo.toml", "set by the demo", 1)
	}
	return plan.New(t, choice, monolith, only)
}

// warnOfChoice prints the warning about the dialect. Only verbs that start silos or show
// the region config depend on the dialect.
func (a *app) warnOfChoice(choice sentry.Choice) {
	if choice.Warning != "" && !a.quiet {
		a.warn(choice.Warning)
	}
}

// capture runs a program and returns its standard output.
func (a *app) capture(ctx context.Context, argv []string, dir string) ([]byte, error) {
	return proc.Output(ctx, argv, dir, a.Environ)
}

// sentryEnv looks variables up in a devserver's environment.
func (a *app) sentryEnv(t *topology.Topology) func(string) (string, bool) {
	return func(name string) (string, bool) {
		if value, ok := t.Sentry.Env[name]; ok {
			return value, true
		}
		return a.lookup(name)
	}
}

// foreground makes this process the supervisor. It returns after a signal, silo down, or
// the permanent failure of a silo.
func (a *app) foreground(ctx, starting context.Context, r *upRequest) error {
	// The silos' output waits until all are ready, since the live view uses the terminal before
	// that. If its reader exits, as in silo up | head -1, the instance ends.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sink := &gatedWriter{out: a.detachOutput(), onError: cancel}
	sink.open.Store(!a.results.Terminal())
	mux := logs.NewMux(sink, func(name string) string { return a.results.Prefix(name, r.plan.Names()) })
	mux.Clean = a.results.SanitizeLine
	in, err := a.prepare(starting, r, mux)
	if err != nil {
		return asTimeout(starting, ctx, err, wantedNames(r.plan)...)
	}
	defer func() { _ = mux.Close() }() // onError has handled a closed reader
	a.note(a.startNotes(r.plan, in)...)
	return a.runInstance(ctx, r, in, func() error {
		a.printUnmanaged(r.plan, r.program, nil)
		if err := a.showProgress(starting, in, r.plan.Names()); err != nil {
			return err
		}
		snapshot := in.Measure() //nolint:contextcheck // bounded by itself
		if ctx.Err() != nil || snapshot.State == state.InstanceStopping {
			return orchestrator.ErrEnded // do not print the table: the silos are stopping
		}
		a.showReady(r, snapshot)
		sink.open.Store(true)
		return nil
	})
}

// prepare does everything before the launch and opens the dashboard and the API socket.
func (a *app) prepare(ctx context.Context, r *upRequest, mux *logs.Mux) (*orchestrator.Instance, error) {
	host := a.host(r.dir)
	host.Color = mux != nil && a.results.Color()
	in, err := orchestrator.Prepare(ctx, r.plan, host, mux)
	if err != nil {
		return nil, err
	}
	server, page := a.dashboardServer(ctx, r.dir, in)
	socket, err := api.Serve(ctx, r.dir, in.Supervisor, api.Options{Replan: a.replan(r), StripEscapes: ui.StripEscapes, Version: release(), Page: page})
	if err != nil {
		return nil, errors.Join(err, in.Abandon(ctx))
	}
	in.Defer(func() error { return socket.Close(ctx) })
	if server != nil {
		server.Serve(socket.Handler())
	}
	return in, nil
}

// dashboardServer opens the dashboard's port. It returns nil and warns if that fails.
func (a *app) dashboardServer(ctx context.Context, dir *state.Dir, in *orchestrator.Instance) (*dashboard.Server, api.Page) {
	server, err := dashboard.Listen(ctx, dir)
	if err != nil {
		a.logLine(levelWarn, "no dashboard: "+err.Error())
		return nil, api.Page{}
	}
	in.Defer(func() error { return server.Close(ctx) })
	in.ShowDashboard(server.Address())
	return server, api.Page{URL: server.URL(), OneTimeURL: server.OneTimeURL}
}

// replan returns the function that reads the topology again for a later up.
func (a *app) replan(r *upRequest) api.Replan {
	return func(ctx context.Context, only []string, monolith bool) (plan.Plan, error) {
		t, err := topology.Load(r.plan.Topology.File, a.lookup)
		if err != nil {
			return plan.Plan{}, err
		}
		return a.plan(ctx, t, monolith, only)
	}
}

// startNotes returns what a start detected and changed.
func (a *app) startNotes(p plan.Plan, in *orchestrator.Instance) []string {
	notes, change := in.Displaced, in.Change
	if p.Topology.Sentry.Dialect == "auto" {
		notes = append(notes, fmt.Sprintf("dialect %s: %s", p.Choice.Dialect.Name, p.Choice.Found))
	}
	if change.Replaced != "" {
		notes = append(notes, fmt.Sprintf("replaced the region config of %q in %s", change.Replaced, p.Topology.Sentry.Config))
	}
	if change.Backup != "" && !a.isDemo(p.Topology) { // the demo's was empty
		notes = append(notes, "the original file is kept as "+change.Backup)
	}
	return notes
}

// showReady prints the result of up.
func (a *app) showReady(r *upRequest, s *state.Snapshot) {
	switch {
	case r.json:
		_ = a.printJSON(s) // a closed reader does not end the instance
	case a.quiet:
		a.results.Status(*s)
	default:
		a.results.Ready(*s, r.program, r.joined)
	}
}

// runInstance runs an instance from launch to its end. started waits for the silos and
// prints them; if it fails, the instance is stopped.
func (a *app) runInstance(ctx context.Context, r *upRequest, in *orchestrator.Instance, started func() error) error {
	ran := make(chan error, 1)
	go func() { ran <- in.Run(ctx) }()
	go a.killOnSecondSignal(in)
	err := started()
	switch {
	case err == nil:
		debug.FreeOSMemory() // starting takes more memory than running
		err = a.awaitEnd(ctx, in, r.keepGoing)
	case ctx.Err() != nil, errors.Is(err, orchestrator.ErrEnded): // a signal, or silo down
		err = nil
	}
	if err != nil {
		in.Down(false)
	}
	if ctx.Err() != nil {
		a.note("stopping; press Ctrl-C again to kill now")
	}
	a.showUntil(in.Ended(), in)
	if runErr := <-ran; runErr != nil {
		return errors.Join(err, runErr)
	}
	select {
	case <-a.SecondSignal:
		return exitWith(exitFailed, "killed without waiting for the silos to stop")
	default:
		return err
	}
}

func (a *app) killOnSecondSignal(in *orchestrator.Instance) {
	select {
	case <-a.SecondSignal:
		in.Down(true)
	case <-in.Ended():
	}
}

// awaitEnd blocks until the instance is stopping, or a silo has failed permanently.
func (a *app) awaitEnd(ctx context.Context, in *orchestrator.Instance, keepGoing bool) error {
	log := a.messages.StateLog(a.quiet)
	for {
		snapshot, replaced := in.Next()
		if snapshot.State == state.InstanceStopping || snapshot.State == state.InstanceStopped {
			return nil
		}
		log.Update(snapshot)
		failed := slices.IndexFunc(snapshot.Silos, func(s state.Silo) bool { return s.State == state.Failed })
		if failed >= 0 && !keepGoing {
			return in.Await(context.WithoutCancel(ctx), snapshot.Silos[failed].Name) // returns the failure with its last lines
		}
		select {
		case <-replaced:
		case <-in.Ended():
			return nil
		}
	}
}

// asTimeout replaces an error that --timeout caused by one that names the operation and
// the silos that were not started.
func asTimeout(bounded, parent context.Context, err error, names ...string) error {
	if !errors.Is(bounded.Err(), context.DeadlineExceeded) || parent.Err() != nil {
		return err
	}
	text := "not ready within --timeout"
	if len(names) > 0 {
		text += ": " + strings.Join(names, ", ") + " not started yet"
	}
	// An error about a lock or claim would mislead: up did not wait for it, so it may be free
	// by now.
	_, claimed := errors.AsType[*state.ClaimedError](err)
	if operation := withoutDeadline(err); operation != "" && !claimed && !errors.Is(err, state.ErrRunning) {
		text += " (" + operation + ")"
	}
	return exitWith(exitTimeout, text, "increase --timeout")
}

// preferContextError returns the error of ctx instead of ErrUnresponsive if ctx is done.
func preferContextError(ctx context.Context, err error) error {
	if errors.Is(err, api.ErrUnresponsive) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
