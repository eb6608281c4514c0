package topology

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// written is the position of a value in the file, and its spelling.
type written struct {
	key place  // of the last part of the key; of the first table of an array of tables
	at  place  // of the value; of the key if a header or a dotted key made the table
	raw string // spelling of a number
}

// maxKey bounds the length of a dotted key, in bytes, and thereby how deeply a file can be
// nested.
const maxKey = 1024

// indexer finds the positions of the values of one file. go-toml's decoder gives
// positions only with its own errors.
type indexer struct {
	src         *source
	positions   map[string]written // by the path of the value
	expressions map[int]string     // paths, by the offset of the key as written
	tooLong     *place             // a key that is longer than maxKey
}

// indexFile indexes a file up to its first syntax error.
func indexFile(src *source) *indexer {
	start := place{src, 0}
	x := &indexer{src: src, positions: map[string]written{"": {key: start, at: start}}, expressions: map[int]string{}}
	var parser unstable.Parser
	parser.Reset(src.data)
	table := ""
	for parser.NextExpression() && x.tooLong == nil {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table:
			table, _ = x.key("", e)
		case unstable.ArrayTable:
			table, _ = x.key("", e)
			table += "[]" // arrays of tables are never valid, so the keys within them are not indexed
		default:
			x.keyValue(table, e)
		}
	}
	return x
}

// key records a key and the tables on its path. It returns the path of the key and the
// end of its last part.
func (x *indexer) key(path string, e *unstable.Node) (string, written) {
	start := -1
	var last written
	for it := e.Key(); it.Next() && x.tooLong == nil; {
		part := it.Node()
		path = dotted(path, string(part.Data))
		at := place{x.src, int(part.Raw.Offset)}
		if start < 0 {
			start = at.offset
		}
		last = written{key: at, at: at}
		if _, known := x.positions[path]; !known || it.IsLast() && e.Kind != unstable.ArrayTable {
			x.positions[path] = last
		}
		if len(path) > maxKey {
			x.tooLong = &at
		}
		last.at.offset += int(part.Raw.Length)
	}
	x.expressions[start] = path
	return path, last
}

func (x *indexer) keyValue(table string, e *unstable.Node) {
	path, w := x.key(table, e)
	rest := x.src.data[w.at.offset:]
	w.at.offset += len(rest) - len(bytes.TrimLeft(rest, " \t="))
	x.value(path, w, e.Value())
}

// value records a value and those within it. The parser gives no offsets for
// arrays: an array within an array has the position of the outer one.
func (x *indexer) value(path string, w written, v *unstable.Node) {
	if v.Kind != unstable.Array {
		w.at.offset = int(v.Raw.Offset)
	}
	w.raw = string(v.Data)
	x.positions[path] = w
	if len(path) > maxKey {
		x.tooLong = &w.at
	}
	i := 0
	for it := v.Children(); it.Next() && x.tooLong == nil; i++ {
		if v.Kind == unstable.Array {
			x.value(element(path, i), w, it.Node())
		} else {
			x.keyValue(path, it.Node())
		}
	}
}
