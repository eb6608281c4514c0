package sentry

import (
	"os"
	"strings"
	"testing"
)

// part is one file of a golden file: a line "-- name --" followed by its text.
type part struct{ name, text string }

// readParts reads a golden file: a comment, then parts.
func readParts(t *testing.T, file string) (comment string, all []part) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		name, isHead := strings.CutPrefix(strings.TrimSuffix(line, " --\n"), "-- ")
		switch {
		case isHead && strings.HasSuffix(line, " --\n"):
			all = append(all, part{name: name})
		case len(all) == 0:
			comment += line
		default:
			all[len(all)-1].text += line
		}
	}
	return comment, all
}

// writeParts writes the format that readParts reads.
func writeParts(t *testing.T, file, comment string, all []part) {
	t.Helper()
	for _, p := range all {
		comment += "-- " + p.name + " --\n" + p.text
	}
	if err := os.WriteFile(file, []byte(comment), 0o644); err != nil {
		t.Fatal(err)
	}
}
