package sentry

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mark is something to find in one file of Sentry's source, by reading alone.
type mark struct {
	File   string // below the package's directory
	Class  string // look only in the body of this class; empty: everywhere
	Text   string // empty: that the file is there
	Absent bool   // the text must not be found in the file
}

// marks must all hold.
type marks []mark

// trait is what a source tree says, where its mark holds, against a default of
// its dialect.
type trait struct {
	mark

	RegionMode               string // in place of the dialect's
	Fallback                 string // one of those in place of the dialect's
	EarlyAuth, StrictRegions bool
}

// String names the marks for a person.
func (all marks) String() string {
	words := make([]string, len(all))
	for i, m := range all {
		words[i] = m.File
		if m.Text != "" {
			words[i] = fmt.Sprintf("%q in %s", strings.TrimSpace(m.Text), m.File)
		}
		if m.Absent {
			words[i] = "no " + words[i]
		}
	}
	return strings.Join(words, ", ")
}

// tree reads files of one sentry package, each once.
type tree struct {
	dir   string
	texts map[string]*string // nil: not there
}

func newTree(dir string) tree { return tree{dir: dir, texts: map[string]*string{}} }

func (t tree) text(name string) *string {
	text, read := t.texts[name]
	if !read {
		if content, err := os.ReadFile(filepath.Join(t.dir, filepath.FromSlash(name))); err == nil {
			s := strings.ReplaceAll(string(content), "\r\n", "\n")
			text = &s
		}
		t.texts[name] = text
	}
	return text
}

func (t tree) has(m mark) bool {
	text := t.text(m.File)
	if text == nil {
		return false
	}
	return strings.Contains("\n"+classBody(*text, m.Class), m.Text) != m.Absent
}

// classBody is the part of Python source that belongs to a top-level class; all
// of it for no class.
func classBody(source, class string) string {
	if class == "" {
		return source
	}
	start := strings.Index("\n"+source, "\nclass "+class)
	if start < 0 {
		return ""
	}
	lines := strings.SplitAfter(source[start:], "\n")
	end := slices.IndexFunc(lines[1:], func(line string) bool { return line[:min(1, len(line))] > " " && line[0] != ')' && line[0] != '#' })
	if end < 0 {
		end = len(lines) - 1
	}
	return strings.Join(lines[:end+1], "")
}

// read finds the dialect of a sentry package by its marks, the newest that fits,
// with what the package itself says against the dialect's defaults.
func (t tree) read() (d Dialect, found marks, ok bool) {
	for _, candidate := range slices.Backward(Dialects()) {
		for _, all := range candidate.marks {
			if !slices.ContainsFunc(all, func(m mark) bool { return !t.has(m) }) {
				return t.refine(candidate), all, true
			}
		}
	}
	return Dialect{}, nil, false
}

func (t tree) refine(d Dialect) Dialect {
	var fallback []string
	for _, trait := range d.traits {
		if !t.has(trait.mark) {
			continue
		}
		d.RegionMode = cmp.Or(trait.RegionMode, d.RegionMode)
		d.EarlyAuth, d.StrictRegions = d.EarlyAuth || trait.EarlyAuth, d.StrictRegions || trait.StrictRegions
		if trait.Fallback != "" {
			fallback = append(fallback, trait.Fallback)
		}
	}
	if len(fallback) > 0 {
		d.Fallback = fallback
	}
	return d
}
