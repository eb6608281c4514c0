// Package devserver is a stand-in for Sentry's devserver. It has the same environment,
// bind address, health check, role endpoints, log lines and startup errors, but starts
// in milliseconds and takes a few megabytes. silo up --demo and the tests run it.
//
// It knows only what Sentry's own devserver is given: environment, arguments and
// sentry.conf.py. It must not know that a supervisor, a tunnel or a topology exists.
//
// Its behaviour was observed on Sentry 22.11.0 and 23.7.1, run with --no-watchers.
// --help lists where it is stricter or more lenient.
package devserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Options are the inputs of one process.
type Options struct {
	// Args are the arguments after the word devserver.
	Args []string
	// Env looks up a variable; nil means os.LookupEnv.
	Env func(name string) (value string, set bool)
	// Stdout and Stderr get whole lines, from several goroutines but one at a time.
	Stdout, Stderr io.Writer
}

// ExitError is an error with an exit status. Run has already written its text to
// Stderr, so the caller only exits.
type ExitError struct {
	Code int    // the exit status
	Text string // without the last newline
}

// Error returns the text that was written.
func (e *ExitError) Error() string { return e.Text }

// Exit statuses of Sentry's devserver.
const (
	exitFailed = 1  // a startup error
	exitUsage  = 2  // click: unknown option
	exitNoApp  = 22 // uWSGI: the app cannot be loaded after a reload
)

// refuse returns an ExitError with status 1. The last line of its text is Sentry's.
func refuse(format string, args ...any) *ExitError {
	return &ExitError{Code: exitFailed, Text: fmt.Sprintf(format, args...)}
}

// Run serves one silo until ctx ends, then returns nil within a few milliseconds and leaves no
// connection, goroutine or socket behind. --exit-after, a startup error and a failed reload return
// an *ExitError instead.
//
// Run takes over SIGHUP and the signals of --ignore for the whole process.
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

// run checks in Sentry's order: arguments, presence of the config file, its syntax, the
// silo mode, the region config, the bind address, the port.
func run(ctx context.Context, o Options) error {
	args, err := parseArgs(o.Args)
	if err != nil {
		return err
	}
	if args.help {
		fmt.Fprint(o.Stdout, usage())
		return nil
	}
	path, err := findConf(o.Env)
	if err != nil {
		return err
	}
	info := statConf(path) // before loading, so that a change in between is noticed
	conf, confErr := loadConf(path)
	if syntax, broken := errors.AsType[*syntaxError](confErr); broken {
		return refuse("!! Configuration error: ConfigurationError(%s)", quote(syntax.Error()))
	}
	id, err := identify(o.Env)
	if err != nil {
		return err
	}
	if confErr != nil {
		return refuse("%s", confErr)
	}
	if err := id.check(conf); err != nil {
		return err
	}
	bind, err := parseBind(args.bind(o.Env))
	if err != nil {
		return err
	}
	s := newServer(o, args, id)
	s.conf.path, s.conf.loaded = path, info
	s.conf.current.Store(conf)
	return s.serve(ctx, bind)
}

// quote formats s as Python's repr does for text without control characters.
func quote(s string) string {
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `\'`) + "'"
}
