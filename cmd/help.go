package cmd

import (
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/urfave/cli/v2"
)

// helpText is a txtar archive with a section for silo and for every visible command. A
// section has three parts:
//
//	a summary: one line under 60 characters that begins with a verb
//	a description: plain sentences; a blank line separates paragraphs
//	Examples: command lines that can be pasted; "  # reason" may follow
//
// Help, the manual page, the README's table and the completion scripts are made from the
// tree of commands, into which describe copies these texts. A flag's Usage is one clause,
// with the name of its value in backticks.
//
//go:embed help.txtar
var helpText []byte

// describe sets the texts of silo and of every visible command.
func describe(program *cli.App) {
	sections := helpSections()
	program.Usage, program.Description, _ = parseSection(sections["silo"])
	describeCommands(program.Commands, nil, sections)
}

func describeCommands(commands, parents []*cli.Command, sections map[string]string) {
	for _, c := range commands {
		path := append(slices.Clone(parents), c)
		if text, ok := sections[commandPath(path)]; ok {
			c.Usage, c.Description, c.UsageText = parseSection(text)
		}
		describeCommands(c.Subcommands, path, sections)
	}
}

func helpSections() map[string]string {
	sections := map[string]string{}
	for _, file := range txtar.Parse(helpText).Files {
		sections[file.Name] = string(file.Data)
	}
	return sections
}

func parseSection(text string) (summary, description, examples string) {
	summary, rest, _ := strings.Cut(text, "\n")
	description, examples, _ = strings.Cut(rest, "\nExamples:\n")
	return summary, description, examples
}

// The categories of verbs.
const (
	categoryStart     = "Start and stop"
	categoryLook      = "Inspect"
	categoryRequests  = "Requests"
	categoryConfig    = "Region config"
	categoryDatabases = "Databases"
	categoryMachine   = "This machine"
)

// categories lists the categories in the order in which help shows them.
var categories = []string{categoryStart, categoryLook, categoryRequests, categoryConfig, categoryDatabases, categoryMachine}

// helpWidth is the longest line of help, in columns.
const helpWidth = 80

type exitCode struct {
	Code    int
	Meaning string
}

// exitCodes lists the exit codes with their meaning, for help and the manual page.
var exitCodes = []exitCode{
	{exitDone, "Done. For status: all silos are ready."},
	{exitFailed, "Failed at run time."},
	{exitUsage, "Invalid command line."},
	{exitNotReady, "Running but not ready, or the region config is out of date."},
	{exitStopped, "Nothing is running."},
	{exitInvalid, "The topology is invalid."},
	{exitConflict, "A port, a domain, the region config file or the instance is already in use."},
	{exitTimeout, "Not ready in time."},
	{exitInterrupted, "Interrupted by Ctrl-C or a signal before the work was done."},
}

// helpWriter formats help in lines of at most helpWidth columns.
type helpWriter struct{ strings.Builder }

// writeHelp prints the help of the command at the end of path, or of silo if path is empty.
func writeHelp(w io.Writer, program *cli.App, path []*cli.Command) error {
	h := &helpWriter{}
	if len(path) == 0 {
		h.program(program)
	} else {
		h.command(path)
	}
	_, err := io.WriteString(w, h.String())
	return err
}

func (h *helpWriter) program(program *cli.App) {
	h.paragraphs(program.Description)
	h.heading("Usage")
	h.line("  " + program.UsageText)
	for _, category := range categories {
		h.heading(category)
		h.commands(inCategory(program.Commands, category), 12)
	}
	h.heading("Global flags")
	h.flags(program.VisibleFlags())
	h.heading("Exit codes")
	var rows [][2]string
	for _, e := range exitCodes {
		rows = append(rows, [2]string{fmt.Sprintf("%3d", e.Code), e.Meaning})
	}
	h.table(rows, 3)
	h.line("\nsilo VERB --help shows a verb's flags and examples.")
}

func (h *helpWriter) command(path []*cli.Command) {
	c := path[len(path)-1]
	h.line(c.Usage + ".")
	if c.Description != "" {
		h.line("")
		h.paragraphs(c.Description)
	}
	h.heading("Usage")
	h.line("  " + synopsis(path))
	if len(c.Subcommands) > 0 {
		h.heading("Commands")
		h.commands(c.Subcommands, 12)
	}
	if flags := c.VisibleFlags(); len(flags) > 0 {
		h.heading("Flags")
		h.flags(flags)
	}
	if list := examples(c); len(list) > 0 {
		h.heading("Examples")
		for _, example := range list {
			h.line("  " + example)
		}
	}
	h.line("\nGlobal flags: silo --help")
}

// synopsis returns the form of a command line, such as "silo up [SILO…] [flags]".
func synopsis(path []*cli.Command) string {
	c := path[len(path)-1]
	words := []string{commandPath(path)}
	if len(c.Subcommands) > 0 {
		return strings.Join(append(words, "COMMAND [flags]"), " ")
	}
	names, command := c.ArgsUsage, ""
	for _, end := range []string{optionalCommand, "-- CMD…"} {
		if before, found := strings.CutSuffix(names, end); found {
			names, command = before, end
			break
		}
	}
	if names = strings.TrimSpace(names); names != "" {
		words = append(words, names)
	}
	words = append(words, "[flags]")
	if command != "" {
		words = append(words, command)
	}
	return strings.Join(words, " ")
}

// commandPath returns the words that call a command: "silo config print".
func commandPath(path []*cli.Command) string {
	words := []string{"silo"}
	for _, c := range path {
		words = append(words, c.Name)
	}
	return strings.Join(words, " ")
}

func inCategory(commands []*cli.Command, category string) (found []*cli.Command) {
	for _, c := range commands {
		if !c.Hidden && c.Category == category {
			found = append(found, c)
		}
	}
	return found
}

func (h *helpWriter) line(text string) { _, _ = h.WriteString(text + "\n") }

func (h *helpWriter) heading(text string) { h.line("\n" + text + ":") }

// examples returns the examples of a verb, one command line each.
func examples(c *cli.Command) []string {
	return strings.FieldsFunc(c.UsageText, func(r rune) bool { return r == '\n' })
}

// paragraphs returns the paragraphs of a description, each on one line.
func paragraphs(text string) (list []string) {
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		if paragraph = strings.Join(strings.Fields(paragraph), " "); paragraph != "" {
			list = append(list, paragraph)
		}
	}
	return list
}

func (h *helpWriter) paragraphs(text string) {
	for i, paragraph := range paragraphs(text) {
		if i > 0 {
			h.line("")
		}
		for _, line := range wrap(paragraph, helpWidth) {
			h.line(line)
		}
	}
}

func (h *helpWriter) commands(list []*cli.Command, width int) {
	var rows [][2]string
	for _, c := range list {
		rows = append(rows, [2]string{c.Name, c.Usage})
	}
	h.table(rows, width)
}

func (h *helpWriter) flags(list []cli.Flag) {
	var rows [][2]string
	width := 0
	for _, f := range list {
		flag := describeFlag(f)
		short, long := "    ", []string(nil)
		for _, name := range flag.Names {
			if strings.HasPrefix(name, "--") {
				long = append(long, name)
			} else {
				short = name + ", "
			}
		}
		left := short + strings.Join(long, ", ")
		if flag.Value != "" {
			left += " " + flag.Value
		}
		right := flag.Usage
		if flag.Default != "" {
			right += " (default: " + flag.Default + ")"
		}
		width = max(width, utf8.RuneCountInString(left))
		rows = append(rows, [2]string{left, right})
	}
	h.table(rows, width)
}

// table writes rows of two columns. width is that of the left one.
func (h *helpWriter) table(rows [][2]string, width int) {
	const gap = 2
	for _, row := range rows {
		left := row[0]
		for _, line := range wrap(row[1], helpWidth-2*gap-width) {
			h.line(fmt.Sprintf("  %-*s  %s", width, left, line))
			left = ""
		}
	}
}

// wrap breaks text into lines of at most width columns, between words.
func wrap(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

// flagText is a flag as help and the manual page show it.
type flagText struct {
	Names   []string // with dashes
	Value   string   // the name of its value, empty for a switch
	Usage   string
	Default string
}

func describeFlag(f cli.Flag) flagText {
	text := flagText{Names: withDashes(f)}
	documented, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return text
	}
	text.Usage = withoutBackticks(documented.GetUsage())
	if !documented.TakesValue() {
		return text
	}
	text.Value = "VALUE"
	if parts := strings.Split(documented.GetUsage(), "`"); len(parts) == 3 {
		text.Value = parts[1]
	}
	if text.Default = strings.Trim(documented.GetDefaultText(), `"`); text.Default == "none" {
		text.Default = ""
	}
	return text
}

// withDashes returns a flag's names as they are typed.
func withDashes(f cli.Flag) []string {
	words := slices.Clone(f.Names())
	for i, name := range words {
		words[i] = "--" + name
		if len(name) == 1 {
			words[i] = "-" + name
		}
	}
	return words
}

// withoutBackticks returns a flag's usage without the backticks around its value's name.
func withoutBackticks(usage string) string { return strings.ReplaceAll(usage, "`", "") }
