package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/api"
	"silo/orchestrator"
	"silo/plan"
	"silo/proc"
	"silo/state"
	"silo/wait"
)

// reportDescriptor is the file descriptor on which a detached supervisor reports the
// outcome of the start: one exitStatus as JSON.
const reportDescriptor = 3

// supervise is the supervisor's side of up -d. It returns when the instance has ended.
func (a *app) supervise(ctx, starting context.Context, r *upRequest) error {
	in, err := a.prepare(starting, r, nil)
	if err != nil {
		return asTimeout(starting, ctx, err)
	}
	r.keepGoing = true // once started, nothing waits for the exit code
	return a.runInstance(ctx, r, in, func() error {
		if err := in.Await(starting); err != nil {
			return err
		}
		sendReport(&exitStatus{Code: exitDone, Notes: a.startNotes(r.plan, in)})
		return nil
	})
}

// reportError sends err to the waiting command if this process is a detached supervisor.
func (a *app) reportError(c *cli.Context, err error) error {
	if err != nil && c.Bool("supervise") {
		sendReport(a.classify(err))
	}
	return err
}

func sendReport(v *exitStatus) {
	if pipe := os.NewFile(reportDescriptor, "report"); pipe != nil {
		_ = json.NewEncoder(pipe).Encode(v) // the command may have exited
		_ = pipe.Close()
	}
}

// detach starts a supervisor in the background and returns once all silos are ready, or
// with the supervisor's error.
func (a *app) detach(ctx context.Context, r *upRequest) error {
	reader, err := a.spawn(r)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // already read to the end
	reported := make(chan *exitStatus, 1)
	go func() { reported <- receiveReport(reader, r) }()
	showing, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan struct{})
	go func() { defer close(shown); a.showDetached(showing, r) }()
	var v *exitStatus
	select {
	case v = <-reported:
	case <-ctx.Done():
		v = a.abortStart(ctx, r, reported)
	}
	select {
	case <-shown:
	case <-time.After(2 * frameInterval): // the view has had time to show the outcome
	}
	cancel()
	<-shown
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case v.Running:
		return state.ErrRunning // another supervisor started first
	case v.Code != exitDone:
		return v
	}
	a.note(v.Notes...)
	return a.showStarted(ctx, r)
}

// showStarted prints the result of up -d. The silos have been ready.
func (a *app) showStarted(ctx context.Context, r *upRequest) error {
	client, err := api.Dial(ctx, r.dir)
	var snapshot *state.Snapshot
	if err == nil {
		defer client.Close()
		snapshot, err = client.Snapshot(ctx, true)
	}
	switch {
	case errors.Is(err, api.ErrNotRunning):
		ended := exitWith(exitFailed, "the supervisor ended just after the silos were ready", "cat "+r.dir.SupervisorLog())
		ended.Detail = lastWords(r.dir)
		return ended
	case errors.Is(err, api.ErrUnresponsive): // a busy machine: the silos are ready, only the table is missing
		snapshot, err = r.dir.Last()
	}
	if err == nil {
		a.showReady(r, snapshot)
	}
	return err
}

// lastWords returns the last lines of a detached supervisor's log.
func lastWords(dir *state.Dir) []string {
	const lines, size = 20, 8 << 10
	log, err := os.Open(dir.SupervisorLog())
	if err != nil {
		return nil // the hint names the file
	}
	defer func() { _ = log.Close() }()
	if info, err := log.Stat(); err == nil {
		_, _ = log.Seek(max(0, info.Size()-size), io.SeekStart)
	}
	text, _ := io.ReadAll(io.LimitReader(log, size))
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	if len(all) == 1 && all[0] == "" {
		return nil
	}
	return all[max(0, len(all)-lines):]
}

// spawn starts the supervisor and returns the read end of its report pipe.
func (a *app) spawn(r *upRequest) (*os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(r.dir.Path, 0o700); err != nil {
		return nil, fmt.Errorf("create the state directory: %w", err)
	}
	log, err := os.OpenFile(r.dir.SupervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = writer.Close() }() // so that the report ends when the child exits
	argv := []string{self, "--file", r.plan.Topology.File, "--color", "never", "up", "--supervise", "--timeout", r.timeout.String()}
	if r.plan.Monolith {
		argv = append(argv, "--mode", "monolith")
	}
	dir, err := os.Getwd()
	if err == nil {
		_, err = proc.Detach(append(argv, wantedNames(r.plan)...), a.Environ, dir, log, writer)
	}
	if err != nil {
		_ = reader.Close()
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return reader, nil
}

// receiveReport reads the supervisor's report.
func receiveReport(reader io.Reader, r *upRequest) *exitStatus {
	var v exitStatus
	if err := json.NewDecoder(reader).Decode(&v); err != nil {
		return exitWith(exitFailed, "the supervisor exited before the silos were ready", "cat "+r.dir.SupervisorLog(), "silo down")
	}
	return &v
}

// showDetached shows the silos' progress until they are ready, one has failed, or ctx is
// done.
func (a *app) showDetached(ctx context.Context, r *upRequest) {
	client, err := api.Dial(ctx, r.dir)
	for ; err != nil; client, err = api.Dial(ctx, r.dir) {
		if !wait.Sleep(ctx, frameInterval/4) {
			return
		}
	}
	defer client.Close()
	a.printUnmanaged(r.plan, r.program, nil)
	view := a.progress(r.plan.Names()...)
	defer view.Done()
	_ = client.Watch(ctx, func(u api.Update) bool { // the report has the outcome
		view.Update(*u.Snapshot, u.LastLines)
		done, failed := orchestrator.Outcome(u.Snapshot, nil)
		return !done && len(failed) == 0
	})
}

// abortStart stops the supervisor after Ctrl-C and returns its report. After a timeout the
// supervisor exits on its own and reports which silos were not ready.
func (a *app) abortStart(ctx context.Context, r *upRequest, reported <-chan *exitStatus) (v *exitStatus) {
	for !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		client, err := api.Dial(context.WithoutCancel(ctx), r.dir)
		if err == nil {
			_ = client.Down(context.WithoutCancel(ctx), false)
			client.Close()
		}
		if err == nil || v != nil {
			break
		}
		select { // the supervisor is not listening yet
		case v = <-reported:
		case <-time.After(frameInterval / 4):
		}
	}
	if v == nil {
		v = <-reported
	}
	return v
}

// join applies the topology to a running instance and waits until all silos are ready.
func (a *app) join(ctx context.Context, r *upRequest) error {
	client, err := api.Dial(ctx, r.dir)
	if err != nil {
		return err
	}
	defer client.Close()
	running, err := a.requireMode(ctx, client, r)
	if err != nil {
		return err
	}
	r.joined = true
	a.note(fmt.Sprintf("already running (supervisor pid %d)", *running.PID))
	names := wantedNames(r.plan)
	changes, err := client.Up(ctx, r.plan.Monolith, names...)
	if err != nil {
		return err
	}
	unmanaged := func(name string) bool {
		return slices.ContainsFunc(r.plan.Silos, func(s plan.Silo) bool { return s.Name == name && !s.Managed })
	}
	if restart := slices.DeleteFunc(slices.Clone(changes.Restarted), func(name string) bool { return !unmanaged(name) }); len(restart) > 0 {
		changes.Restarted = slices.DeleteFunc(changes.Restarted, unmanaged)
		a.warn("the environment or the command changed: "+strings.Join(restart, ", "), "stop these silos and start them again: "+runHint(restart[0]))
	}
	a.note(changeLines(changes, "")...)
	a.printUnmanaged(r.plan, r.program, running)
	snapshot, err := a.awaitProbed(ctx, client, append(names, changes.Reloading...))
	if err == nil {
		a.showReady(r, snapshot)
	}
	return err
}

// awaitProbed is awaitReady, and then probes the silos once more: a silo that does not
// know of a change may have become unready without a probe.
func (a *app) awaitProbed(ctx context.Context, client *api.Client, names []string) (*state.Snapshot, error) {
	for {
		last, err := a.awaitReady(ctx, client, names)
		if err != nil {
			return last, err
		}
		snapshot, err := client.Snapshot(ctx, true)
		if errors.Is(err, api.ErrUnresponsive) { // a busy machine: what was seen last holds
			return last, nil
		}
		if err != nil {
			return last, err
		}
		if ready, _ := orchestrator.Outcome(snapshot, names); ready {
			return snapshot, nil
		}
	}
}

// requireMode returns the running instance, or an error if it runs in another mode.
func (a *app) requireMode(ctx context.Context, client *api.Client, r *upRequest) (*state.Snapshot, error) {
	running, err := client.Snapshot(ctx, false)
	if err == nil && (running.Mode == "monolith") != r.plan.Monolith {
		err = exitWith(exitConflict, "the instance already runs in mode "+running.Mode, "silo down")
	}
	return running, err
}

// wantedNames returns the names of the silos that a plan starts.
func wantedNames(p plan.Plan) (names []string) {
	for _, s := range p.Silos {
		if s.Wanted {
			names = append(names, s.Name)
		}
	}
	return names
}
