package topology

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Problem is an error or a warning about a topology file, with its position.
type Problem struct {
	File   string `json:"file"`   // base name of the file, as printed
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1, in characters; a tab counts as one
	Key    string `json:"key"`    // dotted, as TOML writes it; "toml" for a TOML error
	Text   string `json:"text"`   // the problem: one line without secrets
	Hint   string `json:"hint"`   // an edit that fixes it: one line; may be empty
}

// String returns "silo.toml:LINE:COL: KEY: TEXT", without the hint.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Key, p.Text)
}

// Problems are all errors of a topology: those of the topology file first, then
// those of its local file, each in the order of the text.
type Problems []Problem //nolint:errname // primarily a list; an error only if it is not empty

// Error returns one line for each problem, without hints.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// source is the content of one file, without a byte order mark.
type source struct {
	name string
	rank int // orders the topology file before its local file
	data []byte
}

// place is the position of one byte in one file.
type place struct {
	src    *source
	offset int
}

var newline = []byte("\n")

// place returns the start of the character at a line and a column, which counts bytes
// from 1.
func (s *source) place(line, column int) place {
	lines := bytes.SplitAfterN(s.data, newline, line)
	offset := min(len(s.data)-len(lines[len(lines)-1])+column-1, len(s.data))
	for offset > 0 && offset < len(s.data) && !utf8.RuneStart(s.data[offset]) {
		offset-- // at the end of a file the parser reports the last byte
	}
	return place{s, offset}
}

// line returns the line number, from 1.
func (p place) line() int { return bytes.Count(p.src.data[:p.offset], newline) + 1 }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.src.rank, q.src.rank), cmp.Compare(p.offset, q.offset))
}

// from names p's line for use in a problem at other, with the file if it differs.
func (p place) from(other place) string {
	line := "line " + strconv.Itoa(p.line())
	if p.src != other.src {
		return p.src.name + " " + line
	}
	return line
}

// finding is a problem whose line and column are not counted yet.
type finding struct {
	place
	key, text, hint string
}

// findings collects problems in any order.
type findings []finding

func (f *findings) add(at place, key, text, hint string) {
	*f = append(*f, finding{at, key, text, hint})
}

// problems sorts the findings, removes duplicates and counts lines and columns.
func (f findings) problems() Problems {
	slices.SortStableFunc(f, func(a, b finding) int { return a.compare(b.place) })
	seen := make(map[finding]bool, len(f))
	problems := make(Problems, 0, len(f))
	for _, found := range f {
		if seen[found] {
			continue
		}
		seen[found] = true
		before := found.src.data[:found.offset]
		problems = append(problems, Problem{
			File: found.src.name, Line: found.line(), Column: utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1,
			Key: found.key, Text: found.text, Hint: found.hint,
		})
	}
	return problems
}

// quote formats a text from the file on one line, shortened if it is long.
func quote(text string) string {
	const limit = 60
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit]) + "…"
	}
	return strconv.Quote(text)
}
