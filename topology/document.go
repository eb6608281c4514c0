package topology

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// node is one value of the topology with its position. A nil node is an absent value.
type node struct {
	value   any // string, int64, float64, bool, a date or time, []*node or map[string]*node
	path    string
	invalid bool // a problem was reported: the value is not used
	written
}

// decode parses one file. It reports every repeated definition, or else the first TOML
// error, and then returns nil.
func decode(src *source, found *findings) *node {
	if len(src.data) > maxSize {
		found.add(place{src, 0}, "toml", fmt.Sprintf("is larger than %d MiB", maxSize>>20), "")
		return nil
	}
	x := indexFile(src)
	if x.tooLong != nil {
		found.add(*x.tooLong, "toml", "the key is too long", "")
		return nil
	}
	data := bytes.Clone(src.data)
	for range maxRepeats {
		values := map[string]any{}
		err := toml.Unmarshal(data, &values)
		if err == nil {
			return x.node(values, "", written{})
		}
		repeated, ok := x.reject(err, found)
		if !ok {
			return nil
		}
		blank(data, repeated)
	}
	return nil
}

// maxRepeats bounds the repeated definitions that are reported.
const maxRepeats = 50

// definition matches a table with its keys, or a single line.
var definition = regexp.MustCompile(`^[ \t]*\[.*(?:\n(?:[^\[\n].*)?)*|^.*`)

// blank overwrites the definition that contains offset with spaces.
func blank(data []byte, offset int) {
	data = data[bytes.LastIndexByte(data[:offset], '\n')+1:]
	for i, c := range data[:len(definition.Find(data))] {
		if c != '\n' {
			data[i] = ' '
		}
	}
}

// reject reports a TOML error. If the error is a repeated definition, reject returns its
// offset.
func (x *indexer) reject(err error, found *findings) (repeated int, ok bool) {
	at := place{x.src, 0}
	if decodeError, ok := errors.AsType[*toml.DecodeError](err); ok {
		at = x.src.place(decodeError.Position())
	}
	text, hint := strings.TrimPrefix(err.Error(), "toml: "), ""
	path, isKey := x.expressions[at.offset]
	rest := x.src.data[at.offset:]
	switch {
	case isKey && strings.Contains(text, "already"):
		hint = "define each key and each table only once"
	case bytes.HasPrefix(rest, []byte{0xFF, 0xFE}), bytes.HasPrefix(rest, []byte{0xFE, 0xFF}):
		hint = "save the file as UTF-8"
	case strings.Contains(text, "at start of value") && bytes.IndexAny(rest, "\r\n") == 0:
		text = "expected a value, but the line ends"
	case strings.Contains(text, "at start of value") && unquoted.Match(rest),
		strings.Contains(text, "expected keyword"), strings.Contains(text, "must be quoted"):
		hint = "put strings in quotes"
	case strings.Contains(text, "cannot have new lines"), strings.Contains(text, "unterminated"):
		hint = "close the string on its own line"
	}
	found.add(at, cmp.Or(path, "toml"), text, hint)
	return at.offset, isKey && strings.Contains(text, "already")
}

// unquoted matches the beginning of a string without quotes.
var unquoted = regexp.MustCompile(`^[\pL/~.$]`)

// node attaches positions to a decoded value. A value without a position, such as an
// array within an array, gets that of the enclosing value.
func (x *indexer) node(value any, path string, around written) *node {
	if own, known := x.positions[path]; known {
		around = own
	}
	n := &node{value: value, path: path, written: around}
	switch value := value.(type) {
	case map[string]any:
		table := make(map[string]*node, len(value))
		for name, child := range value {
			table[name] = x.node(child, dotted(path, name), around)
		}
		n.value = table
	case []any:
		items := make([]*node, len(value))
		for i, item := range value {
			items[i] = x.node(item, element(path, i), around)
		}
		n.value = items
	}
	return n
}

// overlay returns base overridden by the valid values of over: tables are merged by
// key, other values are replaced.
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

// as returns the value of a node, or the zero value if it has another type.
func as[T any](n *node) T {
	var zero T
	if n == nil {
		return zero
	}
	value, _ := n.value.(T)
	return value
}

func (n *node) table() map[string]*node { return as[map[string]*node](n) }

func (n *node) isTable() bool { return n.table() != nil }

// names returns the keys of a table, sorted.
func (n *node) names() []string { return slices.Sorted(maps.Keys(n.table())) }

// child returns a value of a table, valid or not.
func (n *node) child(name string) *node { return n.table()[name] }

// get returns a valid value of a table.
func (n *node) get(name string) *node {
	if child := n.child(name); child != nil && !child.invalid {
		return child
	}
	return nil
}

func (n *node) items() []*node { return as[[]*node](n) }

func (n *node) text() string { return as[string](n) }

func (n *node) string(name string) string { return n.get(name).text() }

func (n *node) integer(name string) int { return int(as[int64](n.get(name))) }

func (n *node) boolean(name string) bool { return as[bool](n.get(name)) }

func (n *node) list(name string) []string {
	list := []string{}
	for _, item := range n.get(name).items() {
		list = append(list, item.text())
	}
	return list
}

// stringMap returns a table of strings; never nil.
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

// bareKey matches keys that need no quotes.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func dotted(path, name string) string {
	if !bareKey.MatchString(name) {
		name = strconv.Quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }
