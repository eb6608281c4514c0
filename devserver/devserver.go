// Package devserver is a stand-in for Sentry's devserver: the same environment,
// bind address, health, role endpoints, log lines and refusals, in milliseconds
// and a few megabytes. It shows a fleet of silos where no Sentry is installed,
// and plays one in tests.
//
// It knows only what Sentry's own devserver is told (environment, arguments and
// sentry.conf.py) and must not know who started it, or that a supervisor, a
// tunnel or a topology exists.
//
// What it copies was seen on Sentry 22.11.0 and 23.7.1, run with --no-watchers.
// Where it is stricter or milder, `--help` says so.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Options are what a process is given.
type Options struct {
	// Args stand after the word devserver.
	Args []string
	// Env finds a variable; nil is the process's own environment.
	Env func(name string) (value string, set bool)
	// Stdout and Stderr may be written to by several goroutines, one at a time.
	Stdout, Stderr io.Writer
}

// ExitError is an end that Sentry's devserver would tell by its exit status. Its
// text is already on Stderr when Run returns it: the caller only exits.
type ExitError struct {
	Code int    // the exit status
	Text string // what was written, without the last newline
}

// Error is the text that was written.
func (e *ExitError) Error() string { return e.Text }

// Exit statuses of Sentry's devserver.
const (
	exitFailed = 1  // a refusal
	exitUsage  = 2  // click: an unknown option
	exitNoApp  = 22 // uWSGI: the app cannot be loaded again
)

// refuse makes an ExitError of status 1 whose last line is Sentry's.
func refuse(format string, args ...any) *ExitError {
	return &ExitError{Code: exitFailed, Text: fmt.Sprintf(format, args...)}
}

// Run serves one silo until ctx ends, and then returns nil within some
// milliseconds: no connection, goroutine or socket is left. Any other end is an
// *ExitError, which --exit-after, a refusal and a broken reload lead to.
//
// It takes SIGHUP, and the signals of --ignore, from the whole process and does
// not give them back.
func Run(ctx context.Context, o Options) error {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	err := run(ctx, o)
	if exit, found := errors.AsType[*ExitError](err); found {
		fmt.Fprintln(o.Stderr, exit.Text)
	}
	return err
}

// run checks in the order in which Sentry does: arguments, the config file's
// presence, its content, the silo's place in it, the address, the port.
func run(ctx context.Context, o Options) error {
	given, err := parseArgs(o.Args)
	if err != nil {
		return err
	}
	if given.help {
		fmt.Fprint(o.Stdout, usage())
		return nil
	}
	file, err := findConf(o.Env)
	if err != nil {
		return err
	}
	seen := file.stamp() // before the content: a change in between is seen later
	first, confErr := file.load()
	if isSyntax(confErr) {
		return refuse("!! Configuration error: ConfigurationError(%s)", quote(confErr.Error()))
	}
	who, err := identify(o.Env)
	if err != nil {
		return err
	}
	if confErr != nil {
		return refuse("%s", confErr)
	}
	if err := who.check(first); err != nil {
		return err
	}
	where, err := parseBind(given.bind(o.Env))
	if err != nil {
		return err
	}
	s := newServer(o, given, who)
	s.conf = reloader{file: file, seen: seen}
	s.conf.current.Store(first)
	return s.serve(ctx, where)
}

// quote writes s as Python's repr does for text without control characters.
func quote(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}
