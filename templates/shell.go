package templates

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed shell/* silo.1.tmpl
var shell embed.FS

// Shells are those that have a completion script.
func Shells() []string { return []string{"bash", "zsh", "fish"} }

// Completion is the completion script of one of the Shells.
func Completion(name string) (string, error) {
	text, err := shell.ReadFile("shell/silo." + name)
	if err != nil {
		return "", fmt.Errorf("completion for %s: %w", name, err)
	}
	return string(text), nil
}

// Manual is what the manual page takes from the table of commands.
type Manual struct {
	Usage string
	Flags []ManualFlag // those of every verb
	Verbs []ManualVerb
}

// ManualVerb is one verb, or one verb of a verb by both names.
type ManualVerb struct {
	Name, Takes, Usage string
	Flags              []ManualFlag
}

// ManualFlag is one flag; Value is its placeholder, empty where it takes none.
type ManualFlag struct {
	Names        []string // with their dashes
	Value, Usage string
}

// Text is the page, in the macros of man(7).
func (m Manual) Text() (string, error) {
	page, err := template.New("silo.1.tmpl").Funcs(template.FuncMap{"roff": roff, "bold": bold}).ParseFS(shell, "silo.1.tmpl")
	if err != nil {
		return "", fmt.Errorf("parse the manual page: %w", err)
	}
	var text strings.Builder
	if err := page.Execute(&text, m); err != nil {
		return "", fmt.Errorf("fill in the manual page: %w", err)
	}
	return text.String(), nil
}

// roff is text that troff prints as it is: a dash that can be searched for, and
// no request where a line begins with a dot or a quote.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", `.\|.\|.`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}

// bold are words in bold type, between commas.
func bold(words []string) string {
	list := make([]string, len(words))
	for i, word := range words {
		list[i] = `\fB` + roff(word) + `\fR`
	}
	return strings.Join(list, ", ")
}
