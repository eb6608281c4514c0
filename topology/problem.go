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

// Problem is one thing that is wrong with a topology file, or worth a word, and
// where it stands.
type Problem struct {
	File   string `json:"file"`   // base name of the file, as it is printed
	Line   int    `json:"line"`   // from 1
	Column int    `json:"column"` // from 1, in characters, a tab being one
	Key    string `json:"key"`    // dotted, as TOML would write it; "toml" for a syntax error
	Text   string `json:"text"`   // what is wrong, one line, free of secrets
	Hint   string `json:"hint"`   // an edit that mends it, one line; empty where there is none to tell
}

// String is "silo.toml:LINE:COL: KEY: what is wrong", without the hint.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", p.File, p.Line, p.Column, p.Key, p.Text)
}

// Problems are all that is wrong with a topology: those of the topology file
// first, then those of its local companion, each in the order of the text.
type Problems []Problem //nolint:errname // they are a list first, and an error where there are any

// Error has one line for each problem, without hints.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// source is one file's bytes, without a byte order mark.
type source struct {
	name  string
	rank  int // the topology file before its local companion
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

// line gives the number of the line at offset, from 1.
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

// seenFrom names p in a problem that stands at other: by its line, and by its
// file too where that is another one.
func (p place) seenFrom(other place) string {
	line := "line " + strconv.Itoa(p.src.line(p.offset))
	if p.src != other.src {
		return p.src.name + " " + line
	}
	return line
}

// finding is a problem whose line and column are not yet counted.
type finding struct {
	place
	key, text, hint string
}

// findings gathers what is found, in any order.
type findings []finding

func (f *findings) add(at place, key, text, hint string) {
	*f = append(*f, finding{at, key, text, hint})
}

// problems sorts the findings, drops repetitions and counts lines and columns.
// Columns are counted onward from the finding before, so that a huge file on one
// line costs one pass.
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

// quote shows a text from the file on one line, and not more of it than helps.
func quote(text string) string {
	const enough = 60
	if utf8.RuneCountInString(text) > enough {
		text = string([]rune(text)[:enough]) + "…"
	}
	return strconv.Quote(text)
}
