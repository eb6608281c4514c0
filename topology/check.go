package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checker validates values against the table of keys: unknown and missing keys, types,
// ranges and formats. It expands variables and marks invalid values.
type checker struct {
	spec     *field
	env      func(string) (string, bool)
	found    *findings
	warnings *findings
}

// check validates a value and everything in it. table is its path in the table of keys.
func (c *checker) check(f *field, n *node, table string) {
	_, isString := n.value.(string)
	number, isInteger := n.value.(int64)
	_, isBoolean := n.value.(bool)
	_, isArray := n.value.([]*node)
	switch {
	case slices.Contains(f.alternatives, n.value):
	case f.kind == kindTable && n.isTable():
		c.table(f, n, table)
	case f.kind == kindNamedTables && n.isTable():
		c.namedTables(f, n, table)
	case f.kind == kindStringMap && n.isTable():
		c.stringMap(f, n)
	case f.kind == kindList && isArray:
		c.list(f, n)
	case (f.kind == kindString || f.kind == kindSize) && isString:
		c.string(f, n)
	case (f.kind == kindInteger || f.kind == kindSize) && isInteger:
		c.integer(f, n, number)
	case f.kind == kindBoolean && isBoolean:
	default:
		c.reject(n, "must be "+f.describe()+", not "+n.describe(), f.retyped(n))
	}
}

// reject reports an invalid value.
func (c *checker) reject(n *node, text, hint string) {
	n.invalid = true
	c.found.add(n.at, n.path, text, hint)
}

func (c *checker) table(f *field, n *node, table string) {
	for _, name := range n.names() {
		child := n.child(name)
		i := slices.IndexFunc(f.fields, func(known field) bool { return known.name == name })
		if i < 0 {
			child.invalid = true
			c.found.add(child.key, child.path, "is not a known key", c.suggest(f, child, name, table))
			continue
		}
		c.check(&f.fields[i], child, dotted(table, name))
	}
	for i := range f.fields {
		if known := &f.fields[i]; known.required && n.child(known.name) == nil {
			c.missing(known, n.key, dotted(n.path, known.name))
		}
	}
}

func (c *checker) missing(f *field, at place, path string) {
	text := "is missing"
	if f.kind == kindNamedTables {
		text = "needs at least one [" + f.name + ".NAME]"
	}
	c.found.add(at, path, text, f.missingHint)
}

func (c *checker) namedTables(f *field, n *node, table string) {
	if f.required && len(n.table()) == 0 {
		c.missing(f, n.key, n.path)
	}
	each := field{name: f.name, kind: kindTable, fields: f.fields}
	for _, name := range n.names() {
		child := n.child(name)
		if wrong := f.checkName(name); wrong != nil {
			hint := wrong.hint
			if wrong.fix != "" {
				hint = "[" + dotted(f.name, wrong.fix) + "]"
			}
			c.found.add(child.key, child.path, wrong.text, hint)
		}
		if !child.isTable() && slices.ContainsFunc(f.fields, func(known field) bool { return known.name == name }) {
			c.reject(child, "must be a table, not "+child.describe(), "name the "+f.name+": ["+f.name+".NAME]")
			continue
		}
		c.check(&each, child, table+".NAME")
	}
}

func (c *checker) stringMap(f *field, n *node) {
	each := field{kind: kindString, secret: f.secret, allowEmpty: true, check: f.check}
	for _, name := range n.names() {
		child := n.child(name)
		if wrong := f.checkName(name); wrong != nil {
			c.found.add(child.key, child.path, wrong.text, "")
		}
		if text := reservedVariable(name); text != "" {
			c.warnings.add(child.key, child.path, text, "remove it")
		}
		c.check(&each, child, "")
	}
}

// reservedVariable returns why the user cannot set a variable, or "".
func reservedVariable(name string) string {
	switch {
	case slices.Contains([]string{
		"SENTRY_SILO_MODE", "SENTRY_REGION", "SENTRY_DEVSERVER_BIND", "SENTRY_CONF",
		"SILO_NAME", "SILO_INSTANCE", "SILO_RUN_ID",
	}, name), strings.HasPrefix(name, "SILO_URL_"):
		return "is set by silo; this value has no effect"
	case strings.HasPrefix(name, "SILO_"):
		return "names that begin with SILO_ are reserved"
	}
	return ""
}

func (c *checker) list(f *field, n *node) {
	each := field{kind: kindString, secret: f.secret, check: f.check, allowEmpty: f.check == nil}
	for _, item := range n.items() {
		c.check(&each, item, "")
		n.invalid = n.invalid || item.invalid
	}
	if f.name == "command" && !n.invalid && (len(n.items()) == 0 || n.items()[0].text() == "") {
		c.reject(n, "must name a program", `command = ["sentry", "devserver"]`)
	}
}

func (c *checker) string(f *field, n *node) {
	text, problems := expand(n.text(), f.foreign, c.env)
	for _, problem := range problems {
		c.reject(n, problem.text, problem.hint)
	}
	if n.invalid {
		return
	}
	n.value = text
	if text == "" {
		if !f.allowEmpty {
			c.reject(n, "must not be empty", "")
		}
		return
	}
	var wrong *invalid
	switch {
	case f.check != nil:
		wrong = f.check(text)
	case f.enum != nil && !slices.Contains(f.enum, text):
		wrong = &invalid{text: quote(text) + " is not " + f.choices(), fix: nearest(text, f.enum)}
		if slices.Contains([]string{"true", "false"}, text) && len(f.alternatives) > 0 {
			wrong.fix, wrong.hint = "", f.name+" = "+text
		}
	}
	if wrong == nil {
		return
	}
	hint := wrong.hint
	if wrong.fix != "" {
		hint = assign(f.name, strconv.Quote(wrong.fix))
	}
	c.reject(n, wrong.text, hint)
}

// assign returns the hint to write a value. An element of an array has no key.
func assign(name, value string) string {
	if name == "" {
		return "write " + value
	}
	return name + " = " + value
}

func (c *checker) integer(f *field, n *node, number int64) {
	switch {
	case f.kind == kindSize && number < int64(f.min):
		c.reject(n, "must be "+strconv.Itoa(f.min)+" or more", "")
	case f.kind == kindSize:
	case f.min == f.max && number != int64(f.min):
		c.reject(n, fmt.Sprintf("is %d; this version of silo supports only %d", number, f.min), assign(f.name, strconv.Itoa(f.min)))
	case number < int64(f.min), number > int64(f.max):
		c.reject(n, fmt.Sprintf("%d is outside %d..%d", number, f.min, f.max), "")
	}
}

// describe names the valid type of a value.
func (f *field) describe() string {
	kinds := map[kind]string{
		kindTable: "a table", kindNamedTables: "tables, each with a name", kindStringMap: "a table of strings", kindString: "a string",
		kindList: "an array of strings", kindInteger: "an integer", kindBoolean: "true or false", kindSize: "a size",
	}
	switch {
	case len(f.alternatives) == 1:
		return fmt.Sprintf("%s or %v", kinds[f.kind], f.alternatives[0])
	case len(f.alternatives) > 1:
		return f.choices()
	}
	return kinds[f.kind]
}

// choices lists the valid values: "a, b or c".
func (f *field) choices() string {
	all := slices.Clone(f.enum)
	for _, other := range f.alternatives {
		all = append(all, fmt.Sprint(other))
	}
	last := len(all) - 1
	if last == 0 {
		return all[0]
	}
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// retyped returns the hint for a value of the wrong type: the same value in the right
// type, if that is obvious and not secret.
func (f *field) retyped(n *node) string {
	switch value := n.value.(type) {
	case string:
		return f.retypedString(value)
	case bool:
		off := slices.IndexFunc(f.enum, func(word string) bool { return word == "no" || word == "off" }) // YAML's words for false
		switch {
		case f.secret && f.kind == kindString:
			return "put it in quotes"
		case !value && off >= 0:
			return assign(f.name, strconv.Quote(f.enum[off]))
		}
	case int64, float64:
		switch {
		case f.kind != kindString:
		case f.secret:
			return "put it in quotes"
		case f.pattern == durationPattern:
			return assign(f.name, strconv.Quote(n.raw+"s"))
		case f.enum == nil || f.check != nil:
			return assign(f.name, strconv.Quote(n.raw))
		}
	case []*node:
		if f.kind == kindNamedTables {
			return "write [" + f.name + ".NAME] for each"
		}
	}
	return ""
}

// retypedString is retyped for a string.
func (f *field) retypedString(text string) string {
	switch {
	case f.secret && f.kind == kindList:
		return "put it in brackets: " + f.name + ` = ["…"]`
	case f.secret:
	case (f.kind == kindInteger || f.kind == kindBoolean) && strings.Contains(text, "${"):
		return "variables are expanded only in strings; set " + f.name + " in " + LocalFileName + " for this machine"
	case f.kind == kindInteger:
		if number, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
			return assign(f.name, strconv.Itoa(number))
		}
	case f.kind == kindBoolean && (text == "true" || text == "false"):
		return assign(f.name, text)
	case f.kind == kindList:
		words := strings.Fields(text)
		for i, word := range words {
			words[i] = strconv.Quote(word)
		}
		return assign(f.name, "["+strings.Join(words, ", ")+"]")
	case f.shorthand != "":
		return f.name + " = { " + assign(f.shorthand, strconv.Quote(text)) + " }"
	}
	return ""
}
