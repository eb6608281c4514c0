package sentry

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// pattern matches the text of one file of Sentry's source.
type pattern struct {
	File   string // below the directory of the package
	Class  string // search only the body of this class; empty: everywhere
	Text   string // empty: the file must exist
	Absent bool   // the text must not be in the file
}

// signature is a list of patterns, all of which match the source of a dialect.
type signature []pattern

// trait overrides a default of the dialect if its pattern matches.
type trait struct {
	pattern

	RegionMode               string // replaces the dialect's
	Fallback                 string // all of these replace the dialect's
	EarlyAuth, StrictRegions bool
	PublicGateway            bool
}

// String names the patterns for the user.
func (s signature) String() string {
	words := make([]string, len(s))
	for i, p := range s {
		words[i] = p.File
		if p.Text != "" {
			words[i] = fmt.Sprintf("%q in %s", strings.TrimSpace(p.Text), p.File)
		}
		if p.Absent {
			words[i] = "no " + words[i]
		}
	}
	return strings.Join(words, ", ")
}

// sourceTree is the directory of a sentry package.
type sourceTree string

// text returns the text of a file, and false if it cannot be read.
func (t sourceTree) text(name string) (string, bool) {
	content, err := os.ReadFile(filepath.Join(string(t), name))
	return strings.ReplaceAll(string(content), "\r\n", "\n"), err == nil
}

func (t sourceTree) matches(p pattern) bool {
	text, ok := t.text(p.File)
	return ok && strings.Contains("\n"+classBody(text, p.Class), p.Text) != p.Absent
}

// classBody returns the part of Python source that belongs to a top-level class, or
// all of it if class is empty.
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

// dialect finds the newest dialect with a signature that matches, and applies the
// traits of the source.
func (t sourceTree) dialect() (d Dialect, found signature, ok bool) {
	for _, candidate := range slices.Backward(Dialects()) {
		for _, s := range candidate.signatures {
			if !slices.ContainsFunc(s, func(p pattern) bool { return !t.matches(p) }) {
				return t.applyTraits(candidate), s, true
			}
		}
	}
	return Dialect{}, nil, false
}

func (t sourceTree) applyTraits(d Dialect) Dialect {
	var fallback []string
	for _, trait := range d.traits {
		if !t.matches(trait.pattern) {
			continue
		}
		d.RegionMode = cmp.Or(trait.RegionMode, d.RegionMode)
		d.EarlyAuth, d.StrictRegions = d.EarlyAuth || trait.EarlyAuth, d.StrictRegions || trait.StrictRegions
		d.PublicGateway = d.PublicGateway || trait.PublicGateway
		if trait.Fallback != "" {
			fallback = append(fallback, trait.Fallback)
		}
	}
	if len(fallback) > 0 {
		d.Fallback = fallback
	}
	return d
}
