package topology

import (
	"regexp"
	"strings"
)

// expander replaces ${VAR} and ${VAR:-default} in a text. The default is used if
// VAR is unset or empty, and may contain variables itself. $${ is a literal ${.
type expander struct {
	env      func(string) (string, bool)
	foreign  bool // keep ${ if anything else follows
	problems []invalid
}

var variableRE = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(\}|:-)`)

// maxDefaults bounds the nesting of defaults.
const maxDefaults = 8

// expand expands the variables of a text and a leading ~.
func expand(text string, foreign bool, env func(string) (string, bool)) (string, []invalid) {
	x := expander{env: env, foreign: foreign}
	expanded := x.home(x.variables(text, 0))
	return expanded, x.problems
}

func (x *expander) variables(text string, depth int) string {
	var out strings.Builder
	for {
		before, _, found := strings.Cut(text, "${")
		if !found {
			return out.String() + text
		}
		text = text[len(before):]
		plain, escaped := strings.CutSuffix(before, "$")
		out.WriteString(plain)
		match := variableRE.FindStringSubmatch(text)
		switch {
		case escaped, match == nil && x.foreign:
			out.WriteString("${")
			text = text[len("${"):]
		case match == nil:
			x.problems = append(x.problems, invalid{text: "contains a ${ that is not ${VAR} or ${VAR:-default}", hint: "write $${ for a literal ${"})
			return text
		case match[2] == "}":
			out.WriteString(x.lookup(match[1]))
			text = text[len(match[0]):]
		default:
			rest := text[len(match[0]):]
			end := closing(rest)
			if end < 0 || depth == maxDefaults {
				if !x.foreign {
					x.problems = append(x.problems, invalid{text: "contains an unclosed ${" + match[1] + ":-", hint: "close it with }"})
				}
				return out.String() + text
			}
			value, _ := x.env(match[1])
			if value == "" {
				value = x.variables(rest[:end], depth+1)
			}
			out.WriteString(value)
			text = rest[end+1:]
		}
	}
}

func (x *expander) lookup(name string) string {
	value, set := x.env(name)
	if !set {
		x.problems = append(x.problems, invalid{
			text: "${" + name + "} is not set in the environment",
			hint: "set " + name + ", or write ${" + name + ":-a default}",
		})
	}
	return value
}

// closing returns the offset of the brace that closes a default, or -1.
func closing(text string) int {
	open := 1
	for i := range len(text) {
		switch {
		case text[i] == '}':
			if open--; open == 0 {
				return i
			}
		case strings.HasPrefix(text[i:], "${"):
			open++
		}
	}
	return -1
}

// home replaces a leading ~ with the home directory. It does not expand ~user.
func (x *expander) home(text string) string {
	if text != "~" && !strings.HasPrefix(text, "~/") {
		return text
	}
	home, _ := x.env("HOME")
	if home == "" {
		x.problems = append(x.problems, invalid{text: "~ cannot be expanded, because HOME is not set", hint: "set HOME, or write the whole path"})
	}
	return home + text[1:]
}
