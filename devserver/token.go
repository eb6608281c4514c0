package devserver

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	endOfLine kind = iota // of a logical line: never within brackets
	name
	number
	text   // a string, decoded
	opaque // a string whose value only Python knows (f"…")
	op
)

// token is one token of Python source.
type token struct {
	kind   kind
	text   string
	line   int // from 1
	column int // bytes from the line's start, from 0
}

// operand tells whether t can stand where a value stands.
func (t token) operand() bool {
	switch t.kind {
	case number, text, opaque:
		return true
	case name:
		return !keyword(t.text) || t.text == "True" || t.text == "False" || t.text == "None"
	default:
		return false
	}
}

// quoted tells whether t is a string.
func (t token) quoted() bool { return t.kind == text || t.kind == opaque }

// syntaxError is a fault of the source, in CPython's words.
type syntaxError struct {
	what string
	line int
}

// Error has the shape that Sentry's runner prints (sentry/runner/importer.py).
func (e *syntaxError) Error() string {
	return fmt.Sprintf("SyntaxError: %s (<string>, line %d)", e.what, e.line)
}

// scanner walks over Python source.
type scanner struct {
	src    string
	pos    int
	line   int
	margin int    // position at which the line begins
	open   []byte // brackets that are open
	tokens []token
}

// scan cuts a whole Python file into tokens. It finds what stops Python's own
// tokenizer (an open string or bracket, a stray character), not what stops its
// parser.
func scan(src string) ([]token, error) {
	s := &scanner{src: strings.TrimPrefix(src, "\ufeff"), line: 1}
	for s.pos < len(s.src) {
		if err := s.next(); err != nil {
			return nil, err
		}
	}
	if len(s.open) > 0 {
		return nil, s.fault("unexpected EOF while parsing")
	}
	s.endLine()
	return s.tokens, nil
}

func (s *scanner) fault(what string) error { return &syntaxError{what: what, line: s.line} }

// at tells whether the rest of the source begins with text.
func (s *scanner) at(text string) bool { return strings.HasPrefix(s.src[s.pos:], text) }

func (s *scanner) next() error {
	c := s.src[s.pos]
	switch {
	case c == '\n':
		s.pos++
		if len(s.open) == 0 {
			s.endLine()
		}
		s.newLine()
	case c == ' ' || c == '\t' || c == '\f' || c == '\r':
		s.pos++
	case c == '#':
		for s.pos < len(s.src) && s.src[s.pos] != '\n' {
			s.pos++
		}
	case c == '\\':
		return s.joinLines()
	case c == '\'' || c == '"':
		return s.string("", s.pos)
	case c >= '0' && c <= '9', c == '.' && s.pos+1 < len(s.src) && isDigit(s.src[s.pos+1]):
		start := s.pos
		for s.pos < len(s.src) && (isWord(s.src[s.pos]) || s.src[s.pos] == '.') {
			s.pos++
		}
		s.add(number, s.src[start:s.pos], start)
	case isWord(c):
		start := s.pos
		for s.pos < len(s.src) && isWord(s.src[s.pos]) {
			s.pos++
		}
		word := s.src[start:s.pos]
		if s.pos < len(s.src) && (s.src[s.pos] == '\'' || s.src[s.pos] == '"') && stringPrefix(word) {
			return s.string(strings.ToLower(word), start)
		}
		s.add(name, word, start)
	default:
		return s.operator()
	}
	return nil
}

func (s *scanner) add(k kind, value string, start int) {
	s.tokens = append(s.tokens, token{kind: k, text: value, line: s.line, column: start - s.margin})
}

// endLine ends a logical line, if it holds anything.
func (s *scanner) endLine() {
	if n := len(s.tokens); n > 0 && s.tokens[n-1].kind != endOfLine {
		s.add(endOfLine, "", s.pos)
	}
}

func (s *scanner) newLine() {
	s.line++
	s.margin = s.pos
}

// joinLines passes over a backslash at the end of a line.
func (s *scanner) joinLines() error {
	s.pos++
	if s.at("\r\n") {
		s.pos++
	}
	if !s.at("\n") {
		return s.fault("unexpected character after line continuation character")
	}
	s.pos++
	s.newLine()
	return nil
}

// deepest is how many brackets CPython lets stand open (MAXLEVEL).
const deepest = 200

// operator reads one operator or bracket, the longest that fits.
func (s *scanner) operator() error {
	start := s.pos
	for _, o := range []string{"**=", "//=", ">>=", "<<=", "...", "==", "!=", "<=", ">=", "->", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "@=", ":=", "**", "//", "<<", ">>"} {
		if s.at(o) {
			s.pos += len(o)
			s.add(op, o, start)
			return nil
		}
	}
	c := s.src[s.pos]
	switch {
	case strings.IndexByte("([{", c) >= 0:
		if len(s.open) == deepest {
			return s.fault("too many nested parentheses")
		}
		s.open = append(s.open, c)
	case strings.IndexByte(")]}", c) >= 0:
		if err := s.close(c); err != nil {
			return err
		}
	case strings.IndexByte("+-*/%@&|^~<>,:.;=", c) < 0:
		return s.fault("invalid syntax")
	}
	s.pos++
	s.add(op, string(c), start)
	return nil
}

func (s *scanner) close(c byte) error {
	if len(s.open) == 0 {
		return s.fault(fmt.Sprintf("unmatched '%c'", c))
	}
	last := s.open[len(s.open)-1]
	if strings.IndexByte("([{", last) != strings.IndexByte(")]}", c) {
		return s.fault(fmt.Sprintf("closing parenthesis '%c' does not match opening parenthesis '%c'", c, last))
	}
	s.open = s.open[:len(s.open)-1]
	return nil
}

// string reads one string whose opening quote is next; start is where its
// prefix begins.
func (s *scanner) string(prefix string, start int) error {
	quotes := s.src[s.pos : s.pos+1]
	if triple := strings.Repeat(quotes, 3); s.at(triple) {
		quotes = triple
	}
	column, line := start-s.margin, s.line
	s.pos += len(quotes)
	body := s.pos
	for !s.at(quotes) {
		if s.pos < len(s.src) && s.src[s.pos] == '\\' {
			s.pos++ // and whatever it escapes, below
			if s.at("\r\n") {
				s.pos++
			}
		} else if len(quotes) == 1 && (s.pos == len(s.src) || s.src[s.pos] == '\n') {
			return s.fault("EOL while scanning string literal")
		}
		if s.pos == len(s.src) {
			return s.fault("EOF while scanning triple-quoted string literal")
		}
		s.pos++
		if s.src[s.pos-1] == '\n' {
			s.newLine()
		}
	}
	value, k := s.src[body:s.pos], text
	s.pos += len(quotes)
	switch {
	case strings.Contains(prefix, "f"):
		k = opaque
	case !strings.Contains(prefix, "r"):
		value = unescape(value)
	}
	s.tokens = append(s.tokens, token{kind: k, text: value, line: line, column: column})
	return nil
}

// unescape decodes Python's escapes; one that Python does not know stays as it
// is, and so does \N{…}.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for s != "" {
		if s[0] != '\\' || len(s) == 1 {
			out.WriteByte(s[0])
			s = s[1:]
			continue
		}
		decoded, rest := escape(s[1:])
		out.WriteString(decoded)
		s = rest
	}
	return out.String()
}

// escape decodes what follows one backslash.
func escape(s string) (decoded, rest string) {
	switch s[0] {
	case '\n':
		return "", s[1:]
	case '\r':
		return "", strings.TrimPrefix(s[1:], "\n")
	case '\\', '\'', '"':
		return s[:1], s[1:]
	case 'x':
		return codePoint(s, 1, 2, 16)
	case 'u':
		return codePoint(s, 1, 4, 16)
	case 'U':
		return codePoint(s, 1, 8, 16)
	case '0', '1', '2', '3', '4', '5', '6', '7':
		digits := 1
		for digits < 3 && digits < len(s) && s[digits] >= '0' && s[digits] <= '7' {
			digits++
		}
		return codePoint(s, 0, digits, 8)
	}
	if i := strings.IndexByte("abfnrtv", s[0]); i >= 0 {
		return "\a\b\f\n\r\t\v"[i : i+1], s[1:]
	}
	return `\` + s[:1], s[1:]
}

// codePoint decodes the digits of s that begin at from.
func codePoint(s string, from, digits, base int) (decoded, rest string) {
	if len(s) < from+digits {
		return `\` + s, ""
	}
	n, err := strconv.ParseUint(s[from:from+digits], base, 32)
	if err != nil || n > utf8.MaxRune {
		return `\` + s[:1], s[1:]
	}
	return string(rune(n)), s[from+digits:]
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// isWord takes every byte beyond ASCII for a letter.
func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c >= utf8.RuneSelf
}

func stringPrefix(word string) bool {
	switch strings.ToLower(word) {
	case "r", "u", "b", "f", "br", "rb", "fr", "rf":
		return true
	}
	return false
}

func keyword(word string) bool {
	switch word {
	case "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def",
		"del", "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda",
		"nonlocal", "not", "or", "pass", "raise", "return", "try", "while", "with", "yield":
		return true
	}
	return false
}
