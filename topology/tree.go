package topology

import (
	"strconv"
	"strings"
)

// kind is what a TOML value is.
type kind int

const (
	isTable kind = iota
	isArray
	isString
	isInteger
	isFloat
	isBoolean
	isTime
)

// made is what brought a table about, which decides what may be added to it.
type made int

const (
	byHeader  made = iota // [a.b]
	byPassing             // a, of [a.b]; its own header may still follow
	byDot                 // a, of a.b = 1
	byBraces              // { … }
	byDoubled             // [[a]]: the array; its last table is the one that is added to
)

// node is one value of a file. Only offsets are kept: lines and columns are
// counted for what turns out to be wrong.
type node struct {
	kind   kind
	made   made
	src    *source
	parent *node
	name   string // its key, "" in an array
	index  int    // in an array
	depth  int    // below the root
	key    int    // offset of its own part of the key
	at     int    // offset of the value; of the key where a header made it

	text     string // of a string, decoded; of another scalar, as written
	items    []*node
	names    []string // of children, as they came
	children map[string]*node
	twins    []*node // tables with the same header again: looked into, but not used
	twin     bool
	bad      bool // a problem was found: not to be used
}

func (n *node) child(name string) *node {
	if n == nil {
		return nil
	}
	return n.children[name]
}

func (n *node) set(name string, child *node) {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	if _, known := n.children[name]; !known {
		n.names = append(n.names, name)
	}
	child.name, child.parent = name, n
	n.children[name] = child
}

func (n *node) keyPlace() place   { return place{n.src, n.key} }
func (n *node) valuePlace() place { return place{n.src, n.at} }

// path is the node's dotted key.
func (n *node) path() string {
	switch {
	case n.parent == nil:
		return ""
	case n.name == "" && n.parent.kind == isArray:
		return n.parent.path() + "[" + strconv.Itoa(n.index) + "]"
	}
	return dotted(n.parent.path(), n.name)
}

func dotted(path, name string) string {
	if name == "" || strings.ContainsFunc(name, func(r rune) bool { return !isKeyRune(r) }) {
		name = quote(name)
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// isKeyRune tells what a key may be made of that needs no quotes.
func isKeyRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// what says in words what the value is.
func (n *node) what() string {
	switch n.kind {
	case isArray:
		if n.made == byDoubled {
			return "an array of tables"
		}
		return "an array"
	case isString:
		return "a string"
	case isInteger:
		return "an integer"
	case isFloat:
		return "a float"
	case isBoolean:
		return n.text
	case isTime:
		return "a date or time"
	default:
		return "a table"
	}
}

// merge lays over on top of under: tables by key, all else replaced.
func merge(under, over *node) {
	for _, name := range over.names {
		child, old := over.children[name], under.children[name]
		if old != nil && old.kind == isTable && child.kind == isTable {
			merge(old, child)
			continue
		}
		under.set(name, child)
	}
	under.twins = append(under.twins, over.twins...)
}
