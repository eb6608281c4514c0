package topology

import (
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// written is where a value is written, and how.
type written struct {
	key place  // of its own part of the key; of the first table of an array of tables
	at  place  // of the value; of the key if a header or a dotted key made the table
	raw string // a number as written
}

// positions maps the path of each value in a file to where it is written.
// go-toml's decoder gives positions only for its own errors.
type positions map[string]written

// maxDepth bounds how deep keys and arrays nest, so that no file can exhaust a
// stack. The format itself needs 4.
const maxDepth = 64

// indexer finds the positions of one file.
type indexer struct {
	src         *source
	positions   positions
	expressions map[int]string // paths by the offset of the key as written
	tables      map[string]int // how many tables an array of tables has so far
	tooDeep     *place
}

// indexFile indexes a file. It reports the first syntax error, and returns nil if
// there is one.
func indexFile(src *source, found *findings) *indexer {
	start := place{src, 0}
	x := &indexer{
		src: src, positions: positions{"": {key: start, at: start}},
		expressions: map[int]string{}, tables: map[string]int{},
	}
	var parser unstable.Parser
	parser.Reset(src.data)
	table, depth := "", 0
	for parser.NextExpression() && x.tooDeep == nil {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table:
			table, depth, _ = x.key("", 0, e)
		case unstable.ArrayTable:
			var last place
			table, depth, last = x.key("", 0, e)
			x.tables[table]++
			table = element(table, x.tables[table]-1)
			x.positions[table] = written{key: last, at: last}
		default:
			x.keyValue(table, depth, e)
		}
	}
	if x.tooDeep != nil {
		found.add(*x.tooDeep, "toml", "keys are nested too deeply", "")
		return nil
	}
	if err := parser.Error(); err != nil {
		src.syntaxError(err, found)
		return nil
	}
	return x
}

// key records the tables that a key passes and the key itself.
func (x *indexer) key(table string, depth int, e *unstable.Node) (path string, deeper int, last place) {
	path = table
	for it := e.Key(); it.Next() && x.tooDeep == nil; {
		part := it.Node()
		if count := x.tables[path]; count > 0 {
			path = element(path, count-1)
		}
		path = dotted(path, string(part.Data))
		last = place{x.src, int(part.Raw.Offset)}
		if _, known := x.positions[path]; !known || it.IsLast() && e.Kind != unstable.ArrayTable {
			x.positions[path] = written{key: last, at: last}
		}
		if depth++; depth > maxDepth {
			x.tooDeep = &last
		}
	}
	start := e.Key()
	if start.Next() {
		x.expressions[int(start.Node().Raw.Offset)] = path
	}
	return path, depth, last
}

// keyValue records a key and its value, and returns the offset behind it.
func (x *indexer) keyValue(table string, depth int, e *unstable.Node) int {
	path, depth, key := x.key(table, depth, e)
	end := key.offset
	for it := e.Key(); it.Next(); {
		end = int(it.Node().Raw.Offset + it.Node().Raw.Length)
	}
	return x.value(path, key, depth, e.Value(), end)
}

// filler is what may stand between two values. The parser gives no offsets for
// the brackets of arrays nor for the ends of inline tables.
var filler = regexp.MustCompile(`^(?:[ \t\r\n,=]|#[^\n]*)*`)

func (x *indexer) skip(offset int) int {
	return offset + len(filler.Find(x.src.data[offset:]))
}

// value records a value that begins at or behind from, and those within it. It
// returns the offset behind the value.
func (x *indexer) value(path string, key place, depth int, v *unstable.Node, from int) (end int) {
	at := place{x.src, x.skip(from)}
	x.positions[path] = written{key: key, at: at, raw: string(v.Data)}
	if depth > maxDepth {
		x.tooDeep = &at
	}
	if x.tooDeep != nil {
		return from
	}
	end = at.offset + len("[")
	switch v.Kind {
	case unstable.Array:
		i := 0
		for it := v.Children(); it.Next(); i++ {
			end = x.value(element(path, i), at, depth+1, it.Node(), end)
		}
	case unstable.InlineTable:
		for it := v.Children(); it.Next(); {
			end = x.keyValue(path, depth, it.Node())
		}
	default:
		return int(v.Raw.Offset + v.Raw.Length)
	}
	return x.skip(end) + len("]")
}

func (s *source) syntaxError(err error, found *findings) {
	text, offset := err.Error(), 0
	if parserError, ok := errors.AsType[*unstable.ParserError](err); ok {
		// A highlight is a slice of the data, so its capacity gives its offset
		// (unstable.Parser.Range).
		offset = min(max(cap(s.data)-cap(parserError.Highlight), 0), len(s.data))
		for offset > 0 && offset < len(s.data) && !utf8.RuneStart(s.data[offset]) {
			offset-- // at the end of a file the parser reports the last byte
		}
	}
	if offset < len(s.data) && strings.IndexByte("\r\n", s.data[offset]) >= 0 && strings.Contains(text, "at start of value") {
		text = "expected a value, but the line ends"
	}
	found.add(place{s, offset}, "toml", text, s.syntaxHint(text, offset))
}
