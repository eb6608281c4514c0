package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checker holds a tree against the table of keys: unknown keys, missing ones,
// types, ranges and formats; and it expands variables on the way. What it finds
// wanting it marks bad.
type checker struct {
	spec     *field
	root     *node
	env      func(string) (string, bool)
	found    *findings
	warnings *findings
}

// check checks one value, and those within it.
func (c *checker) check(f *field, n *node) {
	for _, twin := range n.twins {
		c.check(f, twin)
	}
	if n.kind == isBoolean && slices.Contains(f.or, any(n.text == "true")) {
		return
	}
	switch {
	case f.form == formTable && n.kind == isTable:
		c.table(f, n)
	case f.form == formTables && n.kind == isTable:
		c.tables(f, n)
	case f.form == formStrings && n.kind == isTable:
		c.strings(f, n)
	case f.form == formList && n.kind == isArray:
		c.list(f, n)
	case f.form == formText && n.kind == isString, f.form == formSize && n.kind == isString:
		c.text(f, n)
	case f.form == formInteger && n.kind == isInteger, f.form == formSize && n.kind == isInteger:
		c.integer(f, n)
	case f.form == formBoolean && n.kind == isBoolean:
	default:
		c.wrong(n, "must be "+f.what()+", not "+n.what(), f.retyped(n))
	}
}

// wrong reports a value that is wrong.
func (c *checker) wrong(n *node, text, hint string) {
	n.bad = true
	c.found.add(n.valuePlace(), n.path(), text, hint)
}

func (c *checker) table(f *field, n *node) {
	for _, name := range n.names {
		child := n.children[name]
		at := slices.IndexFunc(f.fields, func(known field) bool { return known.name == name })
		if at < 0 {
			child.bad = true
			c.found.add(child.keyPlace(), child.path(), "is not a known key", c.unknown(f, child))
			continue
		}
		c.check(&f.fields[at], child)
	}
	for _, known := range f.fields {
		if known.required && !n.twin && n.child(known.name) == nil {
			c.found.add(n.keyPlace(), dotted(n.path(), known.name), known.missing(), known.mend)
		}
	}
}

// unknown is the hint for a key that is not known.
func (c *checker) unknown(f *field, n *node) string {
	if n.parent == c.root && n.child("id") != nil && nearest(n.name, []string{"region"}) == "" {
		return "a region is written [" + dotted("region", n.name) + "]"
	}
	return meant(c.spec, f, n)
}

func (c *checker) tables(f *field, n *node) {
	if f.required && len(n.names) == 0 {
		c.found.add(n.keyPlace(), n.path(), f.missing(), f.mend)
	}
	each := field{name: f.name, form: formTable, fields: f.fields}
	for _, name := range n.names {
		child := n.children[name]
		if wrong := f.names(name); !wrong.none() {
			hint := wrong.hint
			if wrong.mend != "" {
				hint = "[" + dotted(f.name, wrong.mend) + "]"
			}
			c.found.add(child.keyPlace(), child.path(), wrong.text, hint)
		}
		if child.kind != isTable && slices.ContainsFunc(f.fields, func(known field) bool { return known.name == name }) {
			c.wrong(child, "must be a table, not "+child.what(), "name the "+f.name+": ["+f.name+".NAME]")
			continue
		}
		c.check(&each, child)
	}
}

func (c *checker) strings(f *field, n *node) {
	each := field{form: formText, secret: f.secret, blank: true, check: f.check}
	for _, name := range n.names {
		child := n.children[name]
		if wrong := f.names(name); !wrong.none() {
			c.found.add(child.keyPlace(), child.path(), wrong.text, "")
		}
		if owner := setBySilo(name); owner != "" {
			c.warnings.add(child.keyPlace(), child.path(), owner, "take it out")
		}
		c.check(&each, child)
	}
}

// setBySilo says why a variable is not the user's to set, or "".
func setBySilo(name string) string {
	switch {
	case slices.Contains([]string{
		"SENTRY_SILO_MODE", "SENTRY_REGION", "SENTRY_DEVSERVER_BIND", "SENTRY_CONF",
		"SILO_NAME", "SILO_INSTANCE", "SILO_RUN_ID",
	}, name), strings.HasPrefix(name, "SILO_URL_"):
		return "is set by silo itself; what is written here has no effect"
	case strings.HasPrefix(name, "SILO_"):
		return "names that begin with SILO_ are kept for silo itself"
	}
	return ""
}

func (c *checker) list(f *field, n *node) {
	each := field{form: formText, secret: f.secret, check: f.check, blank: f.check == nil}
	for _, item := range n.items {
		c.check(&each, item)
		n.bad = n.bad || item.bad
	}
	if n.bad || f.name != "command" {
		return
	}
	if len(n.items) == 0 || n.items[0].text == "" {
		c.wrong(n, "names no program", `command = ["sentry", "devserver"]`)
	}
}

func (c *checker) text(f *field, n *node) {
	expanded, faults := expandAll(n.text, f.template, c.env)
	for _, wrong := range faults {
		c.wrong(n, wrong.text, wrong.hint)
	}
	if n.bad {
		return
	}
	n.text = expanded
	if expanded == "" {
		if !f.blank {
			c.wrong(n, "must not be empty", "")
		}
		return
	}
	var wrong fault
	switch {
	case f.check != nil:
		wrong = f.check(expanded)
	case f.enum != nil && !slices.Contains(f.enum, expanded):
		wrong = fault{text: quote(expanded) + " is not " + f.words(), mend: nearest(expanded, f.enum)}
		if slices.Contains([]string{"true", "false"}, expanded) && len(f.or) > 0 {
			wrong.mend, wrong.hint = "", f.name+" = "+expanded
		}
	}
	if wrong.none() {
		return
	}
	hint := wrong.hint
	if wrong.mend != "" {
		hint = assign(f.name, strconv.Quote(wrong.mend))
	}
	c.wrong(n, wrong.text, hint)
}

// assign is the hint to write a value; in an array there is no key to write it to.
func assign(name, value string) string {
	if name == "" {
		return "write " + value
	}
	return dotted("", name) + " = " + value
}

func (c *checker) integer(f *field, n *node) {
	number, err := strconv.ParseInt(n.text, 0, 64)
	switch {
	case err != nil:
		c.wrong(n, "is too large a number", "")
	case f.form == formSize && number < int64(f.low):
		c.wrong(n, "must be "+strconv.Itoa(f.low)+" or more", "")
	case f.form == formSize:
	case f.low == f.high && number != int64(f.low):
		c.wrong(n, fmt.Sprintf("is %d; this silo knows only %d", number, f.low), assign(f.name, strconv.Itoa(f.low)))
	case number < int64(f.low), number > int64(f.high):
		c.wrong(n, fmt.Sprintf("%d is outside %d..%d", number, f.low, f.high), "")
	}
}

// what says in words what a key's value must be.
func (f *field) what() string {
	words := map[form]string{
		formTable: "a table", formTables: "tables, each with a name", formStrings: "a table of strings", formText: "a string",
		formList: "an array of strings", formInteger: "an integer", formBoolean: "true or false", formSize: "a size",
	}[f.form]
	switch {
	case len(f.or) == 1:
		return words + fmt.Sprintf(" or %v", f.or[0])
	case len(f.or) > 1:
		return f.words()
	}
	return words
}

// missing is what is wrong where a required key is not there.
func (f *field) missing() string {
	if f.form == formTables {
		return "there must be at least one [" + f.name + ".NAME]"
	}
	return "is missing"
}

// words lists what a key may be: "a, b or c".
func (f *field) words() string {
	all := slices.Clone(f.enum)
	for _, other := range f.or {
		all = append(all, fmt.Sprint(other))
	}
	last := len(all) - 1
	if last == 0 {
		return all[0]
	}
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// retyped is the hint for a value of the wrong type: the same in the right one,
// where that is clear and no secret.
func (f *field) retyped(n *node) string {
	scalar := n.kind == isInteger || n.kind == isFloat || n.kind == isBoolean
	switch {
	case f.secret && f.form == formText && scalar:
		return "put it in quotes"
	case f.secret && f.form == formList && n.kind == isString:
		return "put it in brackets: " + f.name + ` = ["…"]`
	case f.secret:
		return ""
	case f.form == formText && scalar && f.enum != nil && f.check == nil:
		// Who comes from YAML writes false for no and for off.
		for _, word := range f.enum {
			if n.text == "false" && (word == "no" || word == "off") {
				return assign(f.name, strconv.Quote(word))
			}
		}
	case f.form == formText && (n.kind == isInteger || n.kind == isFloat):
		return assign(f.name, f.quoted(n.text))
	case f.form == formInteger && n.kind == isString:
		if number, err := strconv.Atoi(strings.TrimSpace(n.text)); err == nil {
			return assign(f.name, strconv.Itoa(number))
		}
		return f.variable(n)
	case f.form == formBoolean && n.kind == isString && slices.Contains([]string{"true", "false"}, n.text):
		return assign(f.name, n.text)
	case f.form == formBoolean && n.kind == isString:
		return f.variable(n)
	case f.form == formList && n.kind == isString:
		words := strings.Fields(n.text)
		for i, word := range words {
			words[i] = strconv.Quote(word)
		}
		return assign(f.name, "["+strings.Join(words, ", ")+"]")
	case f.form == formTables && n.kind == isArray:
		return "write [" + f.name + ".NAME] for each"
	case f.short != "" && n.kind == isString:
		return f.name + " = { " + assign(f.short, strconv.Quote(n.text)) + " }"
	}
	return ""
}

// variable is the hint for who would have a variable expanded to a number.
func (f *field) variable(n *node) string {
	if !strings.Contains(n.text, "${") {
		return ""
	}
	return "variables are for strings; write " + f.name + " in " + LocalFileName + " to have it for this machine alone"
}

// quoted puts a number in quotes, with a unit where it takes one.
func (f *field) quoted(number string) string {
	if f.pattern == durationPattern {
		number += "s"
	}
	return strconv.Quote(number)
}
