package cmd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/urfave/cli/v2"

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

// The exit codes, which scripts may rely on.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitNotReady = 3
	exitStopped  = 4
	exitInvalid  = 5
	exitConflict = 6
	exitTimeout  = 124
)

// verdict is an error as the user is told it. It can be sent from a detached
// supervisor to the command that started it.
type exitStatus struct {
	Code     int                `json:"code"`
	Text     string             `json:"text,omitempty"`
	Hints    []string           `json:"hints,omitempty"`
	Detail   []string           `json:"detail,omitempty"` // lines that stand before Text, as they are
	Problems []topology.Problem `json:"problems,omitempty"`
	Notes    []string           `json:"notes,omitempty"`   // what a start that went well has to say
	Running  bool               `json:"running,omitempty"` // it is state.ErrRunning
}

func (v *exitStatus) Error() string { return v.Text }

// silent ends with a code after everything has been said.
func exitQuietly(code int) error { return &exitStatus{Code: code} }

// hinted is an error with a mend.
func exitWith(code int, text string, hints ...string) error {
	return &exitStatus{Code: code, Text: text, Hints: hints}
}

// finish prints an error, if there is one, and returns the exit code. It is the
// one place that knows which error has which.
func (a *app) exit(err error) int {
	v := a.classify(err)
	if lost := a.results.WriteError(); lost != nil && v.Text == "" && !a.lossyOutput {
		v = &exitStatus{Code: exitFailed, Text: lost.Error()} // whatever was to be shown was not
	}
	if len(v.Problems) > 0 {
		a.messages.Problems(v.Problems)
	}
	for _, line := range v.Detail {
		_, _ = fmt.Fprintln(a.Stderr, line) // stderr is all there is to tell
	}
	if v.Text != "" {
		a.messages.Error(v.Text, v.Hints...)
	}
	return v.Code
}

// judge turns any error into a verdict.
func (a *app) classify(err error) *exitStatus {
	if err == nil {
		return &exitStatus{Code: exitDone}
	}
	if v := new(exitStatus); errors.As(err, &v) {
		return v
	}
	for _, known := range []func(error) *exitStatus{usage, invalid, a.conflict, notReady, tunnel, unanswered, unsent} {
		if v := known(err); v != nil {
			return v
		}
	}
	v := &exitStatus{Code: exitFailed, Text: err.Error()}
	var missing *databases.MissingError
	switch {
	case errors.Is(err, context.Canceled):
		v.Text = "interrupted"
	case errors.As(err, &missing):
		v.Hints = []string{"silo db create makes it"}
	case errors.Is(err, api.ErrNotRunning):
		v.Code, v.Hints = exitStopped, []string{"silo up starts it"}
	case errors.Is(err, api.ErrNoDashboard):
		v.Hints = []string{"silo down, then silo up, tries again"}
	case errors.Is(err, api.ErrHung):
		v.Hints = []string{"one that Ctrl-Z has stopped goes on with fg, or kill -CONT", "silo down ends it, and silo up starts it again"}
	case errors.Is(err, api.ErrUnresponsive):
		v.Hints = []string{"silo down ends it, and silo up starts it again"}
	case errors.Is(err, context.DeadlineExceeded):
		v.Code, v.Text = exitTimeout, timeoutText(err)
	case errors.Is(err, sentry.ErrMissing):
		v.Hints = []string{"sentry init makes one; sentry.config in silo.toml names another"}
	case errors.Is(err, sentry.ErrMarkers):
		v.Hints = []string{"repair the marker lines, or delete silo's block, and run silo up again"}
	}
	return v
}

// timeoutText tells what was not done in time.
func timeoutText(err error) string {
	if _, asked := errors.AsType[*url.Error](err); asked {
		return "the supervisor did not answer in time"
	}
	if what := withoutDeadline(err); what != "" {
		return what + ": not done in time"
	}
	return "not done in time"
}

func usage(err error) *exitStatus {
	var e *usageError
	var unknown *plan.UnknownSiloError
	switch {
	case errors.As(err, &e):
		v := &exitStatus{Code: exitUsage, Text: e.text}
		if e.hint != "" {
			v.Hints = []string{e.hint}
		}
		return v
	case errors.As(err, &unknown):
		return &exitStatus{
			Code: exitUsage, Text: fmt.Sprintf("unknown silo %q", unknown.Name),
			Hints: []string{suggest(unknown.Name, unknown.Known, "the silos are "+strings.Join(unknown.Known, ", "))},
		}
	}
	var exit cli.ExitCoder
	if errors.As(err, &exit) || strings.HasPrefix(err.Error(), "flag provided") || strings.HasPrefix(err.Error(), "invalid value") {
		return &exitStatus{Code: exitUsage, Text: err.Error()}
	}
	return nil
}

func invalid(err error) *exitStatus {
	var problems topology.Problems
	switch {
	case errors.As(err, &problems):
		return &exitStatus{Code: exitInvalid, Problems: problems}
	case errors.Is(err, sentry.ErrUnsupported):
		return &exitStatus{Code: exitInvalid, Text: err.Error()}
	case errors.Is(err, sentry.ErrBroken):
		return &exitStatus{Code: exitInvalid, Text: err.Error(), Hints: []string{"silo up --mode monolith runs it as one devserver"}}
	case errors.Is(err, topology.ErrNotFound):
		return &exitStatus{
			Code: exitUsage, Text: "there is no silo.toml here or in a directory above",
			Hints: []string{"silo init writes one", "silo up --demo needs none"},
		}
	}
	return nil
}

func (a *app) conflict(err error) *exitStatus {
	var taken ports.Conflicts
	var claimed *state.ClaimedError
	var whole *plan.ImmutableError
	var running *databases.RunningError
	switch {
	case errors.As(err, &taken):
		return a.portConflict(taken)
	case errors.As(err, &claimed):
		return &exitStatus{
			Code: exitConflict, Text: claimed.Error(),
			Hints: []string{"give this topology another file: sentry.config, or SENTRY_CONF", "silo -f " + claimed.Holder + " down ends the other instance"},
		}
	case errors.As(err, &whole):
		return &exitStatus{Code: exitConflict, Text: whole.Error(), Hints: []string{"silo down, then silo up, applies it"}}
	case errors.As(err, &running):
		return &exitStatus{Code: exitConflict, Text: running.Error(), Hints: []string{"silo stop " + strings.Join(running.Silos, " ")}}
	case errors.Is(err, state.ErrRunning):
		return &exitStatus{Code: exitConflict, Text: err.Error(), Hints: []string{"silo status shows it", "silo down ends it"}, Running: true}
	}
	return nil
}

func (a *app) portConflict(taken ports.Conflicts) *exitStatus {
	v := &exitStatus{Code: exitConflict, Text: a.describeConflicts(taken)}
	for _, c := range taken {
		if mend := a.freePortHint(c); mend != "" {
			v.Hints = append(v.Hints, fmt.Sprintf("%s, or change port of %s in silo.toml", mend, c.Name))
		} else {
			v.Hints = append(v.Hints, fmt.Sprintf("change port of %s in silo.toml; the holder may be another user's process", c.Name))
		}
	}
	return v
}

// describeConflicts tells who has the ports, and of which instance he is.
func (a *app) describeConflicts(taken ports.Conflicts) string {
	texts := make([]string, len(taken))
	for i, c := range taken {
		texts[i] = c.String()
		if s, ours := a.holdingInstance(c); ours {
			texts[i] += fmt.Sprintf(", of the instance %q", s.Name)
		}
	}
	return strings.Join(texts, "; ")
}

// freePortHint is what ends a port's holder, or nothing where nobody knows him. A silo
// that is killed is started again by its supervisor.
func (a *app) freePortHint(c ports.Conflict) string {
	if s, ours := a.holdingInstance(c); ours {
		if dir, err := state.DirFor(a.lookup, s.File); err == nil {
			return a.commandForDir(dir, false) + " down ends " + s.Name
		}
	}
	if c.Holder == nil {
		return ""
	}
	return fmt.Sprintf("kill %d ends %s", c.Holder.PID, c.Holder.Program)
}

func (a *app) holdingInstance(c ports.Conflict) (state.Snapshot, bool) {
	if c.Holder == nil {
		return state.Snapshot{}, false
	}
	return state.FindByPort(a.lookup, c.Holder.PID, c.Port)
}

func notReady(err error) *exitStatus {
	var failed *orchestrator.FailedError
	var late *orchestrator.NotReadyError
	var unmanaged *orchestrator.UnmanagedError
	switch {
	case errors.As(err, &unmanaged):
		return &exitStatus{Code: exitFailed, Text: unmanaged.Error(), Hints: []string{unmanagedHint(unmanaged.Names[0]) + ", and what ends it there ends it"}}
	case errors.As(err, &failed) && failed.Unmanaged:
		return &exitStatus{Code: exitFailed, Text: failed.Error(), Hints: []string{"end what answers there; " + unmanagedHint(failed.Silos[0].Name)}}
	case errors.As(err, &failed):
		v := &exitStatus{Code: exitFailed, Text: failed.Error(), Detail: tails(failed.Silos)}
		if failed.TimedOut {
			v.Code = exitTimeout
		}
		v.Hints = []string{"silo logs " + failed.Silos[0].Name + " shows all of its output"}
		return v
	case errors.As(err, &late) && late.Unmanaged:
		return &exitStatus{Code: exitTimeout, Text: late.Error(), Hints: []string{unmanagedHint(late.Silos[0].Name)}}
	case errors.As(err, &late):
		return &exitStatus{Code: exitTimeout, Text: late.Error(), Detail: tails(late.Silos), Hints: []string{"ready.timeout and --timeout give it longer"}}
	}
	return nil
}

// yours is how a silo is started that is not silo's to start.
func unmanagedHint(name string) string {
	return "silo run " + name + " -- CMD… starts it on a terminal of yours"
}

// tails are the last lines of silos that failed, each behind its silo's name.
func tails(silos []orchestrator.Failure) []string {
	var lines []string
	for _, f := range silos {
		for _, line := range f.Tail {
			lines = append(lines, f.Name+" | "+line)
		}
	}
	return lines
}

// unanswered is a request that no silo has answered.
func unanswered(err error) *exitStatus {
	if errors.Is(err, client.ErrRequest) || errors.Is(err, sentry.ErrUnsigned) {
		return &exitStatus{Code: exitUsage, Text: err.Error()}
	}
	if refused, ok := errors.AsType[*client.RefusedError](err); ok {
		return &exitStatus{Code: exitFailed, Text: refused.Error(), Hints: []string{"Sentry's silo clients keep to that, too; call from outside of silo run, or --as another silo"}}
	}
	if late, ok := errors.AsType[*client.TimeoutError](err); ok {
		return &exitStatus{Code: exitTimeout, Text: late.Error(), Hints: []string{"--timeout gives it longer", "silo logs " + late.Silo + " shows what it does"}}
	}
	if instead, ok := errors.AsType[*client.TunnelError](err); ok {
		v := &exitStatus{Code: exitFailed, Text: instead.Error(), Hints: []string{"silo status shows whether it runs", "silo logs " + instead.Silo + " shows what it wrote"}}
		switch {
		case instead.Timeout():
			v.Code = exitTimeout
		case instead.Ngrok():
			v.Hints = []string{"silo tunnels shows how its tunnel stands", "--via direct asks it on its own port", "https://ngrok.com/docs/errors/" + strings.ToLower(instead.Code) + " tells what it means"}
		}
		return v
	}
	if gone, ok := errors.AsType[*client.HostError](err); ok {
		return &exitStatus{Code: exitFailed, Text: gone.Error(), Hints: []string{"silo status shows whether it runs", "silo logs " + gone.Silo + " shows what it wrote"}}
	}
	return nil
}

func tunnel(err error) *exitStatus {
	var e *tunnels.Error
	if !errors.As(err, &e) {
		return nil
	}
	v := &exitStatus{Code: exitFailed, Text: err.Error()}
	if e.Class == tunnels.Conflict {
		v.Code = exitConflict
	}
	if e.Hint != "" {
		v.Hints = []string{e.Hint}
	}
	return v
}
