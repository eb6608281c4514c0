package devserver

import (
	"fmt"
	"regexp"
	"strings"
)

// syntaxError is an error of Python's tokenizer, in CPython's wording.
type syntaxError struct {
	what string
	line int
}

// Error has the form that Sentry's runner prints (sentry/runner/importer.py).
func (e *syntaxError) Error() string {
	return fmt.Sprintf("SyntaxError: %s (<string>, line %d)", e.what, e.line)
}

// token matches comments, strings and brackets.
var token = regexp.MustCompile(`#.*|(?s:""".*?"""|'''.*?''')|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|[()\[\]{}]`)

// checkBrackets reports the first bracket in Python source that is unclosed or
// mismatched. It catches typical broken edits; it is not a parser.
func checkBrackets(src string) error {
	var open []byte
	for _, at := range token.FindAllStringIndex(src, -1) {
		c := src[at[0]]
		line := 1 + strings.Count(src[:at[0]], "\n")
		switch {
		case strings.IndexByte("([{", c) >= 0:
			open = append(open, c)
		case strings.IndexByte(")]}", c) < 0:
		case len(open) == 0:
			return &syntaxError{fmt.Sprintf("unmatched '%c'", c), line}
		case !strings.Contains("() [] {}", string(open[len(open)-1])+string(c)):
			return &syntaxError{fmt.Sprintf("closing parenthesis '%c' does not match opening parenthesis '%c'", c, open[len(open)-1]), line}
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		return &syntaxError{"unexpected EOF while parsing", 1 + strings.Count(src, "\n")}
	}
	return nil
}
