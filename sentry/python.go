package sentry

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// pyStrings writes the items of a Python list.
func pyStrings(all []string) string {
	items := make([]string, len(all))
	for i, s := range all {
		items[i] = pyString(s)
	}
	return strings.Join(items, ", ")
}

// pyString writes s as a Python 3 string literal that stands for exactly s,
// whatever s holds. The literal is printable ASCII, so that it means the same in
// a source file of any declared encoding. A byte that is not UTF-8 becomes what
// os.fsdecode makes of it (PEP 383).
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
