package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/wait"
)

func (a *app) execCommand() *cli.Command {
	return &cli.Command{
		Name: "exec", Category: categoryStart, ArgsUsage: "-- CMD…",
		Usage: "start the silos, run CMD on this terminal once they are ready, stop them; exit as CMD does",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "give up after `DURATION` on the way up, with exit code 124"},
			&cli.StringFlag{Name: "mode", Value: "silos", Usage: "`MODE` is silos, or monolith: one devserver and no regions"},
			&cli.BoolFlag{Name: "demo", Usage: "run the stand-in devserver: needs no file, no Sentry and no account"},
		},
		Action: a.exec,
	}
}

// watched looks on while a command runs, and tells whether the instance has
// ended before ctx did.
type watched func(ctx context.Context, see func(*state.Snapshot)) (ended bool)

func (a *app) exec(c *cli.Context) error {
	if c.Args().First() == "" {
		return &usageError{text: "silo exec needs a command", hint: "silo exec -- pytest tests/hybridcloud"}
	}
	if err := oneOf("--mode", c.String("mode"), "silos", "monolith"); err != nil {
		return err
	}
	if c.Duration("timeout") < 0 {
		return &usageError{text: "--timeout cannot be negative"}
	}
	starting, cancel := withTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	dir, err := a.execInstance(c)
	if err != nil {
		return err
	}
	if err := a.findCommand(c); err != nil {
		return err
	}
	for began := time.Now(); ; {
		if dir.Running() {
			err = a.execBeside(c.Context, starting, c, dir)
		} else {
			err = a.execWithin(c.Context, starting, c, dir)
		}
		changing := errors.Is(err, state.ErrRunning) || errors.Is(err, api.ErrNotRunning) // meanwhile
		if !changing || time.Since(began) > handoverTimeout || !wait.Sleep(starting, frameInterval) {
			break
		}
	}
	if v := new(exitStatus); c.Err() != nil && !errors.As(err, &v) {
		return exitQuietly(exitInterrupted) // whatever the wish to end made fail
	}
	return err
}

// execInstance is the directory of the instance that CMD is to meet; its
// topology may be broken while it runs.
func (a *app) execInstance(c *cli.Context) (*state.Dir, error) {
	if !c.Bool("demo") {
		return a.instanceDir(c)
	}
	file, err := a.demoFile()
	if err != nil {
		return nil, err
	}
	return state.DirFor(a.lookup, file)
}

// findCommand refuses a CMD that is not there before silos are started for it.
func (a *app) findCommand(c *cli.Context) error {
	folder, err := a.directory(c)
	if err != nil {
		return err
	}
	if _, err := proc.Find(c.Args().First(), folder, a.Environ); err != nil {
		return exitWith(proc.RefusalCode(err), "cannot run "+err.Error()+"; no silo was started for it")
	}
	return nil
}

// execBeside runs CMD beside an instance that runs already, and leaves that running.
func (a *app) execBeside(ctx, starting context.Context, c *cli.Context, dir *state.Dir) error {
	client, err := api.Dial(starting, dir)
	if err != nil {
		return preferContextError(starting, err)
	}
	defer client.Close()
	snapshot, err := client.Snapshot(starting, false)
	if err != nil {
		return err
	}
	if mode := c.String("mode"); c.IsSet("mode") && mode != snapshot.Mode {
		return exitWith(exitConflict, "the instance already runs in mode "+snapshot.Mode, "silo down ends it")
	}
	a.note(fmt.Sprintf("already running (supervisor pid %d): used as it is, and left running", *snapshot.PID))
	if snapshot, err = a.awaitReady(starting, client, nil); err != nil {
		return err
	}
	return a.command(ctx, c, dir, snapshot, func(ctx context.Context, see func(*state.Snapshot)) bool {
		err := client.Watch(ctx, func(u api.Update) bool { see(u.Snapshot); return true })
		return errors.Is(err, api.ErrNotRunning)
	})
}

// execWithin makes this process the supervisor for as long as CMD runs.
func (a *app) execWithin(ctx, starting context.Context, c *cli.Context, dir *state.Dir) error {
	t, err := a.topologyOrDemo(c)
	if err != nil {
		return err
	}
	plan, err := a.plan(starting, t, c.String("mode") == "monolith", nil)
	if err != nil {
		return err
	}
	a.detachTalk()
	a.warnOfDatabases(starting, plan, dir, a.commandFor(c, dir))
	in, err := a.prepare(starting, &upRequest{plan: plan, dir: dir}, nil)
	if err != nil {
		return asTimeout(starting, ctx, err, plan.Names()...)
	}
	for _, text := range startNotes(plan, in) {
		a.note(text)
	}
	patient := context.WithoutCancel(ctx) // an interrupt is for CMD first
	ran := make(chan error, 1)
	go func() { ran <- in.Run(patient) }()
	go a.killOnSecondSignal(in)
	a.printUnmanaged(plan, a.commandFor(c, dir), nil)
	if err = a.showProgress(starting, in, plan.Names()); err == nil {
		err = a.command(ctx, c, dir, in.Snapshot(), observe(in))
	}
	in.Down(false)
	if ctx.Err() != nil {
		a.note("stopping; once more ends it without grace")
	} else {
		a.note("stopping")
	}
	a.showStopping(in)
	if trouble := <-ran; trouble != nil {
		a.messages.Warn(trouble.Error()) // the exit code stays CMD's
	}
	_, _ = proc.KillOrphans(patient) // what CMD left after the instance had ended
	return err
}

// observe looks on at the instance of this process.
func observe(in *orchestrator.Instance) watched {
	return func(ctx context.Context, see func(*state.Snapshot)) bool {
		for {
			snapshot, replaced := in.Next()
			see(snapshot)
			select {
			case <-replaced:
			case <-in.Ended():
				return true
			case <-ctx.Done():
				return false
			}
		}
	}
}

// command runs CMD on this terminal. The first wish to end reaches CMD alone,
// which may be a shell that lives through it; the second one ends it.
func (a *app) command(ctx context.Context, c *cli.Context, dir *state.Dir, snapshot *state.Snapshot, watch watched) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	folder, err := a.directory(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-a.SecondSignal:
			cancel()
		case <-ctx.Done():
		}
	}()
	looking := make(chan struct{})
	go func() { defer close(looking); a.sayFailures(ctx, watch) }()
	code, err := proc.Foreground(ctx, c.Args().Slice(), folder, execEnviron(a.Environ, dir, snapshot), a.Stdin, a.Stdout, a.Stderr)
	cancel()
	<-looking
	if err != nil {
		return exitWith(code, err.Error())
	}
	return exitQuietly(code)
}

// sayFailures warns of silos that fail for good while CMD goes on.
func (a *app) sayFailures(ctx context.Context, watch watched) {
	said := map[string]bool{}
	ended := watch(ctx, func(s *state.Snapshot) {
		_, failed := orchestrator.Outcome(s, nil)
		for _, silo := range failed {
			if said[silo.Name] {
				continue
			}
			said[silo.Name] = true
			text := silo.Name + " has failed for good"
			if silo.Reason != nil {
				text += ": " + *silo.Reason
			}
			a.messages.Warn(text, "silo logs "+silo.Name+" shows all of its output")
		}
	})
	if ended && ctx.Err() == nil {
		a.messages.Warn("the instance has ended while the command runs")
	}
}

// execEnviron is the caller's environment with the addresses of all silos, and
// with the instance's topology, so that silo itself finds it from any directory.
// CMD is none of the silos: what would make it one, or would end it with them,
// is not passed on.
func execEnviron(base []string, dir *state.Dir, s *state.Snapshot) []string {
	env := slices.DeleteFunc(slices.Clone(base), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		switch name {
		case "SILO_SUPERVISED", "SILO_PROCESS", "SILO_NAME", "SILO_WORKERS", "SILO_RPC_SECRET", "SILO_SUBNET_SECRET",
			"SILO_INSTANCE", "SILO_RUN_ID", "SILO_FILE", "SILO_DATABASE":
			return true
		}
		return strings.HasPrefix(name, "SILO_URL_")
	})
	env = append(env, "SILO_INSTANCE="+dir.Key, "SILO_RUN_ID="+s.RunID, "SILO_FILE="+dir.Topology)
	for _, silo := range s.Silos {
		env = append(env, sentry.URLVariable(silo.Name)+"="+silo.URL)
	}
	return env
}
