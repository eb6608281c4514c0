package traffic

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
)

// maskBody masks the fields of a form or of JSON whose names speak of a secret. What
// is packed stays packed, by the same means.
func maskBody(m Message) Message {
	form, json, told := m.kinds()
	if len(m.Body) == 0 || told && !form && !json {
		return m
	}
	content, whole := m.Content()
	var mask func([]byte) []byte
	switch {
	case json && !form, beginsAsJSON(content): // also as what programs like curl call a form
		mask = maskJSON
	case form:
		mask = func(body []byte) []byte { return []byte(maskText(string(body), inForm)) }
	default:
		return m
	}
	safe := mask(content)
	if !bytes.Equal(safe, content) || len(content) == contentLimit && !whole { // what lies behind has not been looked at
		m.Body, m.Truncated = repacked(m, safe), !whole
	}
	return m
}

// kinds tells of which kinds a body says that it is; told: it says anything. It is
// more lenient than RFC 9110: what a silo reads as JSON must not be shown for an
// odd parameter's sake. A kind of JSON has that word in its name.
func (m Message) kinds() (form, json, told bool) {
	for _, value := range m.Header["Content-Type"] {
		for kind := range strings.SplitSeq(value, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			kind = strings.ToLower(kind)
			form = form || strings.Contains(kind, "form-urlencoded")
			json = json || strings.Contains(kind, "json")
			told = told || strings.Contains(kind, "/")
		}
	}
	return form, json, told || form || json
}

func beginsAsJSON(content []byte) bool {
	content = bytes.TrimLeft(bytes.TrimPrefix(content, []byte("\ufeff")), " \t\r\n")
	return len(content) > 0 && (content[0] == '{' || content[0] == '[')
}

// maskJSON goes from string to string, which is a hundred times as fast as a regular
// expression: an export is of megabytes. The last string may be cut off.
func maskJSON(body []byte) []byte {
	var safe []byte
	copied := 0
	for at := bytes.IndexByte(body, '"'); at >= 0; {
		end, _ := stringEnd(body, at)
		value := fieldValue(body[end:])
		if value >= 0 && secret(string(body[at+1:end-1])) {
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

// stringEnd is what follows the string that begins at a quote, and whether it has an
// end.
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

// fieldValue is where the value of a field begins, in what follows its name; -1:
// that is no name, or the value is true, false or null, which say nothing.
func fieldValue(rest []byte) int {
	i := skipBlank(rest, 0)
	if i == len(rest) || rest[i] != ':' {
		return -1
	}
	if i = skipBlank(rest, i+1); i == len(rest) || strings.IndexByte("tfn", rest[i]) >= 0 {
		return -1
	}
	return i
}

// valueEnd is what follows the value that begins at start, and whether it has an end.
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
			if depth--; depth < 0 { // of what the number is in
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

func skipBlank(text []byte, i int) int {
	for i < len(text) && strings.IndexByte(" \t\r\n", text[i]) >= 0 {
		i++
	}
	return i
}

// repacked is content as m's body was.
func repacked(m Message, content []byte) []byte {
	var packed bytes.Buffer
	var to io.WriteCloser
	switch m.packing() {
	case "gzip":
		to = gzip.NewWriter(&packed)
	case "deflate":
		to = zlib.NewWriter(&packed)
	default:
		return content
	}
	_, _ = to.Write(content) // into memory
	_ = to.Close()
	return packed.Bytes()
}
