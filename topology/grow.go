package topology

import (
	"bytes"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// grower turns the expressions of one file into a tree.
type grower struct {
	src     *source
	root    *node
	current *node // the table of the last header
	found   *findings
}

// grow reads a file as TOML. It reports the first syntax error and every key or
// table that is there twice, and says whether the syntax was right.
func grow(src *source, found *findings) (*node, bool) {
	g := &grower{src: src, found: found, root: &node{src: src}}
	g.current = g.root
	var parser unstable.Parser
	parser.Reset(src.data)
	for parser.NextExpression() {
		switch e := parser.Expression(); e.Kind {
		case unstable.Table:
			g.current = g.header(e)
		case unstable.ArrayTable:
			g.current = g.doubledHeader(e)
		default:
			g.keyValue(g.current, e)
		}
	}
	if err := parser.Error(); err != nil {
		g.syntaxError(err)
		return g.root, false
	}
	return g.root, true
}

func (g *grower) syntaxError(err error) {
	text, offset := err.Error(), 0
	if parserError, ok := errors.AsType[*unstable.ParserError](err); ok {
		// A highlight is a slice of the data, so that the capacities tell its offset
		// (unstable.Parser.Range).
		offset = min(max(cap(g.src.data)-cap(parserError.Highlight), 0), len(g.src.data))
		offset = runeStart(g.src.data, offset)
	}
	hint := ""
	switch {
	case bytes.HasPrefix(g.src.data, []byte{0xFF, 0xFE}), bytes.HasPrefix(g.src.data, []byte{0xFE, 0xFF}):
		hint = "save the file as UTF-8"
	case offset < len(g.src.data) && strings.IndexByte("\r\n", g.src.data[offset]) >= 0 && strings.Contains(text, "at start of value"):
		text = "expected a value, but the line ends"
	case strings.Contains(text, "at start of value") && isBare(g.src.data[offset:]), strings.Contains(text, "expected keyword"), strings.Contains(text, "must be quoted"):
		hint = "put strings in quotes"
	case strings.Contains(text, "cannot have new lines"), strings.Contains(text, "unterminated"):
		hint = "close the string on its own line"
	}
	g.found.add(place{g.src, offset}, "toml", text, hint)
}

// runeStart gives the first byte of the character that a byte belongs to: the
// parser reports what is wrong at the very end on its last byte.
func runeStart(data []byte, offset int) int {
	for start := offset - 1; start >= 0 && start > offset-utf8.UTFMax; start-- {
		if _, size := utf8.DecodeRune(data[start:]); size > offset-start {
			return start
		}
	}
	return offset
}

// isBare tells whether a text begins as a string might that lacks its quotes.
func isBare(text []byte) bool {
	r, _ := utf8.DecodeRune(text)
	return unicode.IsLetter(r) || strings.ContainsRune("/~.$", r)
}

// tooDeep bounds how far keys nest, well beyond what the file has use for, so
// that no file can exhaust a stack.
const tooDeep = 64

// key splits the parts of a key into those that are passed and the last one.
func key(e *unstable.Node) (passed []*unstable.Node, last *unstable.Node) {
	for it := e.Key(); it.Next(); {
		if last != nil {
			passed = append(passed, last)
		}
		last = it.Node()
	}
	return passed, last
}

// newNode makes a node that knows its place in the tree but is not yet in it.
func (g *grower) newNode(parent *node, part *unstable.Node, how made) *node {
	offset := int(part.Raw.Offset)
	return &node{
		src: g.src, parent: parent, depth: parent.depth + 1, made: how,
		name: string(part.Data), key: offset, at: offset,
	}
}

// pass walks from a table along the parts of a key that are not its last,
// making the tables that are not there yet. nil: that way is shut, and reported.
func (g *grower) pass(from *node, parts []*unstable.Node, last *unstable.Node, header bool) *node {
	if from.depth+len(parts) > tooDeep {
		g.found.add(place{g.src, int(last.Raw.Offset)}, "toml", "keys are nested too deeply", "")
		return nil
	}
	for _, part := range parts {
		next := from.child(string(part.Data))
		switch {
		case next == nil:
			how := byDot
			if header {
				how = byPassing
			}
			next = g.newNode(from, part, how)
			from.set(next.name, next)
		case header && next.made == byDoubled && len(next.items) > 0:
			next = next.items[len(next.items)-1]
		case next.kind != isTable, next.made == byBraces, !header && next.made != byDot:
			at := place{g.src, int(part.Raw.Offset)}
			g.found.add(at, next.path(), "is set on "+next.keyPlace().seenFrom(at)+" and cannot be added to", "move this to where it is set")
			return nil
		}
		from = next
	}
	return from
}

// header opens the table of [a.b].
func (g *grower) header(e *unstable.Node) *node {
	passed, last := key(e)
	parent := g.pass(g.root, passed, last, true)
	if parent == nil {
		return &node{src: g.src} // what follows has nowhere to go
	}
	fresh := g.newNode(parent, last, byHeader)
	old := parent.child(fresh.name)
	switch {
	case old == nil:
		parent.set(fresh.name, fresh)
		return fresh
	case old.kind == isTable && old.made == byPassing:
		old.made, old.key, old.at = byHeader, fresh.key, fresh.at
		return old
	}
	g.twice(fresh, old)
	if old.kind == isTable {
		fresh.twin = true
		old.twins = append(old.twins, fresh)
	}
	return fresh
}

// doubledHeader opens the next table of [[a.b]].
func (g *grower) doubledHeader(e *unstable.Node) *node {
	passed, last := key(e)
	parent := g.pass(g.root, passed, last, true)
	if parent == nil {
		return &node{src: g.src}
	}
	array := parent.child(string(last.Data))
	if array == nil {
		array = g.newNode(parent, last, byDoubled)
		array.kind = isArray
		parent.set(array.name, array)
	} else if array.made != byDoubled {
		g.twice(g.newNode(parent, last, byDoubled), array)
		return &node{src: g.src}
	}
	item := g.newNode(array, last, byHeader)
	item.name, item.index = "", len(array.items)
	array.items = append(array.items, item)
	return item
}

func (g *grower) twice(again, first *node) {
	at := again.keyPlace()
	g.found.add(at, first.path(), "is there twice; the first is on "+first.keyPlace().seenFrom(at), "keep one of them, or rename one")
}

// keyValue puts a key with its value into a table, and returns the offset
// behind it.
func (g *grower) keyValue(table *node, e *unstable.Node) int {
	passed, last := key(e)
	end := int(e.Raw.Offset + e.Raw.Length)
	parent := g.pass(table, passed, last, false)
	if parent == nil {
		return end
	}
	fresh := g.newNode(parent, last, byBraces)
	from := g.skip(int(last.Raw.Offset + last.Raw.Length))
	g.value(fresh, e.Value(), g.skip(from+len("=")))
	if old := parent.child(fresh.name); old != nil {
		g.twice(fresh, old)
		return end
	}
	parent.set(fresh.name, fresh)
	return end
}

// value fills a node from an AST value that begins at offset from, and returns
// the offset behind it. The AST tells where scalars are, but not where arrays
// begin, nor where arrays and inline tables end.
func (g *grower) value(n *node, v *unstable.Node, from int) int {
	n.at = from
	switch v.Kind {
	case unstable.Array:
		n.kind = isArray
		from++
		for it := v.Children(); it.Next(); {
			item := &node{src: g.src, parent: n, depth: n.depth + 1, index: len(n.items), made: byBraces}
			n.items = append(n.items, item)
			item.key = g.skip(from)
			from = g.value(item, it.Node(), item.key)
		}
		return g.skip(from) + len("]")
	case unstable.InlineTable:
		n.kind = isTable
		from++
		for it := v.Children(); it.Next(); {
			from = g.keyValue(n, it.Node())
		}
		return g.skip(from) + len("}")
	case unstable.String:
		n.kind = isString
	case unstable.Integer:
		n.kind = isInteger
	case unstable.Float:
		n.kind = isFloat
	case unstable.Bool:
		n.kind = isBoolean
	default:
		n.kind = isTime
	}
	n.text = string(v.Data)
	return int(v.Raw.Offset + v.Raw.Length)
}

// skip passes over what may stand between two values, in text that is known to
// be well formed.
func (g *grower) skip(offset int) int {
	for offset < len(g.src.data) {
		switch g.src.data[offset] {
		case ' ', '\t', '\r', '\n', ',':
			offset++
		case '#':
			for offset < len(g.src.data) && g.src.data[offset] != '\n' {
				offset++
			}
		default:
			return offset
		}
	}
	return offset
}
