package cmd

import (
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"silo/scaffold"
	"silo/sentry"
	"silo/state"
	"silo/topology"
)

// candidate is a possible word at the cursor.
type candidate struct{ text, meaning string }

// completion is the answer for the word at the cursor.
type completion struct {
	kind  string // words, files, dirs, or command N
	words []candidate
}

// flagValues lists the values of flags, by verb and flag. An empty verb stands for the
// global flags.
var flagValues = map[string][]string{
	" color":         {"auto", "always", "never"},
	" log-level":     logLevels,
	"up mode":        {"silos", "monolith"},
	"exec mode":      {"silos", "monolith"},
	"env format":     {"shell", "dotenv", "vscode", "pycharm"},
	"request via":    {"address", "direct"},
	"request sign":   {"rpc", "subnet"},
	"proxy via":      {"address", "direct"},
	"tunnels format": {"sentry", "ngrok-v2", "ngrok-v3", "env", "json"},
}

// cursorLine is a command line up to the cursor.
type cursorLine struct {
	*commandLine
	current string   // the word at the cursor, which may be empty
	pending cli.Flag // the flag whose value current is
}

// complete returns candidates for the last of the words. Mistakes in the words before
// it are ignored as far as possible.
func (a *app) complete(program *cli.App, words []string) completion {
	if len(words) == 0 {
		words = []string{""}
	}
	last := len(words) - 1
	l := &cursorLine{commandLine: newCommandLine(program), current: words[last]}
	if !l.parse(words[:last]) {
		return completion{kind: "words"}
	}
	name, value, joined := strings.Cut(l.current, "=")
	switch {
	case l.foreignAt >= 0:
		return completion{kind: fmt.Sprint("command ", l.foreignAt)}
	case l.pending != nil:
		return a.completeValue(l, l.pending, "", l.current)
	case joined && l.isFlag(l.current):
		if f, _ := l.flagFor(strings.TrimLeft(name, "-")); f != nil {
			return a.completeValue(l, f, name+"=", value)
		}
		return completion{kind: "words"}
	case l.commandIsNext() && !strings.HasPrefix("--", l.current) && !l.isFlag(l.current):
		return completion{kind: fmt.Sprint("command ", last)}
	}
	var offered []candidate
	switch {
	case l.isFlag(l.current) || l.current == "-" && !l.noFlags:
		offered = l.flagCandidates()
	case len(l.commands) > 0:
		for _, c := range l.commands {
			if !c.Hidden {
				offered = append(offered, candidate{c.Name, c.Usage})
			}
		}
	default:
		offered = a.nameCandidates(l)
	}
	if l.commandIsNext() {
		offered = append(offered, candidate{"--", "end of silo's flags"})
	}
	return completion{"words", withPrefix(offered, l.current)}
}

func withPrefix(offered []candidate, prefix string) []candidate {
	return slices.DeleteFunc(offered, func(c candidate) bool { return !strings.HasPrefix(c.text, prefix) })
}

// parse parses the words before the cursor. It reports whether anything can be completed.
func (l *cursorLine) parse(words []string) bool {
	for at := 0; at < len(words); {
		isFlag := l.isFlag(words[at])
		used, err := l.parseWord(words, at)
		if err != nil && !isFlag {
			return false
		}
		if err != nil && at == len(words)-1 {
			l.pending, _ = l.flagFor(strings.TrimLeft(words[at], "-"))
		}
		at += max(used, 1)
	}
	return !l.command().SkipFlagParsing && (!l.noFlags || len(l.commands) == 0)
}

// flagCandidates returns the possible flags at the cursor: all long names, and a short name
// only if it is already typed.
func (l *cursorLine) flagCandidates() []candidate {
	offered := []candidate{{"--help", "show help"}}
	flags := l.program.VisibleFlags()
	for _, c := range l.path {
		flags = append(c.VisibleFlags(), flags...)
	}
	given := slices.Concat(l.global, l.own)
	for _, f := range flags {
		_, repeats := f.(*cli.StringSliceFlag)
		used := slices.ContainsFunc(given, func(p parsedFlag) bool { return p.flag == f })
		if used && !repeats || f.Names()[0] == "version" && len(l.path) > 0 {
			continue
		}
		text := describeFlag(f)
		for i, word := range text.Names {
			if owner, _ := l.flagFor(f.Names()[i]); owner == f && (i == 0 || word == l.current) {
				offered = append(offered, candidate{word, text.Usage})
			}
		}
	}
	return offered
}

// completeValue returns the values of a flag, each preceded by prefix.
func (a *app) completeValue(l *cursorLine, f cli.Flag, prefix, current string) completion {
	name := f.Names()[0]
	global := flagNamed(l.program.Flags, name) == f
	if global {
		switch name {
		case "file":
			return completion{kind: "files"}
		case "directory":
			return completion{kind: "dirs"}
		}
	}
	var values []candidate
	switch name {
	case "as", "silo", "from", "to":
		values = a.siloCandidates(l)
	case "dialect": // any release is valid too
		for _, d := range sentry.Dialects() {
			values = append(values, candidate{d.Name, d.Range()})
		}
	}
	for _, v := range l.values(f, !global) {
		values = append(values, candidate{text: v})
	}
	for i := range values {
		values[i].text = prefix + values[i].text
	}
	return completion{"words", withPrefix(values, prefix+current)}
}

// nameCandidates returns the arguments that may follow the verb and the names before
// the cursor.
func (a *app) nameCandidates(l *cursorLine) []candidate {
	form := l.argsUsage()
	if len(form) == 0 {
		return nil
	}
	argument := form[min(len(l.names), len(form)-1)]
	if len(l.names) >= len(form) && !strings.Contains(argument, "…") {
		return nil
	}
	var offered []candidate
	for choice := range strings.SplitSeq(strings.Trim(argument, "[]…"), "|") {
		switch {
		case choice == "SILO":
			offered = append(offered, a.siloCandidates(l)...)
		case choice == "METHOD":
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
				offered = append(offered, candidate{text: method})
			}
		case choice == strings.ToLower(choice) && choice != "--":
			offered = append(offered, candidate{text: choice})
		}
	}
	return slices.DeleteFunc(offered, func(c candidate) bool { return slices.Contains(l.names, c.text) })
}

// siloCandidates returns the silos of the selected topology, or those of its last run if it
// cannot be read.
func (a *app) siloCandidates(l *cursorLine) []candidate {
	var offered []candidate
	top, last := a.targetTopology(l)
	switch {
	case top != nil:
		for _, s := range top.Silos() {
			offered = append(offered, candidate{s.Name, describeSilo(s.IsControl(), s.ID)})
		}
	case last != nil:
		for _, s := range last.Silos {
			id := 0
			if s.RegionID != nil {
				id = *s.RegionID
			}
			offered = append(offered, candidate{s.Name, describeSilo(s.Mode != state.Region, id)})
		}
	}
	return offered
}

func describeSilo(control bool, id int) string {
	if control {
		return "the control silo"
	}
	return fmt.Sprint("region ", id)
}

// targetTopology returns the topology that -f, -C or --demo select, else the last
// snapshot of its instance, else neither.
func (a *app) targetTopology(l *cursorLine) (*topology.Topology, *state.Snapshot) {
	if slices.ContainsFunc(l.own, func(p parsedFlag) bool { return p.flag.Names()[0] == "demo" }) {
		text, err := scaffold.Demo("silo", "/dev/null")
		if err != nil {
			return nil, nil
		}
		top, _ := topology.Parse("/demo/silo.toml", []byte(text), nil, a.lookup)
		return top, nil
	}
	c, err := l.globalContext(a)
	if err != nil {
		return nil, nil
	}
	dir, err := a.instanceDir(c)
	if err != nil {
		return nil, nil
	}
	if top, err := a.topologyOf(dir); err == nil {
		return top, nil
	}
	last, err := dir.Last()
	if err != nil {
		return nil, nil
	}
	return nil, last
}

// globalContext returns the global flags before the cursor as an action receives them.
func (l *cursorLine) globalContext(a *app) (*cli.Context, error) {
	set := flag.NewFlagSet("silo", flag.ContinueOnError)
	for _, f := range l.program.Flags {
		if err := f.Apply(set); err != nil {
			return nil, err
		}
	}
	for _, p := range l.global {
		if rest, ok := strings.CutPrefix(p.value, "~/"); ok { // the shell has not expanded it yet
			home, _ := a.lookup("HOME")
			p.value = filepath.Join(home, rest)
		}
		if err := set.Set(p.flag.Names()[0], p.value); err != nil {
			return nil, err
		}
	}
	return cli.NewContext(l.program, set, nil), nil
}
