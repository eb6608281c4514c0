package cmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/proc"
	"silo/sentry"
	"silo/state"
)

func (a *app) execCommand() *cli.Command {
	return &cli.Command{
		Name: "exec", ArgsUsage: "-- CMD…", Category: categoryStart,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "timeout", DefaultText: "none", Usage: "give up after `DURATION` if the silos are not ready, with exit code 124"},
			&cli.StringFlag{Name: "mode", Value: "silos", Usage: "`MODE` is silos, or monolith: one devserver without regions"},
			&cli.BoolFlag{Name: "demo", Usage: "run the stand-in devserver, without a topology, Sentry or an account"},
		},
		Action: a.exec,
	}
}

func (a *app) exec(c *cli.Context) error {
	if c.Args().First() == "" {
		return &usageError{text: "silo exec needs a command", hint: "silo exec -- pytest tests/hybridcloud"}
	}
	starting, cancel := withTimeout(c.Context, c.Duration("timeout"))
	defer cancel()
	dir, err := a.instanceDir(c)
	if err != nil {
		return err
	}
	if err := a.findCommand(c); err != nil {
		return err
	}
	err = retryHandover(starting, func() error {
		if dir.Running() {
			return a.execAlongside(c.Context, starting, c, dir)
		}
		return a.execWithin(c.Context, starting, c, dir)
	})
	if v := new(exitStatus); c.Err() != nil && !errors.As(err, &v) {
		return c.Err()
	}
	return err
}

// findCommand fails if CMD does not exist, before any silo is started.
func (a *app) findCommand(c *cli.Context) error {
	folder, err := a.directory(c)
	if err != nil {
		return err
	}
	if _, err := proc.Find(c.Args().First(), folder, a.Environ); err != nil {
		return exitWith(proc.RefusalCode(err), "cannot run "+err.Error()+"; no silo was started")
	}
	return nil
}

// execAlongside runs CMD while an instance already runs, and leaves it running.
func (a *app) execAlongside(ctx, starting context.Context, c *cli.Context, dir *state.Dir) error {
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
		return exitWith(exitConflict, "the instance already runs in mode "+snapshot.Mode, "silo down")
	}
	a.note(fmt.Sprintf("using the running instance (supervisor pid %d), which is left running", *snapshot.PID))
	if snapshot, err = a.awaitReady(starting, client, nil); err != nil {
		return err
	}
	return a.command(ctx, c, dir, client, snapshot)
}

// execWithin makes this process the supervisor while CMD runs.
func (a *app) execWithin(ctx, starting context.Context, c *cli.Context, dir *state.Dir) error {
	r, err := a.upRequest(starting, c, nil)
	if err == nil {
		a.warnOfChoice(r.plan.Choice)
	}
	if err != nil {
		return err
	}
	a.detachMessages()
	a.warnOfDatabases(starting, r.plan, dir, r.program)
	in, err := a.prepare(starting, r, nil)
	if err != nil {
		return asTimeout(starting, ctx, err, r.plan.Names()...)
	}
	a.note(a.startNotes(r.plan, in)...)
	patient := context.WithoutCancel(ctx) // an interrupt goes to CMD first
	ran := make(chan error, 1)
	go func() { ran <- in.Run(patient) }()
	go a.killOnSecondSignal(in)
	a.printUnmanaged(r.plan, r.program, nil)
	if err = a.showProgress(starting, in, r.plan.Names()); err == nil {
		err = a.commandWithin(ctx, c, dir)
	}
	in.Down(false)
	if ctx.Err() != nil {
		a.note("stopping; press Ctrl-C again to kill the silos at once")
	} else {
		a.note("stopping")
	}
	a.showUntil(in.Ended(), in)
	if trouble := <-ran; trouble != nil {
		a.warn(trouble.Error()) // the exit code is CMD's
	}
	_, _ = proc.KillOrphans(patient) // processes that CMD left running
	return err
}

// commandWithin runs CMD while this process supervises the instance.
func (a *app) commandWithin(ctx context.Context, c *cli.Context, dir *state.Dir) error {
	client, err := api.Dial(ctx, dir)
	if err != nil {
		return err
	}
	defer client.Close()
	snapshot, err := client.Snapshot(ctx, false)
	if err != nil {
		return err
	}
	return a.command(ctx, c, dir, client, snapshot)
}

// command runs CMD on this terminal. The first interrupt reaches only CMD, which may be
// a shell that ignores it. The second one kills CMD.
func (a *app) command(ctx context.Context, c *cli.Context, dir *state.Dir, client *api.Client, snapshot *state.Snapshot) error {
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
	watching, warn := make(chan struct{}), a.failureWarner()
	go func() { defer close(watching); a.watchFailures(ctx, client, warn) }()
	code, err := proc.Foreground(ctx, c.Args().Slice(), folder, execEnviron(a.Environ, dir, snapshot), a.Stdin, a.Stdout, a.Stderr)
	cancel()
	<-watching
	asking, done := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
	defer done()
	if last, err := client.Snapshot(asking, false); err == nil {
		warn(last) // CMD may end before the watch shows a failure
	}
	if err != nil {
		return exitWith(code, err.Error())
	}
	return exitQuietly(code)
}

// failureWarner returns a function that warns once about each silo that has failed
// permanently.
func (a *app) failureWarner() func(*state.Snapshot) {
	reported := map[string]bool{}
	return func(s *state.Snapshot) {
		_, failed := orchestrator.Outcome(s, nil)
		for _, silo := range failed {
			if reported[silo.Name] {
				continue
			}
			reported[silo.Name] = true
			text := silo.Name + " has failed permanently"
			if silo.Reason != nil {
				text += ": " + *silo.Reason
			}
			a.warn(text, "silo logs "+silo.Name)
		}
	}
}

// watchFailures calls warn with each snapshot while CMD runs.
func (a *app) watchFailures(ctx context.Context, client *api.Client, warn func(*state.Snapshot)) {
	err := client.Watch(ctx, func(u api.Update) bool { warn(u.Snapshot); return true })
	if errors.Is(err, api.ErrNotRunning) && ctx.Err() == nil {
		a.warn("the instance has ended, but the command is still running")
	}
}

// execEnviron returns the caller's environment with the addresses of all silos, and the
// topology, so that silo finds it from any directory. Variables that belong to a silo
// are removed: otherwise cleanup would kill CMD with the silos.
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
