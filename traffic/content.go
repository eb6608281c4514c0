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

// contentLimit bounds what a body is unpacked to, in bytes.
const contentLimit = 16 * BodyLimit

// Content is what is kept of a body, without its Content-Encoding where that is
// gzip or deflate, and whether that is all of it. What cannot be unpacked is as it
// passed.
func (m Message) Content() (content []byte, whole bool) {
	var unpacked io.Reader
	var err error
	switch m.packing() {
	case "gzip":
		unpacked, err = gzip.NewReader(bytes.NewReader(m.Body))
	case "deflate":
		if unpacked, err = zlib.NewReader(bytes.NewReader(m.Body)); err != nil {
			return m.rawDeflated()
		}
	}
	if unpacked == nil || err != nil {
		return m.Body, !m.Truncated
	}
	content, err = readContent(unpacked) // of a part, as much as there is
	return content, err == nil && !m.Truncated
}

// rawDeflated is the Content of a body without the frame that deflate means (RFC
// 9110, section 8.4.1.2): some leave it out. Nearly any bytes can be taken for the
// beginning of such a one, but hardly for all of it.
func (m Message) rawDeflated() (content []byte, whole bool) {
	content, err := readContent(flate.NewReader(bytes.NewReader(m.Body)))
	if err == nil || errors.Is(err, errTooLong) || m.Truncated && errors.Is(err, io.ErrUnexpectedEOF) {
		return content, err == nil && !m.Truncated
	}
	return m.Body, !m.Truncated
}

var errTooLong = errors.New("longer than contentLimit")

// readContent gives what there is up to contentLimit, also with an error.
func readContent(unpacked io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(unpacked, contentLimit+1))
	if len(content) > contentLimit {
		return content[:contentLimit], errTooLong
	}
	return content, err
}

// packing is the Content-Encoding of a body, in one word.
func (m Message) packing() string {
	return strings.TrimPrefix(strings.ToLower(strings.TrimSpace(m.Header.Get("Content-Encoding"))), "x-")
}

// Text is Content as text, and whether it is any: UTF-8, without bytes that no
// text has. A character that the end of what is kept cuts in two is left out.
func (m Message) Text() (text string, whole, is bool) {
	content, whole := m.Content()
	for cut := 0; cut < utf8.UTFMax && !whole && len(content) > 0 && !utf8.Valid(content); cut++ {
		content = content[:len(content)-1]
	}
	if bytes.IndexByte(content, 0) >= 0 || !utf8.Valid(content) {
		return "", whole, false
	}
	return string(content), whole, true
}
