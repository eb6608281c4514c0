package sentry

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
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
	// addedNewline stands inside the block where the file's last line had no
	// newline before, and so tells what to take out again.
	addedNewline = "# (the newline before this block is silo's, too)"
)

var (
	bom       = []byte("\xef\xbb\xbf")
	beginLine = regexp.MustCompile(`^` + regexp.QuoteMeta(beginMarker) + `("(?:[^"\\]|\\.)*") \((.*)\)` + regexp.QuoteMeta(beginRest) + `$`)
)

// layout is where a file's block lies, if it has one.
type layout struct {
	has        bool
	begin, end int // the block's bytes, marker lines included
	instance   string
	file       string
	text       string // between the markers, lines ended by a line feed, without the note
	noted      bool   // the block says that the newline before it is silo's
	eol        string // how the block's lines end, or would
}

// lay finds the block in a file. The error wraps ErrMarkers.
func lay(content []byte) (layout, error) {
	found := layout{eol: lineEnd(content)}
	open, text := 0, strings.Builder{}
	for number, at := 1, 0; at < len(content); number++ {
		size := bytes.IndexByte(content[at:], '\n') + 1
		if size == 0 {
			size = len(content) - at
		}
		raw := content[at : at+size]
		if at == 0 && bytes.HasPrefix(raw, bom) {
			at, size, raw = len(bom), size-len(bom), raw[len(bom):]
		}
		line := strings.TrimRight(string(raw), "\r\n \t")
		switch kind := markerKind(line); {
		case kind == "" && open > 0 && line == addedNewline && text.Len() == 0:
			found.noted = true
		case kind == "" && open > 0:
			text.WriteString(strings.TrimRight(string(raw), "\r\n") + "\n")
		case kind == "":
		case kind == "damaged":
			return layout{}, markerError(number, "is a damaged marker")
		case kind == "begin" && open > 0:
			return layout{}, markerError(number, "begins a block inside the one of line %d", open)
		case kind == "begin" && found.has:
			return layout{}, markerError(number, "begins a second block")
		case kind == "begin":
			open, found.begin, found.eol = number, at, lineEnd(raw)
			if err := found.name(line); err != nil {
				return layout{}, markerError(number, "is a damaged marker")
			}
		case open == 0:
			return layout{}, markerError(number, "ends a block that never began")
		default:
			open, found.has, found.end, found.text = 0, true, at+size, text.String()
		}
		at += size
	}
	if open > 0 {
		return layout{}, markerError(open, "begins a block that never ends")
	}
	return found, nil
}

func markerError(line int, format string, args ...any) error {
	return fmt.Errorf("%w: line %d %s", ErrMarkers, line, fmt.Sprintf(format, args...))
}

// markerKind tells marker lines from others. A line that only looks like one is
// damaged: what somebody did to it is not silo's to guess.
func markerKind(line string) string {
	switch {
	case beginLine.MatchString(line):
		return "begin"
	case line == endMarker:
		return "end"
	case strings.HasPrefix(strings.TrimLeft(line, " \t"), "# >>> silo"), strings.HasPrefix(strings.TrimLeft(line, " \t"), "# <<< silo"):
		return "damaged"
	}
	return ""
}

// name reads the instance and the file out of a begin line.
func (l *layout) name(line string) (err error) {
	m := beginLine.FindStringSubmatch(line)
	if l.instance, err = strconv.Unquote(m[1]); err != nil {
		return err
	}
	l.file, err = strconv.Unquote(`"` + m[2] + `"`)
	return err
}

// lineEnd is how the first line of content ends, a line feed if none does.
func lineEnd(content []byte) string {
	if i := bytes.IndexByte(content, '\n'); i > 0 && content[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// place puts b into content: over the block that is there, else at the end.
func place(content []byte, b Block) ([]byte, error) {
	found, err := lay(content)
	if err != nil {
		return nil, err
	}
	before, after, lead := content, []byte(nil), ""
	if found.has {
		before, after = content[:found.begin], content[found.end:]
	} else if bare := bytes.TrimPrefix(content, bom); len(bare) > 0 && bare[len(bare)-1] != '\n' {
		lead, found.noted = found.eol, true
	}
	text := b.begin() + "\n"
	if found.noted {
		text += addedNewline + "\n"
	}
	text += b.text + endMarker + "\n"
	if found.has && content[found.end-1] != '\n' {
		text = strings.TrimSuffix(text, "\n") // an editor took the last newline: that is no change of ours
	}
	return bytes.Join([][]byte{before, []byte(lead + strings.ReplaceAll(text, "\n", found.eol)), after}, nil), nil
}

// take removes the block from content, and the newline that came with it unless
// somebody has written on behind the block.
func take(content []byte) (rest []byte, had bool, err error) {
	found, err := lay(content)
	if err != nil || !found.has {
		return content, false, err
	}
	before, after := content[:found.begin], content[found.end:]
	if found.noted && len(after) == 0 {
		before = bytes.TrimSuffix(before, []byte(found.eol))
	}
	return bytes.Join([][]byte{before, after}, nil), true, nil
}

// ParseBlock reads what Block.Marked wrote.
func ParseBlock(marked string) (Block, error) {
	found, err := lay([]byte(marked))
	if err != nil {
		return Block{}, fmt.Errorf("read region config: %w", err)
	}
	if !found.has {
		return Block{}, fmt.Errorf("read region config: %w: there are none", ErrMarkers)
	}
	return Block{Instance: found.instance, file: found.file, text: found.text}, nil
}
