package traffic

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
)

// context is the kind of text, which determines where a secret in it ends.
type context int

const (
	inURL   context = iota // a path or a URL
	inForm                 // a body of name=value pairs
	inField                // a header, which may contain URLs
)

// span is a part of a text, in bytes.
type span struct{ from, to int }

// maskQuery masks the values of secret parameters in the path, the query and the
// fragment of a path or a URL, and a URL's user and password. It also masks URLs in
// parameter values, escaped or not.
func maskQuery(path string) string { return maskText(path, inURL) }

func maskText(text string, in context) string {
	secrets := secretsIn(text, in, 0)
	if len(secrets) == 0 {
		return text
	}
	slices.SortFunc(secrets, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	var safe strings.Builder
	copied := 0
	for i, s := range secrets {
		if i == 0 || s.from >= copied { // otherwise it overlaps the previous one
			safe.WriteString(text[copied:s.from])
			safe.WriteString(masked)
		}
		copied = max(copied, s.to)
	}
	safe.WriteString(text[copied:])
	return safe.String()
}

// escapeDepth is how many levels of escaping are examined.
const escapeDepth = 4

// secretsIn returns the secrets in a text that was escaped depth times. Its running time
// is proportional to the length of the text.
func secretsIn(text string, in context, depth int) []span {
	secrets := usersIn(text, in, depth)
	named := in == inForm || depth > 0 // the text begins with a pair
	query := named
	for start := 0; start <= len(text); {
		end := indexAny(text, start, "?#&;")
		value := start
		if pair := text[start:end]; named {
			name, _, found := strings.Cut(pair, "=")
			plain, _ := unescape(name)
			hidden := isSecret(plain)
			switch {
			case found && hidden && (start > 0 || depth == 0 || !strings.ContainsAny(plain, " /:\"")): // a name contains no separator
				value += len(name) + 1
				end = secretEnd(text, value, in, query)
				secrets = append(secrets, span{value, end})
				value = end
			case !found && hidden && depth == 0 && in != inField:
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

// escapedIn returns the secrets in a value that is escaped.
func escapedIn(text string, from, to, depth int) []span {
	plain, offsets := unescape(text[from:to])
	if offsets == nil {
		return nil
	}
	if depth == escapeDepth {
		return []span{{from, to}} // escaped too deeply to examine
	}
	secrets := secretsIn(plain, inURL, depth+1)
	for i, s := range secrets {
		secrets[i] = span{from + offsets[s.from], from + offsets[s.to]}
	}
	return secrets
}

// usersIn returns the user and password of each URL.
func usersIn(text string, in context, depth int) (users []span) {
	query := in == inForm || depth > 0
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
		if query { // outside a query they may be part of a password
			ends += "&;"
		}
		if in == inField {
			ends += fieldEnds
		}
		authority := text[p:indexAny(text, p, ends)]
		if i := strings.LastIndexByte(authority, '@'); i > 0 {
			users = append(users, span{p, p + i})
		}
		p += len(authority)
	}
}

// fieldEnds end a URL in a header.
const fieldEnds = "<>\" \t"

// secretEnd returns the end of the secret that begins at from. A ";" ends it only if a
// pair follows, since silos differ on whether ";" separates pairs.
func secretEnd(text string, from int, in context, query bool) int {
	ends := "&;"
	switch {
	case !query:
		ends += "/?#"
	case in != inForm:
		ends += "#"
	}
	if in == inField {
		ends += fieldEnds
	}
	for {
		end := indexAny(text, from, ends)
		if end == len(text) || text[end] != ';' {
			return end
		}
		from = end + 1
		if strings.Contains(text[from:indexAny(text, from, ends)], "=") {
			return end
		}
	}
}

// indexAny is like strings.IndexAny from start, but returns the text's length if there
// is no match.
func indexAny(text string, start int, of string) int {
	if i := strings.IndexAny(text[start:], of); i >= 0 {
		return start + i
	}
	return len(text)
}

// unescape decodes percent-encoding and keeps invalid escapes. offsets are the positions
// in text of each byte of plain and of its end; nil if plain is text.
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
