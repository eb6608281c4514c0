package sentry

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// pyStrings returns the items of a Python list.
func pyStrings(all []string) string {
	items := make([]string, len(all))
	for i, s := range all {
		items[i] = pyString(s)
	}
	return strings.Join(items, ", ")
}

// pyString returns a Python 3 string literal for s. The literal is printable ASCII,
// so that the encoding of the source file does not matter. A byte that is not UTF-8
// becomes a surrogate, as in os.fsdecode (PEP 383).
func pyString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\udc%02x`, s[0])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case ' ' <= r && r <= '~':
			b.WriteRune(r)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		s = s[size:]
	}
	b.WriteByte('"')
	return b.String()
}
