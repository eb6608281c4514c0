package traffic

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
)

// maskBody masks the secret fields of a form or of JSON. A compressed body is
// recompressed with the same encoding.
func maskBody(m Message) Message {
	form, json, typed := m.bodyTypes()
	if len(m.Body) == 0 || typed && !form && !json {
		return m
	}
	content, whole := m.Content()
	var mask func([]byte) []byte
	switch {
	case json && !form, looksLikeJSON(content): // curl also sends JSON as a form
		mask = maskJSON
	case form:
		mask = func(body []byte) []byte { return []byte(maskText(string(body), inForm)) }
	default:
		return m
	}
	safe := mask(content)
	if !bytes.Equal(safe, content) || len(content) == contentLimit && !whole { // the rest was not examined
		m.Body, m.Truncated = m.encode(safe), !whole
	}
	return m
}

// bodyTypes reports the types that a body declares, and whether it declares any. It is
// more lenient than RFC 9110: a body that a silo reads as JSON must be masked even if its
// type has an odd parameter.
func (m Message) bodyTypes() (form, json, typed bool) {
	for _, value := range m.Header["Content-Type"] {
		for kind := range strings.SplitSeq(value, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			kind = strings.ToLower(kind)
			form = form || strings.Contains(kind, "form-urlencoded")
			json = json || strings.Contains(kind, "json")
			typed = typed || strings.Contains(kind, "/")
		}
	}
	return form, json, typed || form || json
}

func looksLikeJSON(content []byte) bool {
	content = bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\ufeff")), " \t\r\n")
	return len(content) > 0 && (content[0] == '{' || content[0] == '[')
}

// maskJSON masks the secret fields of JSON. Unlike encoding/json, it accepts truncated
// and malformed JSON.
func maskJSON(body []byte) []byte {
	var safe []byte
	copied := 0
	for at := bytes.IndexByte(body, '"'); at >= 0; {
		end, _ := stringEnd(body, at)
		value := fieldValue(body[end:])
		if value >= 0 && isSecret(string(body[at+1:end-1])) {
			safe = append(append(append(safe, body[copied:end+value]...), '"'), masked...)
			var whole bool
			end, whole = valueEnd(body, end+value)
			if copied = end; whole {
				safe = append(safe, '"')
			}
		}
		next := bytes.IndexByte(body[end:], '"')
		if next < 0 {
			break
		}
		at = end + next
	}
	if safe == nil {
		return body
	}
	return append(safe, body[copied:]...)
}

// stringEnd returns the index after the string that begins at quote, and reports whether
// the string is complete.
func stringEnd(body []byte, quote int) (end int, whole bool) {
	for i := quote + 1; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i + 1, true
		}
	}
	return len(body), false
}

// fieldValue returns the offset of a field's value in the text after the field's name, or
// -1 if there is none, or if it is true, false or null, which are not secret.
func fieldValue(rest []byte) int {
	i := skipSpace(rest, 0)
	if i == len(rest) || rest[i] != ':' {
		return -1
	}
	if i = skipSpace(rest, i+1); i == len(rest) || strings.IndexByte("tfn", rest[i]) >= 0 {
		return -1
	}
	return i
}

// valueEnd returns the index after the value that begins at start, and reports whether
// the value is complete.
func valueEnd(body []byte, start int) (end int, whole bool) {
	if body[start] == '"' {
		return stringEnd(body, start)
	}
	depth := 0
	for i := start; i < len(body); i++ {
		switch body[i] {
		case '"':
			if i, whole = stringEnd(body, i); !whole {
				return i, false
			}
			i--
		case '[', '{':
			depth++
		case ']', '}':
			if depth--; depth < 0 { // the end of the array or object around a number
				return i, true
			}
			if depth == 0 {
				return i + 1, true
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i, true
			}
		}
	}
	return len(body), depth == 0
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && strings.IndexByte(" \t\r\n", text[i]) >= 0 {
		i++
	}
	return i
}

// encode returns content in m's Content-Encoding.
func (m Message) encode(content []byte) []byte {
	var encoded bytes.Buffer
	var to io.WriteCloser
	switch m.encoding() {
	case "gzip":
		to = gzip.NewWriter(&encoded)
	case "deflate":
		to = zlib.NewWriter(&encoded)
	default:
		return content
	}
	_, _ = to.Write(content) // into memory
	_ = to.Close()
	return encoded.Bytes()
}
