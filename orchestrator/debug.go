package orchestrator

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"silo/plan"
	"silo/proc"
	"silo/wait"
)

// ConsoleSize is the size of a terminal in characters.
type ConsoleSize = proc.Size

// DebugSpec describes a process that runs a silo on a user's terminal.
type DebugSpec struct {
	Argv    []string     // empty: the silo's own command
	Environ []string     // the terminal's, as os.Environ returns it
	Console *ConsoleSize // nil: standard input and output are pipes
	Output  io.Writer    // receives the output of the process. It may block for a while but not forever
	Stop    bool         // leave the silo stopped at the end
}

// DebugSession is a silo that is being debugged: a user starts its process in a terminal,
// instead of the supervised one.
type DebugSession struct {
	spec       DebugSpec
	name       string
	supervisor *Supervisor

	started chan struct{} // closed once process is set
	over    chan struct{} // closed once the process tree has ended, and the silo is supervised again
	process *proc.Process // valid once started is closed
	err     error         // why there is no process; valid once over is closed
}

// Debug stops a silo's supervised process and launches the process of spec. It returns
// once a snapshot shows the silo as debugged; Started is closed later. It fails with an
// *UnmanagedError if the silo is unmanaged or already being debugged, and with
// proc.ErrNotFound or proc.ErrNotExecutable before anything has changed.
func (s *Supervisor) Debug(name string, spec DebugSpec) (*DebugSession, error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	p := s.placement()
	if err := p.CheckNames([]string{name}); err != nil {
		return nil, err
	}
	if err := s.checkManaged(name); err != nil {
		return nil, err
	}
	placed, _ := p.Find(name)
	if len(spec.Argv) == 0 {
		spec.Argv = placed.Argv
	}
	if _, err := proc.Find(spec.Argv[0], placed.Dir, p.debugEnviron(name, spec)); err != nil {
		return nil, err
	}
	d := &DebugSession{spec: spec, name: name, supervisor: s, started: make(chan struct{}), over: make(chan struct{})}
	return d, s.request(debugEvent{name, d})
}

// debugEnviron returns the silo's environment on the user's terminal.
func (p *placement) debugEnviron(name string, spec DebugSpec) []string {
	layout := p.Layout
	layout.Run.Environ, layout.Run.Color = spec.Environ, false
	return layout.Environ(name)
}

// Sync returns once a snapshot shows everything that happened before the call.
func (s *Supervisor) Sync() { s.sendCommand(commandNone, nil) }

// Started is closed once the process runs.
func (d *DebugSession) Started() <-chan struct{} { return d.started }

// Over is closed once the process tree has ended.
func (d *DebugSession) Over() <-chan struct{} { return d.over }

// Input returns the standard input of the process. It blocks until Started or Over is
// closed, and then returns nil if there is no process.
func (d *DebugSession) Input() *proc.Input {
	select {
	case <-d.started:
		return d.process.Input()
	case <-d.over:
		return nil
	}
}

// Release ends the session because its client has disconnected. It does not wait.
func (d *DebugSession) Release() { d.supervisor.send(clientGoneEvent{d.name, d}) }

// errPreempted is returned if another command stopped the silo before the process started.
var errPreempted = errors.New("the silo was stopped by another command")

// Exit blocks until the session is over, and returns how its process ended, or why no
// process was started.
func (d *DebugSession) Exit() (proc.Exit, error) {
	select {
	case <-d.over:
	case <-d.supervisor.ended:
	}
	select {
	case <-d.started:
		return d.process.Exit(), nil
	default:
	}
	if d.err != nil {
		return proc.Exit{}, d.err
	}
	return proc.Exit{}, errPreempted
}

// attach configures a launch for a debug session.
func (d *DebugSession) attach(spec *proc.Spec) {
	spec.Argv, spec.TTY = d.spec.Argv, false
	spec.Input, spec.Console = true, d.spec.Console
	spec.Output = tee{spec.Output, d.spec.Output}
}

// begin records the process of the session, or why it was not started.
func (d *DebugSession) begin(process *proc.Process, err error) {
	if d.process, d.err = process, err; err == nil {
		close(d.started)
	}
}

// tee copies a debugged silo's output to its log and to its terminal.
type tee struct{ log, terminal io.Writer }

func (t tee) Write(block []byte) (int, error) {
	_, _ = t.terminal.Write(block) // the client may have disconnected
	_, _ = t.log.Write(bytes.ReplaceAll(block, []byte("\r\n"), []byte("\n")))
	return len(block), nil
}

// debugProbeTimeout bounds the health check of a debugged silo. The request may stop at a
// breakpoint, and so would another one.
const debugProbeTimeout = 10 * time.Minute

// probeDebugged requests the health page of a debugged silo until it answers. There is no
// timeout, because the user may be at a debugger's prompt. The mode is not checked,
// because those requests may reach a breakpoint.
func (s *Supervisor) probeDebugged(ctx context.Context, j *job, round int) {
	placed, _ := s.placement().Find(j.name)
	last := probedEvent{}
	for interval := firstInterval; ; interval = min(2*interval, maxWatchInterval) {
		result := probedEvent{launchID: j.launchID, round: round}
		if err := checkDebugged(ctx, j, placed); err != nil {
			result.reason = err.Error()
		}
		result.ready, result.at = result.reason == "", time.Now()
		if ctx.Err() != nil || s.sendIfNew(result, &last) || !wait.Sleep(ctx, interval) {
			return
		}
	}
}

func checkDebugged(ctx context.Context, j *job, placed plan.Placed) error {
	if placed.Ready.Off {
		return nil
	}
	status, err := getStatus(ctx, debugProbeTimeout, placed.HealthAddr(), placed.Ready.Path)
	switch {
	case err != nil:
		return err
	case status != placed.Ready.Status:
		return fmt.Errorf("%s answers %d, not %d", placed.Ready.Path, status, placed.Ready.Status)
	}
	return checkOwner(j, placed)
}

// checkManaged returns an *UnmanagedError if any of the named silos is unmanaged or debugged.
func (s *Supervisor) checkManaged(names ...string) error {
	_, others := s.divide(names)
	if len(others) == 0 {
		return nil
	}
	return &UnmanagedError{Names: others, Debugged: len(s.debugged(others)) > 0}
}

// debugged returns the silos among names that are debugged.
func (s *Supervisor) debugged(names []string) (list []string) {
	for _, silo := range s.Snapshot().Silos {
		if silo.Debug && slices.Contains(names, silo.Name) {
			list = append(list, silo.Name)
		}
	}
	return list
}
