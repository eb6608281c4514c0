package topology

import (
	"regexp"
	"strings"
)

// expander replaces ${VAR} and ${VAR:-default} in a text; the default serves
// where VAR is unset or empty, and may hold more of the kind. $${ is a plain ${.
type expander struct {
	env      func(string) (string, bool)
	template bool // ${ followed by anything else is left as it is
	faults   []fault
}

var variableShape = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)(\}|:-)`)

// deepest bounds defaults within defaults.
const deepest = 8

func (x *expander) expand(text string, depth int) string {
	var out strings.Builder
	for {
		before, _, found := strings.Cut(text, "${")
		if !found {
			return out.String() + text
		}
		text = text[len(before):]
		plain, escaped := strings.CutSuffix(before, "$")
		out.WriteString(plain)
		match := variableShape.FindStringSubmatch(text)
		switch {
		case escaped:
			out.WriteString("${")
			text = text[len("${"):]
		case match == nil && x.template:
			out.WriteString("${")
			text = text[len("${"):]
		case match == nil:
			x.faults = append(x.faults, fault{text: "has ${ that begins no ${VAR} or ${VAR:-default}", hint: "write $${ for a plain ${"})
			return text
		case match[2] == "}":
			out.WriteString(x.lookup(match[1]))
			text = text[len(match[0]):]
		default:
			rest := text[len(match[0]):]
			end := closing(rest)
			if end < 0 || depth == deepest {
				if !x.template {
					x.faults = append(x.faults, fault{text: "has a ${" + match[1] + ":- that is not closed", hint: "close it with }"})
				}
				return out.String() + text
			}
			value, _ := x.env(match[1])
			if value == "" {
				value = x.expand(rest[:end], depth+1)
			}
			out.WriteString(value)
			text = rest[end+1:]
		}
	}
}

func (x *expander) lookup(name string) string {
	value, set := x.env(name)
	if !set {
		x.faults = append(x.faults, fault{
			text: "${" + name + "} is not set in the environment",
			hint: "set " + name + ", or write ${" + name + ":-a default}",
		})
	}
	return value
}

// closing gives the offset of the brace that closes a default, or -1.
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

// home replaces a leading ~ by the home directory. Other users' are left alone.
func (x *expander) home(text string) string {
	if text != "~" && !strings.HasPrefix(text, "~/") {
		return text
	}
	home, _ := x.env("HOME")
	if home == "" {
		x.faults = append(x.faults, fault{text: "~ means nothing, since HOME is not set", hint: "set HOME, or write the whole path"})
	}
	return home + text[1:]
}

// expandAll is all that is done to a string before it is looked at.
func expandAll(text string, template bool, env func(string) (string, bool)) (string, []fault) {
	x := expander{env: env, template: template}
	expanded := x.home(x.expand(text, 0))
	return expanded, x.faults
}
