package sentry

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ErrMarkers is wrapped by the error about a file whose marker lines are broken,
// nested or doubled.
var ErrMarkers = errors.New("markers are broken")

const (
	beginMarker = "# >>> silo: region config of "
	beginRest   = "; do not edit between these lines >>>"
	endMarker   = "# <<< silo <<<"
	// addedNewline is the first line of a block if the file did not end in a newline
	// before. The newline is removed together with the block.
	addedNewline = "# (the newline before this block is silo's, too)"
)

var (
	bom       = []byte("\xef\xbb\xbf")
	beginLine = regexp.MustCompile(`^` + regexp.QuoteMeta(beginMarker) + `("(?:[^"\\]|\\.)*") \((.*)\)` + regexp.QuoteMeta(beginRest) + `$`)
)

// layout is the position of the block in a file, if it has one.
type layout struct {
	has        bool
	block      Block
	begin, end int    // the block's bytes, including its marker lines
	endLine    int    // the number of the end marker's line
	ownNewline bool   // silo added the newline before the block
	eol        string // the line ending of the block, or of the file
}

// parseLayout finds the block in a file. The error wraps ErrMarkers.
func parseLayout(content []byte) (layout, error) {
	l := layout{eol: lineEnding(content)}
	open, number, at, text := 0, 0, 0, strings.Builder{}
	for raw := range bytes.Lines(content) {
		number++
		begin, end := at, at+len(raw)
		if begin == 0 && bytes.HasPrefix(raw, bom) {
			begin, raw = len(bom), raw[len(bom):]
		}
		line := strings.TrimRight(string(raw), "\r\n \t")
		switch kind := markerKind(line); {
		case kind == "" && open > 0 && line == addedNewline && text.Len() == 0:
			l.ownNewline = true
		case kind == "" && open > 0:
			text.WriteString(strings.TrimRight(string(raw), "\r\n") + "\n")
		case kind == "":
		case kind == "damaged":
			return layout{}, markerError(number, "is a damaged marker")
		case kind == "begin" && open > 0:
			return layout{}, markerError(number, "begins a block inside that of line %d", open)
		case kind == "begin" && l.has:
			return layout{}, markerError(number, "begins a second block")
		case kind == "begin":
			open, l.begin, l.eol = number, begin, lineEnding(raw)
			if err := l.block.parseBegin(line); err != nil {
				return layout{}, markerError(number, "is a damaged marker")
			}
		case open == 0:
			return layout{}, markerError(number, "ends a block that never began")
		default:
			open, l.has, l.end, l.endLine, l.block.text = 0, true, end, number, text.String()
		}
		at = end
	}
	if open > 0 {
		return layout{}, markerError(open, "begins a block that never ends")
	}
	return l, nil
}

func markerError(line int, format string, args ...any) error {
	return fmt.Errorf("%w: line %d %s", ErrMarkers, line, fmt.Sprintf(format, args...))
}

// markerKind returns begin, end, damaged (a line that only resembles a marker) or "".
func markerKind(line string) string {
	trimmed := strings.TrimLeft(line, " \t")
	switch {
	case beginLine.MatchString(line):
		return "begin"
	case line == endMarker:
		return "end"
	case strings.HasPrefix(trimmed, "# >>> silo"), strings.HasPrefix(trimmed, "# <<< silo"):
		return "damaged"
	}
	return ""
}

// parseBegin reads the instance and the file from a begin line.
func (b *Block) parseBegin(line string) (err error) {
	m := beginLine.FindStringSubmatch(line)
	if b.Instance, err = strconv.Unquote(m[1]); err != nil {
		return err
	}
	b.file, err = strconv.Unquote(`"` + m[2] + `"`)
	return err
}

// lineEnding returns the line ending of the first line, or a line feed.
func lineEnding(content []byte) string {
	if i := bytes.IndexByte(content, '\n'); i > 0 && content[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// insertBlock replaces the block in content with b, or appends b if there is none.
func insertBlock(content []byte, b Block) ([]byte, error) {
	l, err := parseLayout(content)
	if err != nil {
		return nil, err
	}
	before, after, newline := content, []byte(nil), ""
	if l.has {
		before, after = content[:l.begin], content[l.end:]
	} else if text := bytes.TrimPrefix(content, bom); len(text) > 0 && text[len(text)-1] != '\n' {
		newline, l.ownNewline = l.eol, true
	}
	text := b.begin() + "\n"
	if l.ownNewline {
		text += addedNewline + "\n"
	}
	text += b.text + endMarker + "\n"
	if l.has && content[l.end-1] != '\n' {
		text = strings.TrimSuffix(text, "\n") // an editor removed the last newline, which does not change the block
	}
	return slices.Concat(before, []byte(newline+strings.ReplaceAll(text, "\n", l.eol)), after), nil
}

// removeBlock removes the block from content, and the newline that silo added with
// it unless text follows the block.
func removeBlock(content []byte) (rest []byte, had bool, err error) {
	l, err := parseLayout(content)
	if err != nil || !l.has {
		return content, false, err
	}
	before, after := content[:l.begin], content[l.end:]
	if l.ownNewline && len(after) == 0 {
		before = bytes.TrimSuffix(before, []byte(l.eol))
	}
	return slices.Concat(before, after), true, nil
}

// ParseBlock parses the result of Block.Marked.
func ParseBlock(marked string) (Block, error) {
	l, err := parseLayout([]byte(marked))
	if err == nil && !l.has {
		err = fmt.Errorf("%w: no block found", ErrMarkers)
	}
	if err != nil {
		return Block{}, fmt.Errorf("read region config: %w", err)
	}
	return l.block, nil
}

// Override is an assignment after the block that replaces a setting of the block.
type Override struct {
	Line int // in the file, from 1
	Name string
}

// Text returns a warning about the override in the file at path.
func (o Override) Text(path string) string {
	return fmt.Sprintf("%s:%d: %s is assigned again after silo's region config and overrides it", path, o.Line, o.Name)
}

var (
	blockAssignment = regexp.MustCompile(`(?m)^[ \t]*([A-Z][A-Z0-9_]*)[ \t]*=[^=]`)
	fileAssignment  = regexp.MustCompile(`^([A-Z][A-Z0-9_]*)[ \t]*(?::[^=]*)?=[^=]`)
)

// overrides finds the assignments after the block at the top level of the file.
func (l layout) overrides(content []byte) []Override {
	if !l.has {
		return nil
	}
	var assigned []string
	for _, m := range blockAssignment.FindAllStringSubmatch(l.block.text, -1) {
		assigned = append(assigned, m[1])
	}
	var found []Override
	number := l.endLine
	for line := range bytes.Lines(content[l.end:]) {
		number++
		if m := fileAssignment.FindSubmatch(line); m != nil && slices.Contains(assigned, string(m[1])) {
			found = append(found, Override{Line: number, Name: string(m[1])})
		}
	}
	return found
}
