package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"silo/topology"
)

// usageError reports an invalid command line.
type usageError struct {
	text string
	hint string
}

func (e *usageError) Error() string { return e.text }

// commandLine is a parsed command line: global flags, verb, the verb's flags, names.
// urfave/cli v2 treats a flag after the first name as a name and rejects a global flag
// after the verb; here flags may appear anywhere before another program's command line.
type commandLine struct {
	program   *cli.App
	commands  []*cli.Command // the candidates for the next word
	path      []*cli.Command // the verb and its subcommand
	global    []parsedFlag
	own       []parsedFlag // the verb's flags
	names     []string
	help      bool
	noFlags   bool // "--" was seen: no flags of silo follow
	foreignAt int  // index of the first word of another program's command line, or -1
}

// parsedFlag is one flag of a command line.
type parsedFlag struct {
	flag  cli.Flag
	words []string // as typed
	value string
}

func newCommandLine(program *cli.App) *commandLine {
	return &commandLine{program: program, commands: program.Commands, foreignAt: -1}
}

// parseArgs parses a whole command line.
func parseArgs(program *cli.App, args []string) (*commandLine, error) {
	if len(args) > 0 && args[0] == "help" { // silo help up
		args = append(slices.Clone(args[1:]), "--help")
	}
	line := newCommandLine(program)
	for at := 0; at < len(args); {
		used, err := line.parseWord(args, at)
		if err != nil {
			return nil, err
		}
		at += used
	}
	return line, nil
}

// reordered returns the command line in the order that urfave/cli expects.
func (l *commandLine) reordered() []string {
	var args []string
	for _, f := range l.global {
		args = append(args, f.words...)
	}
	for _, c := range l.path {
		args = append(args, c.Name)
	}
	for _, f := range l.own {
		args = append(args, f.words...)
	}
	if len(l.names) > 0 && len(l.path) > 0 && !l.command().SkipFlagParsing {
		args = append(args, "--")
	}
	return append(args, l.names...)
}

// parseWord parses args[at] and returns how many words it used.
func (l *commandLine) parseWord(args []string, at int) (int, error) {
	word := args[at]
	switch {
	case l.command().SkipFlagParsing:
		return l.takeRest(args[at:]), nil
	case word == "--":
		if l.takesCommand() {
			l.foreignAt = at + 1
		}
		l.noFlags = true
		return 1 + l.takeRest(args[at+1:]), nil
	case l.isFlag(word):
		return l.parseFlag(args[at:])
	case len(l.commands) > 0:
		return 1, l.parseVerb(word)
	case l.commandIsNext():
		l.foreignAt = at
		return l.takeRest(args[at:]), nil
	}
	l.names = append(l.names, word)
	return 1, nil
}

func (l *commandLine) takeRest(words []string) int {
	l.names = append(l.names, words...)
	return len(words)
}

func (l *commandLine) isFlag(word string) bool { return len(word) > 1 && word[0] == '-' && !l.noFlags }

// command returns the command that the words so far name, or an empty one.
func (l *commandLine) command() *cli.Command {
	if len(l.path) == 0 {
		return &cli.Command{}
	}
	return l.path[len(l.path)-1]
}

// argsUsage returns the arguments of the verb, such as SILO, -- and CMD….
func (l *commandLine) argsUsage() []string {
	return strings.Fields(strings.Replace(l.command().ArgsUsage, optionalCommand, "-- CMD…", 1))
}

// optionalCommand is the end of the arguments of a verb that may run another program.
const optionalCommand = "[-- CMD…]"

// takesCommand reports whether the verb runs another program, as run and exec do.
func (l *commandLine) takesCommand() bool { return slices.Contains(l.argsUsage(), "CMD…") }

// commandIsNext reports whether the next word that is not a flag begins another program's
// command line.
func (l *commandLine) commandIsNext() bool {
	return l.takesCommand() && len(l.names) == slices.Index(l.argsUsage(), "--")
}

func (l *commandLine) parseVerb(word string) error {
	for _, c := range l.commands {
		if c.HasName(word) {
			l.path, l.commands = append(l.path, c), c.Subcommands
			return nil
		}
	}
	var known []string
	for _, c := range l.commands {
		if !c.Hidden {
			known = append(known, c.Name)
		}
	}
	return &usageError{text: fmt.Sprintf("unknown verb %q", word), hint: suggest(word, known, "the verbs are "+strings.Join(known, ", "))}
}

// parseFlag parses a flag and its value. The verb's own flags come before global
// flags of the same name: -f after logs is --follow.
func (l *commandLine) parseFlag(args []string) (int, error) {
	typed, value, joined := strings.Cut(args[0], "=")
	name := strings.TrimPrefix(strings.TrimPrefix(typed, "-"), "-")
	if name == "help" || name == "h" {
		l.help = true
		return 1, nil
	}
	flag, own := l.flagFor(name)
	if flag == nil {
		return 0, l.unknownFlag(args[0], name)
	}
	used := 1
	if _, isBool := flag.(*cli.BoolFlag); isBool && !joined {
		value = "true"
	} else if !joined && len(args) < 2 {
		return 0, &usageError{text: args[0] + " needs a value", hint: l.helpHint()}
	} else if !joined {
		value, used = args[1], 2
	}
	if kind := wantedKind(flag, value); kind != "" {
		return used, &usageError{text: fmt.Sprintf("%s cannot be %q: it takes %s", typed, value, kind), hint: l.helpHint()}
	}
	if known := l.values(flag, own); len(known) > 0 {
		if err := oneOf(typed, value, known); err != nil {
			return used, err
		}
	}
	parsed := parsedFlag{flag: flag, words: args[:used], value: value}
	if own {
		l.own = append(l.own, parsed)
	} else {
		l.global = append(l.global, parsed)
	}
	return used, nil
}

// wantedKind returns the kind of value that a flag takes, or "" if value is of that kind.
// Negative numbers and durations are invalid. The library's own error would name the flag
// -timeout instead of --timeout.
func wantedKind(flag cli.Flag, value string) (kind string) {
	var err error
	var duration time.Duration
	switch flag.(type) {
	case *cli.DurationFlag:
		duration, err = time.ParseDuration(value)
		kind = "a duration, such as 10s or 2m"
	case *cli.IntFlag:
		_, err = strconv.ParseUint(value, 0, strconv.IntSize-1)
		kind = "a number, such as 20"
	case *cli.BoolFlag:
		_, err = strconv.ParseBool(value)
		kind = "true or false"
	}
	if err == nil && duration >= 0 {
		return ""
	}
	return kind
}

// values returns the values that a flag allows, or none if it allows any.
func (l *commandLine) values(flag cli.Flag, own bool) []string {
	verb := ""
	if own {
		verb = l.command().Name
	}
	return flagValues[verb+" "+flag.Names()[0]]
}

// flagFor returns the flag with that name, or nil, and reports whether it belongs to the
// verb.
func (l *commandLine) flagFor(name string) (flag cli.Flag, own bool) {
	for _, c := range slices.Backward(l.path) {
		if flag := flagNamed(c.Flags, name); flag != nil {
			return flag, true
		}
	}
	return flagNamed(l.program.Flags, name), false
}

func flagNamed(flags []cli.Flag, name string) cli.Flag {
	for _, flag := range flags {
		if slices.Contains(flag.Names(), name) {
			return flag
		}
	}
	return nil
}

func (l *commandLine) unknownFlag(word, name string) error {
	var known []string
	flags := slices.Clone(l.program.Flags)
	for _, c := range l.path {
		flags = append(flags, c.Flags...)
	}
	for _, flag := range flags {
		known = append(known, "--"+flag.Names()[0])
	}
	return &usageError{
		text: fmt.Sprintf("%s has no flag %s", commandPath(l.path), word),
		hint: suggest("--"+name, known, l.helpHint()),
	}
}

func (l *commandLine) helpHint() string { return commandPath(l.path) + " --help" }

// suggest returns a hint that names the known words nearest to word. If none is near, it
// returns otherwise.
func suggest(word string, known []string, otherwise string) string {
	if near := topology.Nearest(word, known); len(near) > 0 {
		return "did you mean " + strings.Join(near, " or ") + "?"
	}
	return otherwise
}

// oneOf returns an error if value is not one of the known values.
func oneOf(flag, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return &usageError{
		text: fmt.Sprintf("%s cannot be %q", flag, value),
		hint: suggest(value, known, "use one of "+strings.Join(known, ", ")),
	}
}
