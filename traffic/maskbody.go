package traffic

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"io"
	"mime"
	"regexp"
	"strings"
)

// jsonField is a field of JSON whose value is a string, also one that the end of
// what is kept cuts off.
var jsonField = regexp.MustCompile(`"((?:[^"\\]|\\.)*)"(\s*:\s*)"(?:[^"\\]|\\.)*("|\\?$)`)

// maskBody masks the fields of a form or of JSON whose names speak of a secret. What
// is packed stays packed, by the same means.
func maskBody(m Message) Message {
	kind, _, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	var mask func([]byte) []byte
	switch {
	case kind == "application/x-www-form-urlencoded":
		mask = func(body []byte) []byte { return []byte(strings.TrimPrefix(maskQuery("?"+string(body)), "?")) }
	case kind == "application/json", strings.HasSuffix(kind, "+json"):
		mask = maskJSON
	}
	if mask == nil || len(m.Body) == 0 {
		return m
	}
	content, whole := m.Content()
	safe := mask(content)
	if !bytes.Equal(safe, content) {
		m.Body, m.Truncated = repacked(m, safe), !whole
	}
	return m
}

func maskJSON(body []byte) []byte {
	return jsonField.ReplaceAllFunc(body, func(field []byte) []byte {
		parts := jsonField.FindSubmatch(field)
		if !secret(string(parts[1])) {
			return field
		}
		return []byte(`"` + string(parts[1]) + `"` + string(parts[2]) + `"` + masked + string(parts[3]))
	})
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
