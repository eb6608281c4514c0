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

// candidate is one word that may stand at the cursor.
type candidate struct{ text, meaning string }

// completion is the answer to a word that is being typed.
type completion struct {
	kind  string // words, files, dirs, or command N
	words []candidate
}

// values are what flags may be set to, by verb and flag; a verb that is empty is
// any. A test holds them against what the verbs accept.
func flagValues() map[string][]string {
	return map[string][]string{
		" color":         {"auto", "always", "never"},
		" log-level":     {"debug", "info", "warn", "error"},
		"up mode":        {"silos", "monolith"},
		"exec mode":      {"silos", "monolith"},
		"request via":    {"address", "direct"},
		"request sign":   {"rpc", "subnet"},
		"proxy via":      {"address", "direct"},
		"tunnels format": {"sentry", "ngrok-v2", "ngrok-v3", "env", "json"},
	}
}

// typed is a command line on its way to the cursor.
type cursorLine struct {
	commandLine
	program   *cli.App
	current   string   // the word at the cursor, which may be empty
	pending   cli.Flag // the flag whose value current is
	dashes    bool     // a -- has ended silo's flags
	foreignAt int      // where another program's command line begins; -1: nowhere yet
}

// complete tells what the last of the words may be. Whatever is wrong with those
// before it, it offers what it can.
func (a *app) complete(program *cli.App, words []string) completion {
	if len(words) == 0 {
		words = []string{""}
	}
	last := len(words) - 1
	t := &cursorLine{commandLine: commandLine{flags: program.Flags, commands: program.Commands}, program: program, current: words[last], foreignAt: -1}
	if !t.parse(words[:last]) {
		return completion{kind: "words"}
	}
	name, value, joined := strings.Cut(t.current, "=")
	switch {
	case t.foreignAt >= 0:
		return completion{kind: fmt.Sprint("command ", t.foreignAt)}
	case t.pending != nil:
		return a.valuesOf(t, t.pending, "", t.current)
	case joined && t.isFlag(t.current):
		if f, _ := t.flagFor(strings.TrimLeft(name, "-")); f != nil {
			return a.valuesOf(t, f, name+"=", value)
		}
		return completion{kind: "words"}
	case t.takesCommand() && len(t.names) == t.namesBeforeCommand() && !strings.HasPrefix("--", t.current) && !t.isFlag(t.current):
		return completion{kind: fmt.Sprint("command ", last)}
	}
	var offered []candidate
	switch {
	case t.isFlag(t.current) || t.current == "-" && !t.dashes:
		offered = t.flagWords()
	case len(t.commands) > 0:
		offered = verbWords(t.commands)
	default:
		offered = a.nameWords(t)
	}
	if t.takesCommand() && len(t.names) == t.namesBeforeCommand() {
		offered = append(offered, candidate{"--", "the command line that follows is not silo's"})
	}
	return completion{"words", withPrefix(offered, t.current)}
}

func withPrefix(offered []candidate, with string) []candidate {
	return slices.DeleteFunc(offered, func(c candidate) bool { return !strings.HasPrefix(c.text, with) })
}

// read takes the words before the cursor. False: nothing can be told any more.
func (t *cursorLine) parse(words []string) bool {
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case len(t.path) > 0 && t.path[len(t.path)-1].SkipFlagParsing:
			return false
		case word == "--" && t.takesCommand():
			t.foreignAt = i + 1
			return true
		case word == "--":
			t.dashes, t.names = true, append(t.names, words[i+1:]...)
			return len(t.commands) == 0
		case t.isFlag(word):
			used, err := t.parseFlag(words[i:])
			if err != nil && i == len(words)-1 {
				t.pending, _ = t.flagFor(strings.TrimLeft(word, "-"))
			}
			i += max(used, 1) - 1
		case len(t.commands) > 0:
			if t.parseVerb(word) != nil {
				return false
			}
		case t.takesCommand() && len(t.names) == t.namesBeforeCommand():
			t.foreignAt = i
			return true
		default:
			t.names = append(t.names, word)
		}
	}
	return len(t.path) == 0 || !t.path[len(t.path)-1].SkipFlagParsing
}

func (t *cursorLine) isFlag(word string) bool { return len(word) > 1 && word[0] == '-' && !t.dashes }

// form is what the verb wants behind it, such as [SILO…] or SILO -- CMD….
func (t *cursorLine) argsUsage() []string {
	if len(t.path) == 0 {
		return nil
	}
	return strings.Fields(t.path[len(t.path)-1].ArgsUsage)
}

func (t *cursorLine) takesCommand() bool { return slices.Contains(t.argsUsage(), "CMD…") }

// namesBeforeCommand is how many names a verb takes before another program's command line.
func (t *cursorLine) namesBeforeCommand() int { return slices.Index(t.argsUsage(), "--") }

// flagWords are the flags that may stand at the cursor, each by its long name,
// and by a short one that is typed already.
func (t *cursorLine) flagWords() []candidate {
	offered := []candidate{{"--help", "show help"}}
	flags := slices.Clone(t.flags)
	for _, c := range t.path {
		flags = append(slices.Clone(c.Flags), flags...)
	}
	given := slices.Concat(t.globalFlags, t.verbFlags)
	for _, f := range flags {
		documented, ok := f.(cli.DocGenerationFlag)
		visible, hides := f.(cli.VisibleFlag)
		if !ok || hides && !visible.IsVisible() || f.Names()[0] == "version" && len(t.path) > 0 {
			continue
		}
		for i, word := range dashed(f) {
			if owner, _ := t.flagFor(f.Names()[i]); owner == f && (i == 0 || word == t.current) && (isRepeatable(f) || !slices.Contains(given, word)) {
				offered = append(offered, candidate{word, withoutBackticks(documented.GetUsage())})
			}
		}
	}
	return offered
}

func isRepeatable(f cli.Flag) bool {
	_, slice := f.(*cli.StringSliceFlag)
	return slice
}

// plain is a flag's usage without the marks of its placeholder.
func withoutBackticks(usage string) string { return strings.ReplaceAll(usage, "`", "") }

// valuesOf are the values of a flag, each behind prefix.
func (a *app) valuesOf(t *cursorLine, f cli.Flag, prefix, current string) completion {
	name := f.Names()[0]
	if flagNamed(t.flags, name) == f {
		switch name {
		case "file":
			return completion{kind: "files"}
		case "directory":
			return completion{kind: "dirs"}
		}
		name = " " + name
	} else {
		name = t.path[0].Name + " " + name
	}
	answer := completion{kind: "words"}
	if slices.Contains([]string{"as", "silo", "from", "to"}, f.Names()[0]) {
		for _, silo := range a.siloWords(t) {
			answer.words = append(answer.words, candidate{prefix + silo.text, silo.meaning})
		}
	}
	if f.Names()[0] == "dialect" { // or any release, which nobody has to be told
		for _, d := range sentry.Dialects() {
			answer.words = append(answer.words, candidate{prefix + d.Name, d.Range()})
		}
	}
	for _, v := range flagValues()[name] {
		answer.words = append(answer.words, candidate{text: prefix + v})
	}
	answer.words = withPrefix(answer.words, prefix+current)
	return answer
}

func verbWords(commands []*cli.Command) []candidate {
	var offered []candidate
	for _, c := range commands {
		if !c.Hidden {
			offered = append(offered, candidate{c.Name, c.Usage})
		}
	}
	return offered
}

// nameWords are what may stand behind a verb and the names before the cursor.
func (a *app) nameWords(t *cursorLine) []candidate {
	form := t.argsUsage()
	if len(form) == 0 {
		return nil
	}
	at := form[min(len(t.names), len(form)-1)]
	many := strings.Contains(at, "…")
	if len(t.names) >= len(form) && !many {
		return nil
	}
	var offered []candidate
	for choice := range strings.SplitSeq(strings.Trim(at, "[]…"), "|") {
		switch {
		case choice == "SILO":
			offered = append(offered, a.siloWords(t)...)
		case choice == "METHOD":
			for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"} {
				offered = append(offered, candidate{text: method})
			}
		case choice == strings.ToLower(choice) && choice != "--":
			offered = append(offered, candidate{text: choice})
		}
	}
	return slices.DeleteFunc(offered, func(c candidate) bool { return slices.Contains(t.names, c.text) })
}

// siloWords are the silos of the topology that the command line means; of one
// that cannot be read, those of its last run.
func (a *app) siloWords(t *cursorLine) []candidate {
	var offered []candidate
	top, last := a.targetTopology(t)
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

// meant is the topology that the command line's -f, -C and --demo lead to, else
// the last snapshot of its instance, else neither.
func (a *app) targetTopology(t *cursorLine) (*topology.Topology, *state.Snapshot) {
	if slices.Contains(t.verbFlags, "--demo") {
		text, err := scaffold.Demo("silo", "/dev/null")
		if err != nil {
			return nil, nil
		}
		top, _ := topology.Parse("/demo/silo.toml", []byte(text), nil, a.lookup)
		return top, nil
	}
	c, err := t.globalContext(a)
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

// globals are the global flags before the cursor, as a verb gets them.
func (t *cursorLine) globalContext(a *app) (*cli.Context, error) {
	set := flag.NewFlagSet("silo", flag.ContinueOnError)
	for _, f := range t.flags {
		if err := f.Apply(set); err != nil {
			return nil, err
		}
	}
	for i := 0; i < len(t.globalFlags); i++ {
		name, value, joined := strings.Cut(strings.TrimLeft(t.globalFlags[i], "-"), "=")
		f, isString := flagNamed(t.flags, name).(*cli.StringFlag)
		if !isString {
			continue
		}
		if !joined {
			i++
			value = t.globalFlags[i]
		}
		if rest, ok := strings.CutPrefix(value, "~/"); ok { // no shell has replaced it yet
			home, _ := a.lookup("HOME")
			value = filepath.Join(home, rest)
		}
		if err := set.Set(f.Name, value); err != nil {
			return nil, err
		}
	}
	return cli.NewContext(t.program, set, nil), nil
}
