package topology

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
)

// node is one value of the topology and where it is written. A nil node stands
// for a value that is not written.
type node struct {
	value   any // string, int64, float64, bool, a date or time, []*node or map[string]*node
	path    string
	invalid bool // a problem was reported: the value is not used
	written
}

// decode parses one file. It reports the first TOML error and returns nil then.
func decode(src *source, found *findings) *node {
	if len(src.data) > maxSize {
		found.add(place{src, 0}, "toml", fmt.Sprintf("is larger than %d MiB", maxSize>>20), "")
		return nil
	}
	index := indexFile(src, found)
	if index == nil {
		return nil
	}
	values := map[string]any{}
	if err := toml.Unmarshal(src.data, &values); err != nil {
		index.reject(err, found)
		return nil
	}
	return index.positions.node(values, "")
}

// reject reports an error that only decoding finds, such as a duplicate key.
func (x *indexer) reject(err error, found *findings) {
	at, hint := place{x.src, 0}, ""
	if decodeError, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := decodeError.Position()
		at.offset = min(x.src.lines[line-1]+column-1, len(x.src.data))
	}
	path, isKey := x.expressions[at.offset]
	if isKey {
		hint = "define each key and each table only once"
	}
	found.add(at, cmp.Or(path, "toml"), strings.TrimPrefix(err.Error(), "toml: "), hint)
}

// node attaches positions to a decoded value.
func (p positions) node(value any, path string) *node {
	n := &node{value: value, path: path, written: p[path]}
	switch value := value.(type) {
	case map[string]any:
		table := make(map[string]*node, len(value))
		for name, child := range value {
			table[name] = p.node(child, dotted(path, name))
		}
		n.value = table
	case []any:
		items := make([]*node, len(value))
		for i, item := range value {
			items[i] = p.node(item, element(path, i))
		}
		n.value = items
	}
	return n
}

// overlay returns a table with the valid values of over on top of those of base:
// tables are merged by key, other values are replaced.
func overlay(base, over *node) *node {
	merged := &node{path: base.path, written: base.written, value: maps.Clone(base.table())}
	for name, child := range over.table() {
		switch under := base.child(name); {
		case child.invalid:
		case under.isTable() && child.isTable():
			merged.table()[name] = overlay(under, child)
		default:
			merged.table()[name] = child
		}
	}
	return merged
}

func (n *node) isTable() bool {
	return n != nil && n.table() != nil
}

func (n *node) table() map[string]*node {
	if n == nil {
		return nil
	}
	table, _ := n.value.(map[string]*node)
	return table
}

// names are the keys of a table, sorted.
func (n *node) names() []string { return slices.Sorted(maps.Keys(n.table())) }

// child is a value of a table, valid or not.
func (n *node) child(name string) *node { return n.table()[name] }

// get is a valid value of a table.
func (n *node) get(name string) *node {
	if child := n.child(name); child != nil && !child.invalid {
		return child
	}
	return nil
}

func (n *node) items() []*node {
	if n == nil {
		return nil
	}
	items, _ := n.value.([]*node)
	return items
}

// text is a string value, "" for any other.
func (n *node) text() string {
	if n == nil {
		return ""
	}
	text, _ := n.value.(string)
	return text
}

// isEmpty reports whether the value is an empty string or an empty array.
func (n *node) isEmpty() bool { return n.text() == "" && len(n.items()) == 0 }

func (n *node) string(name string) string { return n.get(name).text() }

func (n *node) integer(name string) int {
	if child := n.get(name); child != nil {
		number, _ := child.value.(int64)
		return int(number)
	}
	return 0
}

func (n *node) boolean(name string) bool {
	child := n.get(name)
	return child != nil && child.value == true
}

func (n *node) list(name string) []string {
	list := []string{}
	for _, item := range n.get(name).items() {
		list = append(list, item.text())
	}
	return list
}

// stringMap is a table of strings; never nil.
func (n *node) stringMap(name string) map[string]string {
	entries := map[string]string{}
	for key, child := range n.get(name).table() {
		if !child.invalid {
			entries[key] = child.text()
		}
	}
	return entries
}

// describe names the type of the value.
func (n *node) describe() string {
	switch value := n.value.(type) {
	case map[string]*node:
		return "a table"
	case []*node:
		if len(value) > 0 && value[0].isTable() {
			return "an array of tables"
		}
		return "an array"
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return strconv.FormatBool(value)
	default:
		return "a date or time"
	}
}

func dotted(path, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isBareKey(r) }) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// isBareKey reports whether a key needs no quotes for this character.
func isBareKey(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// syntaxHint is the fix for a syntax error at offset, as far as it is known.
func (s *source) syntaxHint(text string, offset int) string {
	switch {
	case bytes.HasPrefix(s.data, []byte{0xFF, 0xFE}), bytes.HasPrefix(s.data, []byte{0xFE, 0xFF}):
		return "save the file as UTF-8"
	case strings.Contains(text, "at start of value") && looksUnquoted(s.data[offset:]),
		strings.Contains(text, "expected keyword"), strings.Contains(text, "must be quoted"):
		return "put strings in quotes"
	case strings.Contains(text, "cannot have new lines"), strings.Contains(text, "unterminated"):
		return "close the string on its own line"
	}
	return ""
}

// looksUnquoted reports whether a text begins like a string without its quotes.
func looksUnquoted(text []byte) bool {
	r := bytes.Runes(text[:min(len(text), 4)])
	return len(r) > 0 && (unicode.IsLetter(r[0]) || strings.ContainsRune("/~.$", r[0]))
}
