package cmd

import (
	"encoding/json"
	"io"
)

// print prints a result.
func (a *app) print(text string) error {
	_, err := io.WriteString(a.Stdout, text)
	return err
}

// printJSON prints one indented document.
func (a *app) printJSON(value any) error {
	document := a.jsonLines()
	document.SetIndent("", "  ")
	return document.Encode(value)
}

// jsonLines returns an encoder that prints each value on one line.
func (a *app) jsonLines() *json.Encoder {
	lines := json.NewEncoder(a.Stdout)
	lines.SetEscapeHTML(false)
	return lines
}

// note prints messages that are neither results nor warnings.
func (a *app) note(texts ...string) {
	if a.quiet {
		return
	}
	for _, text := range texts {
		a.messages.Note(text)
	}
}

// warn prints a warning with hints, which pastable adapts.
func (a *app) warn(text string, hints ...string) {
	a.messages.Warn(text, a.pastable(hints)...)
}

// logLine prints a message of the supervisor.
func (a *app) logLine(level int, line string) {
	switch {
	case level < a.level:
	case level >= levelWarn:
		a.warn(line)
	default:
		a.note(line)
	}
}
