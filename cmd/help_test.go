package cmd

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// eachCommand calls check with every visible command and the path to it.
func eachCommand(program *cli.App, check func(path []*cli.Command)) {
	for _, c := range program.VisibleCommands() {
		check([]*cli.Command{c})
		for _, sub := range c.Subcommands {
			check([]*cli.Command{c, sub})
		}
	}
}

func TestEveryCommandIsDescribed(t *testing.T) {
	t.Parallel()
	eachCommand((&app{}).program(), func(path []*cli.Command) {
		name, c := commandPath(path), path[len(path)-1]
		if c.Usage == "" || utf8.RuneCountInString(c.Usage) >= 60 || strings.ContainsAny(c.Usage, ";|") {
			t.Errorf("%s: the summary %q is empty, too long or more than one clause", name, c.Usage)
		}
		if c.Usage != "" && strings.ToUpper(c.Usage[:1]) != c.Usage[:1] || strings.HasSuffix(c.Usage, ".") {
			t.Errorf("%s: the summary %q is not a capitalised line without a full stop", name, c.Usage)
		}
		for _, f := range c.Flags {
			if describeFlag(f).Usage == "" {
				t.Errorf("%s: %s has no description", name, f.Names()[0])
			}
		}
		if len(path) == 1 && !slices.Contains(categories, c.Category) {
			t.Errorf("%s: unknown category %q", name, c.Category)
		}
	})
}

func TestHelpTextMatchesCommands(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"silo": true}
	eachCommand((&app{}).program(), func(path []*cli.Command) {
		name, c := commandPath(path), path[len(path)-1]
		known[name] = true
		if c.Usage == "" || c.Description == "" || len(examples(c)) == 0 {
			t.Errorf("help.txtar lacks a section %q, or a part of it", name)
		}
	})
	for name := range helpSections() {
		if !known[name] {
			t.Errorf("help.txtar has a section %q, which is not a visible command", name)
		}
	}
}

// shellWord matches one word of a command line, quoted or not.
var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"'|)&#]+`)

// exampleCall matches a call of silo in an example.
var exampleCall = regexp.MustCompile(`\bsilo( ("[^"]*"|'[^']*'|[^\s"'|)&#]+))*`)

func TestExamplesParse(t *testing.T) {
	t.Parallel()
	program := (&app{}).program()
	eachCommand(program, func(path []*cli.Command) {
		for _, example := range examples(path[len(path)-1]) {
			call := exampleCall.FindString(example)
			words := shellWord.FindAllString(call, -1)
			if len(words) < 2 {
				t.Errorf("%s: no call of silo in the example %q", commandPath(path), example)
				continue
			}
			for i, word := range words {
				words[i] = strings.Trim(word, `"'`)
			}
			line, err := parseArgs(program, words[1:])
			if err != nil {
				t.Errorf("%s: example %q: %v", commandPath(path), example, err)
			} else if len(line.path) == 0 || line.path[0] != path[0] {
				t.Errorf("%s: example %q calls another verb", commandPath(path), example)
			}
		}
	})
}

func TestHelpFits(t *testing.T) {
	t.Parallel()
	program := (&app{}).program()
	help := func(path []*cli.Command) {
		var text strings.Builder
		if err := writeHelp(&text, program, path); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text.String()) {
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > helpWidth {
				t.Errorf("%s --help: %d columns: %s", commandPath(path), width, line)
			}
		}
		for _, unwanted := range []string{"(default: false)", "`", "(default: )"} {
			if strings.Contains(text.String(), unwanted) {
				t.Errorf("%s --help contains %q", commandPath(path), unwanted)
			}
		}
	}
	help(nil)
	eachCommand(program, help)
}

func TestHelp(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"\nStart and stop:\n  up            Start the silos", "\nGlobal flags:\n  -f, --file PATH", "\n  130  Interrupted"}},
		{[]string{"--help"}, []string{"\nUsage:\n  silo [global flags] VERB"}},
		{[]string{"help", "up"}, []string{"  silo up [SILO…] [flags]\n", "  -d, --detach  ", "      --timeout DURATION  ", "(default: silos)", "\nGlobal flags: silo --help\n"}},
		{[]string{"run", "-h"}, []string{"  silo run SILO [flags] -- CMD…\n"}},
		{[]string{"config", "--help"}, []string{"  silo config COMMAND [flags]\n", "\nCommands:\n  print"}},
		{[]string{"config", "check", "--help"}, []string{"  silo config check [flags]\n"}},
	} {
		var stdout, stderr strings.Builder
		code := Main(t.Context(), Invocation{Args: c.args, Stdout: &stdout, Stderr: &stderr})
		if code != exitDone || stderr.Len() > 0 {
			t.Errorf("%q: exit %d, %s", c.args, code, &stderr)
		}
		for _, want := range c.want {
			if !strings.Contains(stdout.String(), want) {
				t.Errorf("%q does not contain %q:\n%s", c.args, want, &stdout)
			}
		}
	}
}
