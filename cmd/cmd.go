// Package cmd turns a command line into a call, and the result or the error into
// output and an exit code. Each verb is a file that parses, calls other packages and
// prints. It must hold no logic that another front end would need.
package cmd

import (
	"context"
	"io"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/ui"
)

// Invocation holds all inputs of one run of the program.
type Invocation struct {
	Program      string   // how the program was called: os.Args[0]
	Args         []string // without the program's name
	Environ      []string
	Stdin        io.Reader
	Stdout       io.Writer
	Stderr       io.Writer
	SecondSignal <-chan struct{} // closed by the second signal that asks silo to end
}

// app is the state of one invocation.
type app struct {
	Invocation
	env         map[string]string
	results     *ui.Printer // writes to Stdout
	messages    *ui.Printer // writes to Stderr
	color       string      // --color
	quiet       bool
	readOnly    bool // chosen ports are not remembered
	lossyOutput bool // output may be lost if its reader stalls or is gone
	level       int  // the least level of supervisor messages that is printed
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

// Main runs one invocation and returns its exit code. The first signal that asks silo to
// end cancels ctx.
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
		err = program.RunContext(ctx, append([]string{"silo"}, line.reordered()...))
	}
	return a.exit(err)
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
		Usage:       "run Sentry's control and region silos on this machine",
		UsageText:   "silo [global flags] VERB [SILO…] [flags]",
		HideHelp:    true, // writeHelp prints help
		HideVersion: true,
		Description: `silo reads one topology file, silo.toml, and starts a Sentry devserver for the
control silo and for each region. It opens a tunnel for each silo, writes the matching region config
into Sentry's configuration file, and supervises all of it until it is stopped.`,
		// A header's value or a JSON object may hold a comma.
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
			&cli.StringFlag{Name: "log-level", Value: "info", Usage: "print the supervisor's messages from `LEVEL` on: debug, info, warn or error"},
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
			a.upCommand(), a.downCommand(), a.startCommand(), a.stopCommand(), a.restartCommand(), a.runCommand(), a.execCommand(),
			a.statusCommand(), a.logsCommand(), a.tunnelsCommand(), a.checkCommand(), a.dashboardCommand(), a.envCommand(),
			a.requestCommand(), a.requestsCommand(), a.replayCommand(), a.proxyCommand(),
			a.initCommand(), a.configCommand(),
			a.dbCommand(),
			a.doctorCommand(), a.lsCommand(), a.completionCommand(), a.versionCommand(),
			a.devserverCommand(), a.guardCommand(), a.completeCommand(), a.manCommand(),
		},
	}
	setDefaults(program.Commands)
	program.OnUsageError = onUsageError
	return program
}

// setDefaults sets what all commands have in common.
func setDefaults(commands []*cli.Command) {
	for _, c := range commands {
		c.HideHelp = true
		c.OnUsageError = onUsageError
		setDefaults(c.Subcommands)
	}
}

// onUsageError keeps the library from printing help with an error.
func onUsageError(_ *cli.Context, err error, _ bool) error { return &usageError{text: err.Error()} }

// before reads the global flags.
func (a *app) before(c *cli.Context) error {
	if err := oneOf("--color", c.String("color"), "auto", "always", "never"); err != nil {
		return err
	}
	if err := oneOf("--log-level", c.String("log-level"), logLevels...); err != nil {
		return err
	}
	a.level = slices.Index(logLevels, c.String("log-level"))
	a.quiet = c.Bool("quiet")
	a.setPrinters(c.String("color"))
	return nil
}

// note prints a message that is neither a result nor a warning.
func (a *app) note(text string) {
	if !a.quiet {
		a.messages.Note(text)
	}
}

// logLine prints a message of the supervisor.
func (a *app) logLine(level int, line string) {
	switch {
	case level < a.level:
	case level >= levelWarn:
		a.messages.Warn(line)
	default:
		a.note(line)
	}
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
