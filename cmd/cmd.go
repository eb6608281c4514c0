// Package cmd turns a command line into a call, and the result or the error into
// output and an exit code. Each verb is a file that parses, calls other packages and
// prints. It must hold no logic that another front end would need.
package cmd

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/ui"
)

// Invocation is the input of one run of the program.
type Invocation struct {
	Program      string   // how the program was called: os.Args[0]
	Args         []string // without the program's name
	Environ      []string
	Stdin        io.Reader
	Stdout       io.Writer
	Stderr       io.Writer
	SecondSignal <-chan struct{} // closed on the second interrupt or TERM signal
}

// app is the state of one invocation.
type app struct {
	Invocation
	env         map[string]string
	results     *ui.Printer // writes to Stdout
	messages    *ui.Printer // writes to Stderr
	color       string      // --color
	selection   string      // -C and -f as given, for hints
	quiet       bool
	demoNoted   bool // the user knows that the demo is used
	readOnly    bool // do not remember chosen ports
	lossyOutput bool // output may be lost if its reader stalls or exits
	level       int  // the lowest level of supervisor messages to print
}

// The levels of --log-level.
const (
	levelDebug = iota
	levelInfo
	levelWarn
	levelError
)

// logLevels are the values of --log-level, in order.
var logLevels = []string{"debug", "info", "warn", "error"}

// Main runs one invocation and returns its exit code. The first interrupt or TERM signal
// cancels ctx.
func Main(ctx context.Context, in Invocation) int {
	a := &app{Invocation: in, env: map[string]string{}}
	for _, entry := range in.Environ {
		if name, value, ok := strings.Cut(entry, "="); ok {
			a.env[name] = value
		}
	}
	a.setPrinters("auto")
	program := a.program() //nolint:contextcheck // actions get ctx from RunContext
	line, err := parseArgs(program, in.Args)
	switch {
	case err != nil:
	case line.help:
		err = writeHelp(a.Stdout, program, line.path)
	default:
		args := append([]string{"silo"}, line.reordered()...)
		err = untilInterrupted(ctx, line.path, func() error { return program.RunContext(ctx, args) })
	}
	return a.exit(err)
}

// orderly lists the verbs that end what they have started after a signal. They take their
// time.
var orderly = []string{"up", "down", "exec", "run", "debug", "db", "seed", "devserver", "guard"}

// interruptGrace is how long other verbs may take to end after a signal.
const interruptGrace = 2 * time.Second

// untilInterrupted runs a verb. If it does not end after a signal, since a system call
// hangs, it is left behind: the process is about to exit.
func untilInterrupted(ctx context.Context, path []*cli.Command, run func() error) error {
	if len(path) > 0 && slices.Contains(orderly, path[0].Name) {
		return run()
	}
	ran := make(chan error, 1)
	go func() { ran <- run() }()
	select {
	case err := <-ran:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ran:
		return err
	case <-time.After(interruptGrace):
		return ctx.Err()
	}
}

// lookup returns an environment variable of the invocation.
func (a *app) lookup(name string) (string, bool) {
	value, ok := a.env[name]
	return value, ok
}

func (a *app) setPrinters(color string) {
	a.color = color
	options := ui.Options{Color: color, Env: a.lookup}
	a.results, a.messages = ui.New(a.Stdout, options), ui.New(a.Stderr, options)
}

// program returns the tree of commands.
func (a *app) program() *cli.App {
	program := &cli.App{
		Name:        "silo",
		UsageText:   "silo [global flags] VERB [SILO…] [flags]",
		HideHelp:    true, // writeHelp prints help
		HideVersion: true,
		// A header's value or a JSON object may contain a comma.
		DisableSliceFlagSeparator: true,

		Writer:         a.Stdout,
		ErrWriter:      a.Stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // a.exit maps errors to exit codes
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "file", Aliases: []string{"f"}, DefaultText: "$SILO_FILE, then silo.toml here or above", Usage: "read the topology from `PATH`"},
			&cli.StringFlag{Name: "directory", Aliases: []string{"C"}, Usage: "run as if started in `DIR`"},
			&cli.BoolFlag{Name: "json", Usage: "print results as JSON"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print only results and errors"},
			&cli.StringFlag{Name: "color", Value: "auto", Usage: "use colour `WHEN`: auto, always or never"},
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "print the supervisor's messages of `LEVEL` and above: debug, info, warn or error"},
			&cli.BoolFlag{Name: "version", Usage: "print the version"},
		},
		Before: a.before,
		Action: func(c *cli.Context) error {
			if c.Bool("version") {
				return a.version(c)
			}
			return writeHelp(a.Stdout, c.App, nil)
		},
		Commands: []*cli.Command{
			a.upCommand(),
			{Name: "down", Category: categoryStart, Action: a.down},
			a.lifecycleCommand("start"), a.lifecycleCommand("stop"), a.lifecycleCommand("restart"),
			{Name: "run", ArgsUsage: "SILO -- CMD…", Category: categoryStart, Action: a.run},
			a.debugCommand(),
			a.execCommand(),
			a.statusCommand(), a.logsCommand(), a.tunnelsCommand(), a.checkCommand(), a.dashboardCommand(), a.envCommand(),
			a.requestCommand(), a.requestsCommand(), a.replayCommand(), a.proxyCommand(),
			a.initCommand(), a.configCommand(),
			a.dbCommand(), a.seedCommand(),
			{Name: "doctor", Category: categoryMachine, Action: a.doctor},
			{Name: "ls", Category: categoryMachine, Action: a.ls},
			a.forgetCommand(),
			a.completionCommand(),
			{Name: "version", Category: categoryMachine, Action: a.version},
			a.devserverCommand(), a.guardCommand(), a.restoreTerminalCommand(), a.completeCommand(), a.manCommand(),
		},
	}
	program.OnUsageError = onUsageError
	setDefaults(program.Commands)
	describe(program)
	return program
}

// setDefaults sets the fields that all commands share.
func setDefaults(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelp = true
		c.OnUsageError = onUsageError
		if c.ArgsUsage == "" && !c.SkipFlagParsing {
			c.Action = withoutArgs(c.Action)
		}
		setDefaults(c.Subcommands)
	}
}

// withoutArgs returns an action that rejects names after a verb that takes none.
func withoutArgs(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := noArgs(c); err != nil {
			return err
		}
		return action(c)
	}
}

// group completes a verb that has only subcommands.
func group(c *cli.Command) *cli.Command {
	var names []string
	for _, sub := range c.Subcommands {
		names = append(names, sub.Name)
	}
	last := len(names) - 1
	c.Action = func(*cli.Context) error {
		return &usageError{text: fmt.Sprintf("silo %s needs a command: %s or %s", c.Name, strings.Join(names[:last], ", "), names[last])}
	}
	return c
}

// onUsageError stops the library from printing help after an error.
func onUsageError(_ *cli.Context, err error, _ bool) error { return &usageError{text: err.Error()} }

// before reads the global flags.
func (a *app) before(c *cli.Context) error {
	a.level = slices.Index(logLevels, c.String("log-level"))
	a.quiet = c.Bool("quiet")
	a.setPrinters(c.String("color"))
	for _, flag := range []struct{ short, long string }{{"-C", "directory"}, {"-f", "file"}} {
		if value := c.String(flag.long); value != "" {
			a.selection += flag.short + " " + ui.ShellWord(value) + " "
		}
	}
	return nil
}

// release returns the version of this build: a module version, or the commit.
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
