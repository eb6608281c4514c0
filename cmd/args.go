package cmd

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"
)

// usageError is a command line that is not understood.
type usageError struct {
	text string
	hint string
}

func (e *usageError) Error() string { return e.text }

// arrange puts a command line into the order that urfave/cli v2 understands:
// global flags, verb, the verb's flags, names. That library takes a flag after
// the first name for a name, and a global flag after the verb for an error,
// while fingers type both. What is after -- stays as it is.
func reorderArgs(program *cli.App, args []string) ([]string, error) {
	if len(args) > 0 && args[0] == "help" { // silo help up
		args = append(slices.Clone(args[1:]), "--help")
	}
	line := commandLine{flags: program.Flags, commands: program.Commands}
	for i := 0; i < len(args); i++ {
		used, err := line.parseWord(args[i:])
		if err != nil {
			return nil, err
		}
		i += used - 1
	}
	return line.reordered(), nil
}

// commandLine is one on its way into order.
type commandLine struct {
	flags       []cli.Flag     // the global ones
	commands    []*cli.Command // what the next word may name
	path        []*cli.Command // the verb, and its verb
	globalFlags []string
	verbFlags   []string
	names       []string
	restAfter   int // behind that many names no flag is silo's any more; 0: behind any number
}

// take takes the next word, and returns how many of the words it used.
func (l *commandLine) parseWord(args []string) (int, error) {
	word := args[0]
	switch {
	case len(l.path) > 0 && l.path[len(l.path)-1].SkipFlagParsing:
		l.names = append(l.names, args...)
		return len(args), nil
	case word == "--":
		l.names = append(l.names, args[1:]...)
		return len(args), nil
	case len(word) > 1 && word[0] == '-':
		return l.parseFlag(args)
	case len(l.commands) > 0:
		return 1, l.parseVerb(word)
	}
	l.names = append(l.names, word)
	if len(l.names) == l.restAfter { // the rest is another program's command line
		l.names = append(l.names, args[1:]...)
		return len(args), nil
	}
	return 1, nil
}

func (l *commandLine) parseVerb(word string) error {
	for _, c := range l.commands {
		if c.HasName(word) {
			l.path, l.commands = append(l.path, c), c.Subcommands
			if c.Name == "run" || c.Name == "exec" {
				l.restAfter = 1 // run SILO CMD…, exec CMD…: what follows the first name is not silo's
			}
			return nil
		}
	}
	var known []string
	for _, c := range l.commands {
		if !c.Hidden {
			known = append(known, c.Name)
		}
	}
	return &usageError{text: fmt.Sprintf("no verb is called %q", word), hint: suggest(word, known, "the verbs are "+strings.Join(known, ", "))}
}

// parseFlag takes a flag with its value. The verb's own flags come before the
// global ones of the same name: -f after logs is --follow.
func (l *commandLine) parseFlag(args []string) (int, error) {
	typed, value, joined := strings.Cut(args[0], "=")
	name := strings.TrimPrefix(strings.TrimPrefix(typed, "-"), "-")
	if name == "help" || name == "h" {
		if len(l.path) == 0 {
			l.globalFlags = append(l.globalFlags, args[0])
		} else {
			l.verbFlags = append(l.verbFlags, args[0])
		}
		return 1, nil
	}
	flag, own := l.flagFor(name)
	if flag == nil {
		return 0, l.unknownFlag(args[0], name)
	}
	into := &l.globalFlags
	if own {
		into = &l.verbFlags
	}
	used := 1
	if _, isBool := flag.(*cli.BoolFlag); isBool && !joined {
		value = "true"
	} else if !joined && len(args) < 2 {
		return 0, &usageError{text: args[0] + " needs a value", hint: l.helpHint()}
	} else if !joined {
		value, used = args[1], 2
	}
	if kind := checkValue(flag, value); kind != "" {
		return used, &usageError{text: fmt.Sprintf("%s cannot be %q: it takes %s", typed, value, kind), hint: l.helpHint()}
	}
	*into = append(*into, args[:used]...)
	return used, nil
}

// misfit is what a flag's value has to be, where it is not that. The library would
// say so, too, but of a flag that nobody typed: -timeout.
func checkValue(flag cli.Flag, value string) (kind string) {
	var err error
	switch flag.(type) {
	case *cli.DurationFlag:
		_, err = time.ParseDuration(value)
		kind = "a duration, as 10s or 2m"
	case *cli.IntFlag:
		_, err = strconv.ParseInt(value, 0, strconv.IntSize)
		kind = "a number, as 20"
	case *cli.BoolFlag:
		_, err = strconv.ParseBool(value)
		kind = "true or false"
	}
	if err == nil {
		return ""
	}
	return kind
}

// flagFor is the flag that a name means here, and whether it is the verb's own;
// nil where there is none.
func (l *commandLine) flagFor(name string) (flag cli.Flag, own bool) {
	for _, c := range slices.Backward(l.path) {
		if flag := flagNamed(c.Flags, name); flag != nil {
			return flag, true
		}
	}
	return flagNamed(l.flags, name), false
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
	flags := slices.Clone(l.flags)
	for _, c := range l.path {
		flags = append(flags, c.Flags...)
	}
	for _, flag := range flags {
		known = append(known, "--"+flag.Names()[0])
	}
	return &usageError{
		text: fmt.Sprintf("%s has no flag %s", l.verb(), word),
		hint: suggest("--"+name, known, l.helpHint()),
	}
}

// verb is what is called so far.
func (l *commandLine) verb() string {
	words := []string{"silo"}
	for _, c := range l.path {
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}

func (l *commandLine) helpHint() string { return l.verb() + " --help lists the flags" }

func (l *commandLine) reordered() []string {
	args := slices.Clone(l.globalFlags)
	for _, c := range l.path {
		args = append(args, c.Name)
	}
	args = append(args, l.verbFlags...)
	if len(l.names) > 0 && len(l.path) > 0 && !l.path[len(l.path)-1].SkipFlagParsing {
		args = append(args, "--")
	}
	return append(args, l.names...)
}

// likeness is how near a known word must be to be offered, from 0 to 1. At this
// one a slip of a finger counts and another word does not.
const similarity = 0.84

// nearest is a hint that names the known words close to one, or otherwise.
func suggest(word string, known []string, otherwise string) string {
	var offered []string
	for _, k := range known {
		if smetrics.JaroWinkler(word, k, 0.7, 4) >= similarity {
			offered = append(offered, k)
		}
	}
	if len(offered) == 0 {
		return otherwise
	}
	return "did you mean " + strings.Join(offered, " or ") + "?"
}

// oneOf refuses a flag's value that is none of the known ones.
func oneOf(flag, value string, known ...string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return &usageError{
		text: fmt.Sprintf("%s cannot be %q", flag, value),
		hint: suggest(value, known, "it is one of "+strings.Join(known, ", ")),
	}
}
