package traffic

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
)

// where a text stands, which says where in it a secret ends.
type where int

const (
	inURL   where = iota // a path or a URL
	inForm               // a body of pairs
	inField              // a header field, in which URLs may be
)

// span is a part of a text, in bytes.
type span struct{ from, to int }

// maskQuery masks the values of parameters whose names speak of a secret, in the
// path, the query and the fragment of a path or a URL, and a URL's user with the
// password: also in a URL that is the value of a parameter, escaped or not.
func maskQuery(path string) string { return maskText(path, inURL) }

func maskText(text string, at where) string {
	secrets := secretsIn(text, at, 0)
	if len(secrets) == 0 {
		return text
	}
	slices.SortFunc(secrets, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var safe strings.Builder
	copied := 0
	for i, s := range secrets {
		if i == 0 || s.from >= copied { // or it overlaps the one before
			safe.WriteString(text[copied:s.from])
			safe.WriteString(masked)
		}
		copied = max(copied, s.to)
	}
	safe.WriteString(text[copied:])
	return safe.String()
}

// escapeDepth is how often a text may be escaped and still be looked into.
const escapeDepth = 4

// secretsIn finds what is to be masked. depth is how often the text was escaped. It
// takes time in proportion to the text.
func secretsIn(text string, at where, depth int) []span {
	secrets := usersIn(text, at, depth)
	named := at == inForm || depth > 0 // a pair begins here
	query := named
	for start := 0; start <= len(text); {
		end := cutAt(text, start, "?#&;")
		value := start
		if pair := text[start:end]; named {
			name, _, found := strings.Cut(pair, "=")
			plain, _ := unescape(name)
			hidden := secret(plain)
			switch {
			case found && hidden && (start > 0 || depth == 0 || !strings.ContainsAny(plain, " /:\"")): // words before a = are no name
				value += len(name) + 1
				end = secretEnd(text, value, at, query)
				secrets = append(secrets, span{value, end})
				value = end
			case !found && hidden && depth == 0 && at != inField:
				secrets = append(secrets, span{start, end})
				value = end
			case found:
				value += len(name) + 1
			}
		}
		secrets = append(secrets, escapedIn(text, value, end, depth)...)
		query = query || end < len(text) && strings.IndexByte("?#", text[end]) >= 0
		start, named = end+1, true
	}
	return secrets
}

// escapedIn finds what is to be masked in a value that is escaped.
func escapedIn(text string, from, to, depth int) []span {
	plain, offsets := unescape(text[from:to])
	if offsets == nil {
		return nil
	}
	if depth == escapeDepth {
		return []span{{from, to}} // nobody will say what is in it
	}
	secrets := secretsIn(plain, inURL, depth+1)
	for i, s := range secrets {
		secrets[i] = span{from + offsets[s.from], from + offsets[s.to]}
	}
	return secrets
}

// usersIn finds what stands before the host of each URL.
func usersIn(text string, at where, depth int) (users []span) {
	query := at == inForm || depth > 0
	for p := 0; ; {
		next := strings.Index(text[p:], "//")
		if next < 0 {
			return users
		}
		query = query || strings.ContainsAny(text[p:p+next], "/?#&;= ")
		p += next
		begins := p == 0 || strings.IndexByte(":=?#&;<\" \t,", text[p-1]) >= 0
		p += len("//")
		if !begins {
			continue
		}
		ends := "/?#"
		if query { // in a URL of its own they may be part of a password
			ends += "&;"
		}
		if at == inField {
			ends += fieldEnds
		}
		authority := text[p:cutAt(text, p, ends)]
		if i := strings.LastIndexByte(authority, '@'); i > 0 {
			users = append(users, span{p, p + i})
		}
		p += len(authority)
	}
}

// fieldEnds end a URL that stands among other things.
const fieldEnds = "<>\" \t"

// secretEnd is where a secret ends that begins at from. A ";" ends it where a pair
// follows: which of "&" and ";" a silo goes by is its own.
func secretEnd(text string, from int, at where, query bool) int {
	ends := "&;"
	switch {
	case !query:
		ends += "/?#"
	case at != inForm:
		ends += "#"
	}
	if at == inField {
		ends += fieldEnds
	}
	for {
		end := cutAt(text, from, ends)
		if end == len(text) || text[end] != ';' {
			return end
		}
		from = end + 1
		if strings.Contains(text[from:cutAt(text, from, ends)], "=") {
			return end
		}
	}
}

// cutAt is where the first of any characters stands from start on, or the text's end.
func cutAt(text string, start int, of string) int {
	if i := strings.IndexAny(text[start:], of); i >= 0 {
		return start + i
	}
	return len(text)
}

// unescape takes away what percent signs stand for, and leaves those alone that stand
// for nothing. offsets are where each byte of plain, and its end, were in the text;
// nil: plain is the text.
func unescape(text string) (plain string, offsets []int) {
	var bytes []byte
	for i := 0; i < len(text); i++ {
		var one [1]byte
		if text[i] == '%' && i+2 < len(text) {
			if _, err := hex.Decode(one[:], []byte(text[i+1:i+3])); err == nil {
				if offsets == nil {
					offsets = make([]int, i, len(text)+1)
					for j := range offsets {
						offsets[j] = j
					}
					bytes = append(make([]byte, 0, len(text)), text[:i]...)
				}
				bytes, offsets = append(bytes, one[0]), append(offsets, i)
				i += 2
				continue
			}
		}
		if offsets != nil {
			bytes, offsets = append(bytes, text[i]), append(offsets, i)
		}
	}
	if offsets == nil {
		return text, nil
	}
	return string(bytes), append(offsets, len(text))
}
