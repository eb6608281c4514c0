package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"silo/api"
	"silo/client"
	"silo/databases"
	"silo/orchestrator"
	"silo/plan"
	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/tunnels"
)

// The exit codes, which scripts may rely on. exitCodes describes them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotReady    = 3
	exitStopped     = 4
	exitInvalid     = 5
	exitConflict    = 6
	exitTimeout     = 124
	exitInterrupted = 130 // 128 and the number of SIGINT
)

// exitStatus is an error with its exit code and its message. A detached supervisor
// sends one to the command that started it.
type exitStatus struct { //nolint:errname // success has one too
	Code     int                `json:"code"`
	Text     string             `json:"text,omitempty"`
	Hints    []string           `json:"hints,omitempty"`
	Detail   []string           `json:"detail,omitempty"` // lines printed before Text, unchanged
	Problems []topology.Problem `json:"problems,omitempty"`
	Notes    []string           `json:"notes,omitempty"`   // of a successful start
	Running  bool               `json:"running,omitempty"` // the error is state.ErrRunning
}

func (v *exitStatus) Error() string { return v.Text }

// exitQuietly returns an error that only sets the exit code.
func exitQuietly(code int) error { return &exitStatus{Code: code} }

func exitWith(code int, text string, hints ...string) *exitStatus {
	return &exitStatus{Code: code, Text: text, Hints: hints}
}

// exit prints an error, if there is one, and returns the exit code.
func (a *app) exit(err error) int {
	v := a.classify(err)
	if lost := a.results.WriteError(); lost != nil && v.Text == "" && !a.lossyOutput {
		v = exitWith(exitFailed, lost.Error())
	}
	if len(v.Problems) > 0 {
		a.messages.Problems(v.Problems)
	}
	for _, line := range v.Detail {
		_, _ = fmt.Fprintln(a.Stderr, line) // a failed write to stderr cannot be reported
	}
	if v.Text != "" {
		a.messages.Error(v.Text, a.pastable(v.Hints)...)
	}
	return v.Code
}

// pastable returns hints that call silo as it was called, for the same instance.
func (a *app) pastable(hints []string) []string {
	name := a.programName()
	hints = slices.Clone(hints)
	for i, hint := range hints {
		hints[i] = siloCall.ReplaceAllStringFunc(hint, func(call string) string {
			before, args, _ := strings.Cut(call, "silo ")
			if args == "-" { // it already selects an instance
				return before + name + " -"
			}
			return before + name + " " + a.selection + args
		})
	}
	return hints
}

// siloCall matches the beginning of a call of silo in a hint, up to the first character
// of its arguments.
var siloCall = regexp.MustCompile(`(^|&& )silo .`)

// knownErrors maps sentinel errors to exit codes and hints.
var knownErrors = []struct {
	err   error
	code  int
	hints []string
}{
	{client.ErrRequest, exitUsage, nil},
	{sentry.ErrUnsigned, exitUsage, nil},
	{sentry.ErrUnsupported, exitInvalid, nil},
	{sentry.ErrBroken, exitInvalid, []string{"silo up --mode monolith"}},
	{api.ErrNotRunning, exitStopped, []string{"silo up"}},
	{api.ErrNoDashboard, exitFailed, []string{"silo down && silo up"}},
	{api.ErrHung, exitFailed, []string{"fg, or kill -CONT PID, if Ctrl-Z has stopped it", "silo down && silo up"}},
	{api.ErrUnresponsive, exitFailed, []string{"silo down && silo up"}},
	{sentry.ErrMissing, exitFailed, []string{"sentry init, or set sentry.config in silo.toml to another file", doctorHint}},
	{sentry.ErrMarkers, exitFailed, []string{"repair the marker lines or delete silo's block, then run silo up again"}},
}

// doctorHint is for errors after which more may be missing.
const doctorHint = "silo doctor, which shows everything that is missing"

// classify returns the exit code and the message of any error. It is the only place that
// maps errors to exit codes.
func (a *app) classify(err error) *exitStatus {
	if err == nil {
		return &exitStatus{Code: exitDone}
	}
	if v := new(exitStatus); errors.As(err, &v) {
		return v
	}
	for _, classifier := range []func(error) *exitStatus{usage, invalid, a.conflict, notReady, tunnel, unanswered, unsent} {
		if v := classifier(err); v != nil {
			return v
		}
	}
	if errors.Is(err, context.Canceled) {
		return exitWith(exitInterrupted, "interrupted")
	}
	if _, ok := errors.AsType[*orchestrator.ProgramError](err); ok {
		return exitWith(exitFailed, err.Error(), doctorHint)
	}
	if _, ok := errors.AsType[*databases.MissingError](err); ok {
		return exitWith(exitFailed, err.Error(), "silo db create")
	}
	if same, ok := errors.AsType[*databases.DuplicateIDError](err); ok {
		return exitWith(exitFailed, same.Error(), "set SENTRY_USE_SNOWFLAKE = True in sentry.conf.py, then silo restart && silo seed")
	}
	for _, known := range knownErrors {
		if errors.Is(err, known.err) {
			return exitWith(known.code, err.Error(), known.hints...)
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return exitWith(exitTimeout, timeoutText(err))
	}
	return exitWith(exitFailed, err.Error())
}

func timeoutText(err error) string {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return "the supervisor did not answer in time"
	}
	if operation := withoutDeadline(err); operation != "" {
		return operation + ": timed out"
	}
	return "timed out"
}

// withoutDeadline returns the text of an error in one line, without the words of
// context.DeadlineExceeded.
func withoutDeadline(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(strings.TrimSuffix(line, context.DeadlineExceeded.Error()), ": ")
	}
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), "; ")
}

func usage(err error) *exitStatus {
	if e, ok := errors.AsType[*usageError](err); ok {
		v := exitWith(exitUsage, e.text)
		if e.hint != "" {
			v.Hints = []string{e.hint}
		}
		return v
	}
	if e, ok := errors.AsType[*plan.UnknownSiloError](err); ok {
		return exitWith(exitUsage, fmt.Sprintf("unknown silo %q", e.Name), suggest(e.Name, e.Known, "the silos are "+strings.Join(e.Known, ", ")))
	}
	return nil
}

func invalid(err error) *exitStatus {
	if problems, ok := errors.AsType[topology.Problems](err); ok {
		return &exitStatus{Code: exitInvalid, Problems: problems}
	}
	if errors.Is(err, topology.ErrNotFound) {
		return exitWith(exitUsage, "no silo.toml here or in a parent directory", "silo init", "silo up --demo, to try silo without one")
	}
	return nil
}

func (a *app) conflict(err error) *exitStatus {
	if taken, ok := errors.AsType[ports.Conflicts](err); ok {
		return a.portConflict(taken)
	}
	if claimed, ok := errors.AsType[*state.ClaimedError](err); ok {
		return exitWith(exitConflict, claimed.Error(), "set sentry.config in silo.toml, or SENTRY_CONF, to another file", "silo -f "+claimed.Holder+" down")
	}
	if whole, ok := errors.AsType[*plan.ImmutableError](err); ok {
		return exitWith(exitConflict, whole.Error(), "silo down && silo up")
	}
	if running, ok := errors.AsType[*databases.RunningError](err); ok {
		return exitWith(exitConflict, running.Error(), "silo stop "+strings.Join(running.Silos, " "))
	}
	if errors.Is(err, state.ErrRunning) {
		v := exitWith(exitConflict, err.Error(), "silo status", "silo down")
		v.Running = true
		return v
	}
	return nil
}

func (a *app) portConflict(taken ports.Conflicts) *exitStatus {
	v := exitWith(exitConflict, a.describeConflicts(taken))
	for _, c := range taken {
		hint := fmt.Sprintf("change port of %s in silo.toml", c.Name)
		if command := a.freePortCommand(c); command != "" {
			hint = command + ", or " + hint
		} else {
			hint += "; the holder may be another user's process"
		}
		v.Hints = append(v.Hints, hint)
	}
	return v
}

// describeConflicts names the holders of ports and their instances.
func (a *app) describeConflicts(taken ports.Conflicts) string {
	texts := make([]string, len(taken))
	for i, c := range taken {
		texts[i] = c.String()
		if s, ok := a.holdingInstance(c); ok {
			texts[i] += fmt.Sprintf(", of the instance %q", s.Name)
		}
	}
	return strings.Join(texts, "; ")
}

// freePortCommand returns the command that ends a port's holder, or "" if the holder is
// unknown. A silo is not killed, because its supervisor would restart it.
func (a *app) freePortCommand(c ports.Conflict) string {
	if s, ok := a.holdingInstance(c); ok {
		if dir, err := state.DirFor(a.lookup, s.File); err == nil {
			return a.commandFor(dir, false) + " down"
		}
	}
	if c.Holder == nil {
		return ""
	}
	return fmt.Sprintf("kill %d", c.Holder.PID)
}

func (a *app) holdingInstance(c ports.Conflict) (state.Snapshot, bool) {
	if c.Holder == nil {
		return state.Snapshot{}, false
	}
	return state.FindByPort(a.lookup, c.Holder.PID, c.Port)
}

func notReady(err error) *exitStatus {
	if e, ok := errors.AsType[*orchestrator.UnmanagedError](err); ok {
		if e.Debugged {
			return exitWith(exitConflict, e.Error(), "end it there")
		}
		return exitWith(exitFailed, e.Error(), runHint(e.Names[0])+", or end it there")
	}
	if e, ok := errors.AsType[*orchestrator.FailedError](err); ok {
		if e.Unmanaged {
			return exitWith(exitFailed, e.Error(), "end the process that answers there, then "+runHint(e.Silos[0].Name))
		}
		v := exitWith(exitFailed, e.Error(), "silo logs "+e.Silos[0].Name)
		v.Detail = tails(e.Silos)
		if e.TimedOut {
			v.Code = exitTimeout
		}
		return v
	}
	if e, ok := errors.AsType[*orchestrator.NotReadyError](err); ok {
		if e.Unmanaged {
			return exitWith(exitTimeout, e.Error(), runHint(e.Silos[0].Name))
		}
		v := exitWith(exitTimeout, e.Error(), "increase ready.timeout in silo.toml, or --timeout")
		v.Detail = tails(e.Silos)
		return v
	}
	return nil
}

// runHint returns the command that starts an unmanaged silo.
func runHint(name string) string { return "silo run " + name + " -- CMD…" }

// tails returns the last lines of silos, each with its silo's name.
func tails(silos []orchestrator.Failure) (lines []string) {
	for _, f := range silos {
		for _, line := range f.Tail {
			lines = append(lines, f.Name+" | "+line)
		}
	}
	return lines
}

// unanswered classifies requests that no silo answered.
func unanswered(err error) *exitStatus {
	if e, ok := errors.AsType[*client.RefusedError](err); ok {
		return exitWith(exitFailed, e.Error(), "Sentry's silo clients refuse it too: call from outside silo run, or with --as another silo")
	}
	if e, ok := errors.AsType[*client.TimeoutError](err); ok {
		return exitWith(exitTimeout, e.Error(), "increase --timeout", "silo logs "+e.Silo)
	}
	if e, ok := errors.AsType[*client.TunnelError](err); ok {
		v := exitWith(exitFailed, e.Error(), "silo status", "silo logs "+e.Silo)
		switch {
		case e.Timeout():
			v.Code = exitTimeout
		case e.Ngrok():
			v.Hints = []string{"silo tunnels", "use --via direct to bypass the tunnel", "see https://ngrok.com/docs/errors/" + strings.ToLower(e.Code)}
		}
		return v
	}
	if e, ok := errors.AsType[*client.HostError](err); ok {
		return exitWith(exitFailed, e.Error(), "silo status", "silo logs "+e.Silo)
	}
	return nil
}

func tunnel(err error) *exitStatus {
	e, ok := errors.AsType[*tunnels.Error](err)
	if !ok {
		return nil
	}
	v := exitWith(exitFailed, err.Error())
	if e.Class == tunnels.Conflict {
		v.Code = exitConflict
	}
	if e.Hint != "" {
		v.Hints = []string{e.Hint}
	}
	return v
}
