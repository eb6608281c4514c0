package traffic

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"unicode/utf8"
)

// contentLimit bounds the size of a decoded body, in bytes.
const contentLimit = 16 * BodyLimit

// Content returns the kept part of a body, decoded if its Content-Encoding is gzip or
// deflate, and reports whether that is the whole body. If the body cannot be decoded, it
// is returned unchanged.
func (m Message) Content() (content []byte, whole bool) {
	var decoded io.Reader
	var err error
	switch m.encoding() {
	case "gzip":
		decoded, err = gzip.NewReader(bytes.NewReader(m.Body))
	case "deflate":
		if decoded, err = zlib.NewReader(bytes.NewReader(m.Body)); err != nil {
			return m.rawDeflated()
		}
	}
	if decoded == nil || err != nil {
		return m.Body, !m.Truncated
	}
	content, err = readContent(decoded) // of a truncated body, the part that can be decoded
	return content, err == nil && !m.Truncated
}

// rawDeflated is like Content, for a body that may be raw deflate data: some servers
// omit the zlib frame of "deflate" (RFC 9110, section 8.4.1.2). Almost any bytes decode
// at first, but hardly any to the end.
func (m Message) rawDeflated() (content []byte, whole bool) {
	content, err := readContent(flate.NewReader(bytes.NewReader(m.Body)))
	if err == nil || errors.Is(err, errTooLong) || m.Truncated && errors.Is(err, io.ErrUnexpectedEOF) {
		return content, err == nil && !m.Truncated
	}
	return m.Body, !m.Truncated
}

var errTooLong = errors.New("longer than contentLimit")

// readContent returns the content up to contentLimit, even with an error.
func readContent(decoded io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(decoded, contentLimit+1))
	if len(content) > contentLimit {
		return content[:contentLimit], errTooLong
	}
	return content, err
}

// encoding returns the Content-Encoding of a body, without its obsolete "x-".
func (m Message) encoding() string {
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(m.Header.Get("Content-Encoding"))), "x-")
}

// Text returns Content as a string, and reports whether it is text: UTF-8 without NUL
// bytes. A character split by truncation is dropped.
func (m Message) Text() (text string, whole, ok bool) {
	content, whole := m.Content()
	for cut := 0; cut < utf8.UTFMax && !whole && len(content) > 0 && !utf8.Valid(content); cut++ {
		content = content[:len(content)-1]
	}
	if bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content) {
		return "", whole, false
	}
	return string(content), whole, true
}
