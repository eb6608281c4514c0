package devserver

import (
	"slices"
	"strconv"
	"strings"
)

// A value of Python as far as it can be told without running it: a string, an
// int, a bool, nil for None, []any for a list or a tuple, map[string]any for a
// dict with strings as keys, symbol, *call, or unknown.

// symbol is a dotted name that stands for itself: RegionCategory.MULTI_TENANT.
type symbol string

// call is a call that nobody carries out: Region("us", 1, …).
type call struct {
	callee string
	args   []any
	named  map[string]any
}

// unknown is anything that only Python could compute.
type unknown struct{}

// assignments are the names that a module assigns at its left margin, in other
// words what holds in every silo. The last one wins. What stands in an if, a
// loop, a class or a function is passed over.
func assignments(src string) (map[string]any, error) {
	tokens, err := scan(src)
	if err != nil {
		return nil, err
	}
	module := map[string]any{}
	for len(tokens) > 0 {
		end := slices.IndexFunc(tokens, func(t token) bool { return t.kind == endOfLine })
		if err := sound(tokens[:end]); err != nil {
			return nil, err
		}
		if tokens[0].column == 0 {
			assign(module, tokens[:end])
		}
		tokens = tokens[end+1:]
	}
	return module, nil
}

// sound finds the plainest faults that Python's parser would: two values side by
// side, and a line that ends in an operator.
func sound(line []token) error {
	for i := 1; i < len(line); i++ {
		before, t := line[i-1], line[i]
		joined := before.quoted() && t.quoted()
		closed := before.operand() || before.kind == op && (before.text == ")" || before.text == "]" || before.text == "}")
		if closed && t.operand() && !joined && (i != 1 || !soft(before.text)) {
			return &syntaxError{what: "invalid syntax", line: t.line}
		}
	}
	last := line[len(line)-1]
	if last.kind != op || last.text == "*" && line[0].text == "from" {
		return nil
	}
	switch last.text {
	case ")", "]", "}", ":", ",", ";", "...":
		return nil
	}
	return &syntaxError{what: "invalid syntax", line: last.line}
}

// soft tells the words that are keywords only at a statement's start.
func soft(word string) bool { return word == "match" || word == "case" || word == "type" }

// assign carries out `NAME = value` and `NAME: type = value`, and what stands
// behind a semicolon after it.
func assign(module map[string]any, line []token) {
	if len(line) < 3 || line[0].kind != name || keyword(line[0].text) {
		return
	}
	equals := 1
	if line[1].kind == op && line[1].text == ":" {
		for equals < len(line) && (line[equals].kind != op || line[equals].text != "=") {
			equals++
		}
	}
	if equals >= len(line)-1 || line[equals].kind != op || line[equals].text != "=" {
		return
	}
	p := &parser{tokens: line[equals+1:], module: module}
	value := p.value()
	if p.is(",") {
		value = p.bare(value)
	}
	if len(p.tokens) > 0 && !p.is(";") {
		value = unknown{}
	}
	module[line[0].text] = value
	if p.take(";") {
		assign(module, p.tokens)
	}
}

// parser reads values. Brackets are known to match, and to be at most 200 deep.
type parser struct {
	tokens []token
	module map[string]any
}

func (p *parser) is(operator string) bool {
	return len(p.tokens) > 0 && p.tokens[0].kind == op && p.tokens[0].text == operator
}

func (p *parser) take(operator string) bool {
	if !p.is(operator) {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// atEnd tells whether a value has come to its end.
func (p *parser) atEnd() bool {
	if len(p.tokens) == 0 {
		return true
	}
	if p.tokens[0].kind != op {
		return false
	}
	switch p.tokens[0].text {
	case ",", ")", "]", "}", ":", ";", "=":
		return true
	}
	return false
}

// value reads one value. Where it is more than a literal, all up to the next
// comma or closing bracket is unknown.
func (p *parser) value() any {
	value := p.primary()
	for p.is("+") {
		p.take("+")
		value = plus(value, p.primary())
	}
	if !p.atEnd() {
		p.skip()
		return unknown{}
	}
	return value
}

func plus(a, b any) any {
	left, isText := a.(string)
	right, areBoth := b.(string)
	if !isText || !areBoth {
		return unknown{}
	}
	return left + right
}

// skip passes over the rest of a value.
func (p *parser) skip() {
	for depth := 0; len(p.tokens) > 0 && (depth > 0 || !p.atEnd()); p.tokens = p.tokens[1:] {
		if t := p.tokens[0]; t.kind == op {
			switch t.text {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
		}
	}
}

func (p *parser) primary() any {
	if len(p.tokens) == 0 {
		return unknown{}
	}
	t := p.tokens[0]
	switch {
	case p.take("-"):
		if len(p.tokens) == 0 || p.tokens[0].kind != number {
			return unknown{}
		}
		if n, isInt := p.primary().(int); isInt {
			return -n
		}
		return unknown{}
	case t.quoted():
		return p.strings()
	case t.kind == number:
		p.tokens = p.tokens[1:]
		n, err := strconv.ParseInt(t.text, 0, 64)
		if err != nil {
			return unknown{}
		}
		return int(n)
	case t.kind == name:
		return p.name()
	case p.take("("):
		return p.parenthesis()
	case p.take("["):
		list, _, _ := p.items("]")
		return list
	case p.take("{"):
		return p.dict()
	}
	return unknown{}
}

// strings reads strings side by side, which Python joins.
func (p *parser) strings() any {
	var all strings.Builder
	known := true
	for len(p.tokens) > 0 && p.tokens[0].quoted() {
		known = known && p.tokens[0].kind == text
		all.WriteString(p.tokens[0].text)
		p.tokens = p.tokens[1:]
	}
	if !known {
		return unknown{}
	}
	return all.String()
}

// name reads a name and what hangs on it: attributes, a subscript, a call.
func (p *parser) name() any {
	full := p.tokens[0].text
	p.tokens = p.tokens[1:]
	switch full {
	case "True", "False":
		return full == "True"
	case "None":
		return nil
	}
	if value, assigned := p.module[full]; assigned && !p.is(".") && !p.is("[") && !p.is("(") {
		return value
	}
	if keyword(full) {
		return unknown{}
	}
	for {
		switch {
		case p.is(".") && len(p.tokens) > 1 && p.tokens[1].kind == name:
			full += "." + p.tokens[1].text
			p.tokens = p.tokens[2:]
		case p.take("["): // RegionCategory["MULTI_TENANT"]
			items, _, _ := p.items("]")
			key, isText := "", false
			if len(items) == 1 {
				key, isText = items[0].(string)
			}
			if !isText {
				return unknown{}
			}
			full += "." + key
		case p.take("("):
			args, named, _ := p.items(")")
			return &call{callee: full, args: args, named: named}
		default:
			return symbol(full)
		}
	}
}

// parenthesis reads what follows an opening one: a tuple, or a value in brackets.
func (p *parser) parenthesis() any {
	items, _, comma := p.items(")")
	if len(items) == 1 && !comma {
		return items[0]
	}
	return items
}

// bare reads the rest of a tuple without brackets.
func (p *parser) bare(first any) any {
	all := []any{first}
	for p.take(",") && !p.atEnd() {
		all = append(all, p.value())
	}
	return all
}

// items reads values, and arguments by name, up to the closing bracket.
func (p *parser) items(closing string) (items []any, named map[string]any, comma bool) {
	items, named = []any{}, map[string]any{}
	for len(p.tokens) > 0 && !p.take(closing) {
		if len(p.tokens) > 1 && p.tokens[0].kind == name && p.tokens[1].kind == op && p.tokens[1].text == "=" {
			key := p.tokens[0].text
			p.tokens = p.tokens[2:]
			named[key] = p.value()
		} else {
			items = append(items, p.value())
		}
		comma = p.take(",")
		if !comma && !p.is(closing) {
			p.skipStray()
		}
	}
	return items, named, comma
}

// dict reads what follows an opening brace. A set, or a key that is no string,
// makes the whole unknown.
func (p *parser) dict() any {
	dict, known := map[string]any{}, true
	for len(p.tokens) > 0 && !p.take("}") {
		key, isText := p.value().(string)
		if p.take(":") && isText {
			dict[key] = p.value()
		} else {
			known = false
			if !p.atEnd() {
				p.value()
			}
		}
		if !p.take(",") && !p.is("}") {
			p.skipStray()
		}
	}
	if !known {
		return unknown{}
	}
	return dict
}

// skipStray passes over a token that has no place here, such as a second colon,
// so that reading always comes to an end.
func (p *parser) skipStray() {
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
}
