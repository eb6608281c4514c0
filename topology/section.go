package topology

import (
	"strconv"
	"time"
)

// layer is a table as it was written (nil where it was not) with what the table
// of keys says of it.
type layer struct {
	fields []field
	node   *node
}

// section is a table as it counts: layers, of which the nearest that has a key
// decides, and the defaults below them. Values that are bad do not count.
type section []layer

func (s section) get(name string) *node {
	for _, l := range s {
		if n := l.node.child(name); n != nil && !n.bad {
			return n
		}
	}
	return nil
}

// own is a section of its nearest layer alone.
func (s section) own() section { return s[:1] }

func (s section) field(name string) *field {
	var found *field
	for _, l := range s {
		for i := range l.fields {
			f := &l.fields[i]
			if f.name == name && (found == nil || found.preset == nil) {
				found = f
			}
		}
	}
	return found
}

func (s section) preset(name string) any {
	if f := s.field(name); f != nil {
		return f.preset
	}
	return nil
}

// text is a string, "" where there is neither a value nor a default.
func (s section) text(name string) string {
	if n := s.get(name); n != nil && n.kind == isString {
		return n.text
	}
	text, _ := s.preset(name).(string)
	return text
}

func (s section) integer(name string) int {
	if n := s.get(name); n != nil && n.kind == isInteger {
		number, _ := strconv.ParseInt(n.text, 0, 0) // checked before
		return int(number)
	}
	number, _ := s.preset(name).(int)
	return number
}

func (s section) boolean(name string) bool {
	if n := s.get(name); n != nil && n.kind == isBoolean {
		return n.text == "true"
	}
	is, _ := s.preset(name).(bool)
	return is
}

func (s section) duration(name string) time.Duration {
	length, _ := time.ParseDuration(s.text(name)) // checked before
	return length
}

func (s section) bytes(name string) int64 {
	if n := s.get(name); n != nil && n.kind == isInteger {
		number, _ := strconv.ParseInt(n.text, 0, 64) // checked before
		return number
	}
	bytes, _ := size(s.text(name)) // checked before
	return bytes
}

func (s section) list(name string) []string {
	n := s.get(name)
	if n == nil {
		list, _ := s.preset(name).([]string)
		return list
	}
	list := make([]string, len(n.items))
	for i, item := range n.items {
		list[i] = item.text
	}
	return list
}

// strings are the entries of a table of strings; never nil.
func (s section) strings(name string) map[string]string {
	entries := map[string]string{}
	if n := s.get(name); n != nil {
		for key, child := range n.children {
			if !child.bad {
				entries[key] = child.text
			}
		}
	}
	return entries
}

// table is a table within the section, key by key out of all layers. off: the
// nearest layer that has it has false in its place; a false hides those below.
func (s section) table(name string) (within section, off bool) {
	f := s.field(name)
	for _, l := range s {
		n := l.node.child(name)
		if n == nil || n.bad {
			continue
		}
		if n.kind != isTable {
			off = len(within) == 0
			break
		}
		within = append(within, layer{f.fields, n})
	}
	return append(within, layer{f.fields, nil}), off
}
