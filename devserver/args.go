package devserver

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// arguments are the parsed command line.
type arguments struct {
	help      bool
	reload    bool
	watchers  bool
	workers   bool
	prefix    bool
	delay     time.Duration
	exitAfter time.Duration // 0: never
	exitCode  int
	logEvery  time.Duration // 0: never
	ignore    []os.Signal
	address   string // empty: not given
}

// daemons reports whether other processes run next to the web server. Sentry then runs all
// of them under honcho, whose output has another format.
func (a arguments) daemons() bool { return a.watchers || a.workers }

// bind returns the address to listen on. The argument overrides the variable, and an
// empty variable counts as unset: click's rules for an argument with envvar=.
func (a arguments) bind(env func(string) (string, bool)) string {
	if a.address != "" {
		return a.address
	}
	if value, _ := env("SENTRY_DEVSERVER_BIND"); value != "" {
		return value
	}
	return "127.0.0.1:8000"
}

// option is one line of --help.
type option struct {
	name  string // without dashes
	short string // one letter, or empty
	value string // placeholder for the value in --help; empty: a switch
	off   bool   // a switch that --no-NAME turns off
	help  string
	set   func(a *arguments, value string) error // nil: accepted and ignored
}

func options() []option {
	return []option{
		{name: "reload", off: true, help: "Reload sentry.conf.py when it has changed. [default: on]", set: toggle(func(a *arguments) *bool { return &a.reload })},
		{name: "watchers", off: true, help: "Answer as webpack on PORT and as the backend on PORT+1. [default: off]", set: toggle(func(a *arguments) *bool { return &a.watchers })},
		{name: "workers", off: true, help: "Also log as if workers ran. [default: off]", set: toggle(func(a *arguments) *bool { return &a.workers })},
		{name: "prefix", off: true, help: "With several services, prefix lines with time and name. [default: on]", set: toggle(func(a *arguments) *bool { return &a.prefix })},
		{name: "ingest", off: true, help: "Accepted and ignored, like all options without a description."},
		{name: "occurrence-ingest", off: true},
		{name: "dev-consumer", off: true},
		{name: "pretty", off: true},
		{name: "styleguide", off: true},
		{name: "debug-server", off: true},
		{name: "experimental-spa", off: true},
		{name: "environment", value: "TEXT"},
		{name: "client-hostname", value: "TEXT"},
		{name: "loglevel", short: "l", value: "TEXT"},
		{name: "logformat", value: "TEXT"},
		{name: "delay", value: "DURATION", help: "Hold the first answer for this long after listening. [default: 0s]", set: duration(func(a *arguments) *time.Duration { return &a.delay })},
		{name: "exit-after", value: "DURATION", help: "Exit this long after the start, as if it crashed.", set: duration(func(a *arguments) *time.Duration { return &a.exitAfter })},
		{name: "exit-code", value: "N", help: "The exit status of --exit-after. [default: 1]", set: exitCode},
		{name: "ignore", value: "SIGNALS", help: "Signals to ignore: TERM, INT, HUP, separated by commas.", set: ignored},
		{name: "log-every", value: "DURATION", help: "Interval between lines written to standard output.", set: duration(func(a *arguments) *time.Duration { return &a.logEvery })},
		{name: "help", help: "Show this message and exit.", set: toggle(func(a *arguments) *bool { return &a.help })},
	}
}

func toggle(field func(*arguments) *bool) func(*arguments, string) error {
	return func(a *arguments, value string) error {
		*field(a) = value == "true"
		return nil
	}
}

func duration(field func(*arguments) *time.Duration) func(*arguments, string) error {
	return func(a *arguments, value string) error {
		d, err := time.ParseDuration(value)
		if err != nil || d < 0 {
			return fmt.Errorf("%s is not a duration like 500ms", quote(value))
		}
		*field(a) = d
		return nil
	}
}

func exitCode(a *arguments, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 || n > 255 {
		return fmt.Errorf("%s is not an exit status of 0 to 255", quote(value))
	}
	a.exitCode = n
	return nil
}

func ignored(a *arguments, value string) error {
	for name := range strings.SplitSeq(value, ",") {
		sig, known := ignorable[strings.TrimPrefix(name, "SIG")]
		if !known {
			return fmt.Errorf("%s is not TERM, INT or HUP", quote(name))
		}
		a.ignore = append(a.ignore, sig)
	}
	return nil
}

// parseArgs follows click: options and the address in any order, `--name value` or
// `--name=value`, and `--` before an address that begins with a dash.
func parseArgs(args []string) (arguments, error) {
	given := arguments{reload: true, prefix: true, exitCode: exitFailed}
	var addresses []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			addresses, args = append(addresses, args...), nil
		case len(arg) > 1 && arg[0] == '-':
			rest, err := given.option(arg, args)
			if err != nil {
				return given, err
			}
			args = rest
		default:
			addresses = append(addresses, arg)
		}
	}
	if len(addresses) > 1 {
		return given, misuse("Got unexpected extra argument (%s)", strings.Join(addresses[1:], " "))
	}
	if len(addresses) == 1 {
		given.address = addresses[0]
	}
	return given, nil
}

// option applies one option and returns the remaining arguments.
func (a *arguments) option(arg string, rest []string) ([]string, error) {
	name, value, hasValue := strings.Cut(arg, "=")
	for _, o := range options() {
		state := ""
		switch {
		case name == "--"+o.name, o.short != "" && name == "-"+o.short:
			state = "true"
		case o.off && name == "--no-"+o.name:
			state = "false"
		}
		switch {
		case state == "":
			continue
		case o.value == "" && hasValue:
			return nil, misuse("Option '%s' does not take a value.", name)
		case o.value == "":
			value = state
		case !hasValue && len(rest) == 0:
			return nil, misuse("Option '%s' requires an argument.", name)
		case !hasValue:
			value, rest = rest[0], rest[1:]
		}
		if o.set == nil {
			return rest, nil
		}
		if err := o.set(a, value); err != nil {
			return nil, misuse("Invalid value for '%s': %s", name, err)
		}
		return rest, nil
	}
	return nil, misuse("No such option: %s", name)
}

// misuse returns click's usage error.
func misuse(format string, args ...any) *ExitError {
	return &ExitError{Code: exitUsage, Text: "Usage: devserver [OPTIONS] ADDRESS\nTry 'devserver --help' for help.\n\nError: " + fmt.Sprintf(format, args...)}
}
