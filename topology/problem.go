package topology

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
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
	Text   string `json:"text"`   // what is wrong: one line without secrets
	Hint   string `json:"hint"`   // an edit that fixes it: one line; may be empty
}

// String is "silo.toml:LINE:COL: KEY: what is wrong", without the hint.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Key, p.Text)
}

// Problems are all errors of a topology: those of the topology file first, then
// those of its local file, each in the order of the text.
type Problems []Problem //nolint:errname // a list first, and an error if it is not empty

// Error has one line for each problem, without hints.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// source is the content of one file, without a byte order mark.
type source struct {
	name  string
	rank  int // orders the topology file before its local file
	data  []byte
	lines []int // offset of each line's first byte
}

func newSource(name string, rank int, data []byte) *source {
	src := &source{name: name, rank: rank, data: bytes.TrimPrefix(data, []byte("\uFEFF")), lines: []int{0}}
	for i, b := range src.data {
		if b == '\n' {
			src.lines = append(src.lines, i+1)
		}
	}
	return src
}

// line returns the number of the line at offset, from 1.
func (s *source) line(offset int) int {
	return sort.SearchInts(s.lines, offset+1)
}

// place is one byte of one file.
type place struct {
	src    *source
	offset int
}

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.src.rank, q.src.rank), cmp.Compare(p.offset, q.offset))
}

// from names the line of p in a problem at other, with the file if it differs.
func (p place) from(other place) string {
	line := "line " + strconv.Itoa(p.src.line(p.offset))
	if p.src != other.src {
		return p.src.name + " " + line
	}
	return line
}

// finding is a problem before its line and column are counted.
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
// It counts each column from the previous finding, so that a large file on one
// line takes one pass.
func (f findings) problems() Problems {
	slices.SortStableFunc(f, func(a, b finding) int { return a.compare(b.place) })
	seen := make(map[finding]bool, len(f))
	problems := make(Problems, 0, len(f))
	var last place
	column := 1
	for _, found := range f {
		if seen[found] {
			continue
		}
		seen[found] = true
		line := found.src.line(found.offset)
		start := found.src.lines[line-1]
		if last.src != found.src || last.offset < start {
			last, column = place{found.src, start}, 1
		}
		column += utf8.RuneCount(found.src.data[last.offset:found.offset])
		last = found.place
		problems = append(problems, Problem{
			File: found.src.name, Line: line, Column: column,
			Key: found.key, Text: found.text, Hint: found.hint,
		})
	}
	return problems
}

// quote shows a text from the file on one line, shortened if it is long.
func quote(text string) string {
	const limit = 60
	if utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:limit]) + "…"
	}
	return strconv.Quote(text)
}
