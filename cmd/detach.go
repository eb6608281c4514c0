package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
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

// reportDescriptor is where a detached supervisor tells the command that
// started it how the start went: one verdict as JSON.
const reportDescriptor = 3

// supervise is the detached supervisor's side of `up -d`. It returns when the
// instance has ended.
func (a *app) supervise(ctx context.Context, r *upRequest) error {
	starting, cancel := withTimeout(ctx, r.timeout)
	defer cancel()
	in, err := a.prepare(starting, r, nil)
	if err != nil {
		return asTimeout(starting, ctx, err)
	}
	r.keepGoing = true // nobody waits for its exit code any more
	return a.runInstance(ctx, r, in, func() error {
		err := in.Await(starting)
		if err == nil {
			return sendReport(&exitStatus{Code: exitDone, Notes: startNotes(r.plan, in)})
		}
		return err
	})
}

// reported sends an error to whoever waits on the report descriptor, where
// this process is a detached supervisor.
func (a *app) reportError(c *cli.Context, err error) error {
	if err != nil && c.Bool("supervise") {
		return errors.Join(err, sendReport(a.classify(err)))
	}
	return err
}

func sendReport(v *exitStatus) error {
	pipe := os.NewFile(reportDescriptor, "report")
	if pipe == nil {
		return nil
	}
	defer func() { _ = pipe.Close() }() // a reader that has gone needs no report
	_ = json.NewEncoder(pipe).Encode(v)
	return nil
}

// detach starts a supervisor in the background and returns once all is ready,
// or with the error that kept it from that.
func (a *app) detach(ctx context.Context, r *upRequest) error {
	reader, err := a.spawn(r)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }() // read to its end by then
	told := make(chan *exitStatus, 1)
	go func() { told <- receiveReport(reader, r) }()
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	shown := make(chan struct{})
	go func() { defer close(shown); a.showDetached(watching, r) }()
	var v *exitStatus
	select {
	case v = <-told:
	case <-ctx.Done():
		a.abortStart(ctx, r)
		v = <-told
	}
	select {
	case <-shown:
	case <-time.After(2 * frameInterval): // the view ends by itself where it has seen the outcome
	}
	cancel()
	<-shown
	if v.Running {
		return state.ErrRunning // somebody was faster
	}
	if v.Code != exitDone {
		return v
	}
	for _, note := range v.Notes {
		a.note(note)
	}
	client, err := api.Dial(ctx, r.dir)
	if err != nil {
		return err
	}
	defer client.Close()
	snapshot, err := client.Snapshot(ctx, true)
	if err != nil {
		return err
	}
	a.showReady(r, snapshot)
	return nil
}

// spawn starts the supervisor; what it returns is the end of its report.
func (a *app) spawn(r *upRequest) (*os.File, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	if err := os.MkdirAll(r.dir.Path, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	log, err := os.OpenFile(r.dir.SupervisorLog(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the supervisor's log: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = writer.Close() }() // so that the report ends with the child
	argv := []string{self, "--file", r.plan.Topology.File, "--color", "never", "up", "--supervise", "--timeout", r.timeout.String()}
	if r.plan.Monolith {
		argv = append(argv, "--mode", "monolith")
	}
	for _, s := range r.plan.Silos {
		if s.Wanted {
			argv = append(argv, s.Name)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	if _, err := proc.Detach(argv, a.Environ, dir, log, writer); err != nil {
		_ = reader.Close()
		return nil, fmt.Errorf("start the supervisor: %w", err)
	}
	return reader, nil
}

// receive reads the supervisor's report. One that ends without a word has died.
func receiveReport(reader io.Reader, r *upRequest) *exitStatus {
	var v exitStatus
	if err := json.NewDecoder(reader).Decode(&v); err != nil {
		return &exitStatus{
			Code: exitFailed, Text: "the supervisor ended without a word",
			Hints: []string{"its last words are in " + r.dir.SupervisorLog(), "silo down clears away what it left"},
		}
	}
	return &v
}

// showDetached draws the silos' way up until the report is there.
func (a *app) showDetached(ctx context.Context, r *upRequest) {
	if a.quiet {
		return
	}
	for ctx.Err() == nil {
		client, err := api.Dial(ctx, r.dir)
		if err == nil {
			a.printUnmanaged(r.plan, r.program, nil)
			view := a.messages.Progress(r.plan.Names()...)
			_ = client.Watch(ctx, func(u api.Update) bool { // the report tells the outcome
				view.Update(*u.Snapshot, u.LastLines)
				done, failed := orchestrator.Outcome(u.Snapshot, nil)
				return !done && len(failed) == 0
			})
			view.Done()
			client.Close()
			return
		}
		if !wait.Sleep(ctx, frameInterval/4) {
			return
		}
	}
}

// abandon ends a start that the user, or --timeout, has had enough of.
func (a *app) abortStart(ctx context.Context, r *upRequest) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return // the supervisor has the same bound, and reports who was late
	}
	client, err := api.Dial(context.WithoutCancel(ctx), r.dir)
	if err != nil {
		return
	}
	defer client.Close()
	_ = client.Down(context.WithoutCancel(ctx), false) // its report comes next
}

// join waits for an instance that already runs, and asks for silos that rest.
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
	a.note(fmt.Sprintf("already running, with supervisor pid %d", *running.PID))
	names := wantedNames(r.plan)
	changes, err := client.Up(ctx, r.plan.Monolith, names...)
	if err != nil {
		return err
	}
	if again := changes.Restarted; !r.plan.Topology.Sentry.Managed && len(again) > 0 {
		changes.Restarted = nil
		a.messages.Warn("launched otherwise from now on: "+strings.Join(again, ", "), "end them and start them again where they run")
	}
	a.printChanges(changes)
	a.printUnmanaged(r.plan, r.program, running)
	if _, err := a.awaitReady(ctx, client, names); err != nil {
		return err
	}
	snapshot, err := client.Snapshot(ctx, true)
	if err != nil {
		return err
	}
	a.showReady(r, snapshot)
	return nil
}

// requireMode is a running instance, if it runs in the mode that is asked for.
func (a *app) requireMode(ctx context.Context, client *api.Client, r *upRequest) (*state.Snapshot, error) {
	running, err := client.Snapshot(ctx, false)
	if err == nil && (running.Mode == "monolith") != r.plan.Monolith {
		err = exitWith(exitConflict, "the instance already runs in mode "+running.Mode, "silo down ends it")
	}
	return running, err
}

// wanted are the names of the silos that are asked for.
func wantedNames(plan plan.Plan) (names []string) {
	for _, s := range plan.Silos {
		if s.Wanted {
			names = append(names, s.Name)
		}
	}
	return names
}

// printChanges tells what a changed topology meant for the silos.
func (a *app) printChanges(c plan.Changes) {
	for _, text := range changeLines(c, "") {
		a.note(text)
	}
}
