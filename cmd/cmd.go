// Package cmd turns a command line into one call, and one result or error into
// output and an exit code. It holds no logic of its own: a verb is a file that
// parses, calls the rooms and prints.
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/ui"
)

// Invocation is everything that one run of the program gets from outside.
type Invocation struct {
	Args         []string // without the program's name
	Environ      []string
	Stdin        io.Reader
	Stdout       io.Writer
	Stderr       io.Writer
	SecondSignal <-chan struct{} // closed when the user asks a second time to end
}

// app is one invocation on its way through a verb.
type app struct {
	Invocation
	env      map[string]string
	results  *ui.Printer // results
	messages *ui.Printer // everything else
	color    string      // --color
	quiet    bool
	// lossyOutput: messages may be dropped if their reader stalls.
	lossyOutput bool
	level       int // how much the supervisor says of itself
}

// The levels of --log-level.
const (
	levelDebug = iota
	levelInfo
	levelWarn
	levelError
)

// levels are their words, in order.
var levels = []string{"debug", "info", "warn", "error"}

// Main runs one invocation and returns its exit code. ctx ends when the user
// asks to end for the first time.
func Main(ctx context.Context, in Invocation) int {
	a := &app{Invocation: in, env: map[string]string{}}
	for _, entry := range in.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			a.env[name] = value
		}
	}
	a.setPrinters("auto")
	program := a.program() //nolint:contextcheck // the verbs get ctx from RunContext
	args, err := reorderArgs(program, in.Args)
	if err == nil {
		err = program.RunContext(ctx, append([]string{"silo"}, args...))
	}
	return a.exit(err)
}

// lookup finds an environment variable of the invocation.
func (a *app) lookup(name string) (string, bool) {
	value, ok := a.env[name]
	return value, ok
}

func (a *app) setPrinters(color string) {
	a.color = color
	options := ui.Options{Color: color, Env: a.lookup}
	a.results, a.messages = ui.New(a.Stdout, options), ui.New(a.Stderr, options)
}

// program is the command line that silo understands.
func (a *app) program() *cli.App {
	program := &cli.App{
		Name:            "silo",
		Usage:           "run Sentry's control and region silos on this machine, with one command",
		UsageText:       "silo [global flags] VERB [SILO…] [flags]",
		HideHelpCommand: true,
		HideVersion:     true,
		// A header's value, or a JSON object, may hold a comma.
		DisableSliceFlagSeparator: true,

		Writer:         a.Stdout,
		ErrWriter:      a.Stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // finish is the one place that knows exit codes
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, Usage: "the topology `PATH` (default: $SILO_FILE, then silo.toml here or above)"},
			&cli.StringFlag{Name: "directory", Aliases: []string{"C"}, Usage: "run as if started in `DIR`"},
			&cli.BoolFlag{Name: "json", Usage: "print results as JSON"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print results and errors alone"},
			&cli.StringFlag{Name: "color", Value: "auto", Usage: "colour: `WHEN` is auto, always or never"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "how much the supervisor says of itself: debug, info, warn or error"},
			&cli.BoolFlag{Name: "version", Usage: "print the version"},
		},
		Before: a.before,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return a.version(c)
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			a.initCommand(), a.upCommand(), a.statusCommand(), a.tunnelsCommand(), a.logsCommand(),
			a.lifecycleCommand("start", "start silos; return when they are ready"),
			a.lifecycleCommand("stop", "stop silos; their tunnels and addresses stay"),
			a.lifecycleCommand("restart", "stop silos and start them again; return when they are ready"),
			a.downCommand(), a.configCommand(), a.requestCommand(), a.requestsCommand(), a.replayCommand(), a.proxyCommand(), a.checkCommand(), a.dashboardCommand(), a.dbCommand(), a.envCommand(), a.runCommand(), a.execCommand(), a.lsCommand(), a.doctorCommand(),
			a.completionCommand(), a.versionCommand(),
			a.devserverCommand(), a.guardCommand(), a.completeCommand(), a.manCommand(),
		},
	}
	setDefaults(program.Commands)
	program.OnUsageError = onUsageError
	return program
}

// tidy gives every verb the manners of all: no verb called help, and errors of
// usage in silo's own words.
func setDefaults(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelpCommand = true
		c.OnUsageError = onUsageError
		setDefaults(c.Subcommands)
	}
}

// misused is for what arrange has let through.
func onUsageError(c *cli.Context, err error, _ bool) error {
	where := "silo"
	if c.Command != nil && c.Command.HelpName != "" {
		where = c.Command.HelpName
	}
	return &usageError{text: err.Error(), hint: where + " --help lists the flags"}
}

func (a *app) before(c *cli.Context) error {
	if err := oneOf("--color", c.String("color"), "auto", "always", "never"); err != nil {
		return err
	}
	if err := oneOf("--log-level", c.String("log-level"), levels...); err != nil {
		return err
	}
	a.level = slices.Index(levels, c.String("log-level"))
	a.quiet = c.Bool("quiet")
	a.setPrinters(c.String("color"))
	return nil
}

// directory is where the invocation is to take place.
func (a *app) directory(c *cli.Context) (string, error) {
	given := c.String("directory")
	if filepath.IsAbs(given) {
		return given, nil
	}
	dir, err := os.Getwd()
	if errors.Is(err, fs.ErrNotExist) {
		return "", exitWith(exitFailed, "the working directory is gone", "cd into one that is there, or name one: silo -C DIR")
	}
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	return filepath.Join(dir, given), nil
}

// note says something that is not a result.
func (a *app) note(text string) {
	if !a.quiet {
		a.messages.Note(text)
	}
}

// say prints a line of the supervisor's own talk.
func (a *app) logLine(level int, line string) {
	switch {
	case level < a.level:
	case level >= levelWarn:
		a.messages.Warn(line)
	default:
		a.note(line)
	}
}

// release is the version of this build: a module version, or the commit.
func release() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			return "devel-" + setting.Value[:min(12, len(setting.Value))]
		}
	}
	return "devel"
}
