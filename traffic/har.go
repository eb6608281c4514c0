package traffic

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The format is HAR 1.2 (http://www.softwareishard.com/blog/har-12-spec). Optional fields
// without a known value are omitted, except pages: Firefox rejects a file without it
// (devtools/client/netmonitor/src/har/har-importer.js).

type harEntry struct {
	Started  string      `json:"startedDateTime"`
	Time     float64     `json:"time"` // all times are in milliseconds
	Request  harRequest  `json:"request"`
	Response harResponse `json:"response"`
	Cache    struct{}    `json:"cache"`
	Timings  harTimings  `json:"timings"`
	Comment  string      `json:"comment"`
}

type harRequest struct {
	Method      string       `json:"method"`
	URL         string       `json:"url"`
	HTTPVersion string       `json:"httpVersion"`
	Cookies     []harCookie  `json:"cookies"`
	Headers     []harPair    `json:"headers"`
	Query       []harPair    `json:"queryString"`
	PostData    *harPostData `json:"postData,omitempty"`
	HeadersSize int          `json:"headersSize"`
	BodySize    int64        `json:"bodySize"`
}

type harResponse struct {
	Status      int         `json:"status"` // 0: no response
	StatusText  string      `json:"statusText"`
	HTTPVersion string      `json:"httpVersion"`
	Cookies     []harCookie `json:"cookies"`
	Headers     []harPair   `json:"headers"`
	Content     harContent  `json:"content"`
	RedirectURL string      `json:"redirectURL"`
	HeadersSize int         `json:"headersSize"`
	BodySize    int64       `json:"bodySize"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harCookie struct {
	Name     string  `json:"name"`
	Value    string  `json:"value"`
	Path     string  `json:"path,omitempty"`
	Domain   string  `json:"domain,omitempty"`
	Expires  *string `json:"expires,omitempty"`
	HTTPOnly bool    `json:"httpOnly,omitempty"`
	Secure   bool    `json:"secure,omitempty"`
}

// harPostData has an encoding that HAR 1.2 does not define. Readers know the field from
// content.
type harPostData struct {
	MIMEType string `json:"mimeType"`
	Text     string `json:"text"`
	Encoding string `json:"encoding,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

type harContent struct {
	Size        int64  `json:"size"` // decoded
	Compression *int64 `json:"compression,omitempty"`
	MIMEType    string `json:"mimeType"`
	Text        string `json:"text,omitempty"`
	Encoding    string `json:"encoding,omitempty"`
	Comment     string `json:"comment,omitempty"`
}

type harTimings struct {
	Send    float64 `json:"send"`
	Wait    float64 `json:"wait"`
	Receive float64 `json:"receive"`
}

// sizeUnknown stands for a size that is not recorded, such as that of the headers.
const sizeUnknown = -1

// WriteHAR writes exchanges as HAR 1.2, masked. It encodes one at a time to save memory.
// version is this program's version.
func WriteHAR(w io.Writer, version string, list []Exchange) error {
	creator, err := json.Marshal(map[string]string{"name": "silo", "version": version})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w, `{"log":{"version":"1.2","creator":%s,"pages":[],"entries":[`, creator); err != nil {
		return err
	}
	for i, e := range list {
		entry, err := json.Marshal(newHAREntry(e.Masked()))
		if err != nil {
			return fmt.Errorf("export request %d: %w", e.ID, err)
		}
		if i > 0 {
			entry = append([]byte(",\n"), entry...)
		}
		if _, err := w.Write(entry); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "]}}\n")
	return err
}

func newHAREntry(e Exchange) harEntry {
	entry := harEntry{
		Started: e.Started.Format("2006-01-02T15:04:05.000Z07:00"),
		Comment: harComment(e),
		Request: harRequest{
			Method: cmp.Or(e.Method, http.MethodGet), URL: e.URL(), HTTPVersion: e.Proto, Cookies: sentCookies(e.Request.Header),
			Headers: append([]harPair{{"Host", e.Host}}, harHeaders(e.Request.Header)...), Query: harQuery(e.Path),
			PostData: newHARPostData(e.Request), HeadersSize: sizeUnknown, BodySize: e.Request.Bytes,
		},
		Response: harResponse{
			Status: e.Status, StatusText: http.StatusText(e.Status), HTTPVersion: e.Proto, Cookies: setCookies(e.Response.Header),
			Headers: harHeaders(e.Response.Header), Content: newHARContent(e.Response),
			RedirectURL: e.Response.Header.Get("Location"), HeadersSize: sizeUnknown, BodySize: e.Response.Bytes,
		},
	}
	total, first := milliseconds(e.Total), milliseconds(e.FirstByte)
	entry.Timings.Wait = first
	if e.FirstByte == nil {
		entry.Timings.Wait = total
	}
	entry.Timings.Receive = max(total-entry.Timings.Wait, 0)
	entry.Time = entry.Timings.Wait + entry.Timings.Receive
	return entry
}

func milliseconds(seconds *float64) float64 {
	if seconds == nil {
		return 0
	}
	return max(*seconds*1000, 0)
}

// harComment returns the facts that HAR has no field for.
func harComment(e Exchange) string {
	words := []string{fmt.Sprintf("request %d from %s to %s", e.ID, e.Caller.Name(), e.Silo)}
	if e.Caller.PID != nil && e.Caller.Program != nil {
		words = append(words, fmt.Sprintf("caller is process %d (%s)", *e.Caller.PID, *e.Caller.Program))
	}
	if e.Crossing {
		words = append(words, "from one region to another")
	}
	if e.Blocked {
		words = append(words, "blocked")
	}
	if e.ReplayOf != nil {
		words = append(words, fmt.Sprintf("replay of %d", *e.ReplayOf))
	}
	if e.Fault != nil {
		words = append(words, "answered by the tunnel: "+*e.Fault)
	}
	if e.State != Done {
		words = append(words, string(e.State))
	}
	if e.Error != nil {
		words = append(words, *e.Error)
	}
	return strings.Join(words, "; ")
}

func harQuery(path string) []harPair {
	pairs := []harPair{}
	_, query, _ := strings.Cut(path, "?")
	for part := range strings.SplitSeq(query, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			pairs = append(pairs, harPair{unescaped(name), unescaped(value)})
		}
	}
	return pairs
}

func unescaped(text string) string {
	if plain, err := url.QueryUnescape(text); err == nil {
		return plain
	}
	return text
}

func harHeaders(header http.Header) []harPair {
	pairs := []harPair{}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			pairs = append(pairs, harPair{name, value})
		}
	}
	return pairs
}

// sentCookies and setCookies return the valid cookies; the headers contain all of them.
func sentCookies(header http.Header) []harCookie {
	cookies := []harCookie{}
	for _, c := range (&http.Request{Header: header}).Cookies() {
		cookies = append(cookies, harCookie{Name: c.Name, Value: c.Value})
	}
	return cookies
}

func setCookies(header http.Header) []harCookie {
	cookies := []harCookie{}
	for _, c := range (&http.Response{Header: header}).Cookies() {
		one := harCookie{Name: c.Name, Value: c.Value, Path: c.Path, Domain: c.Domain, HTTPOnly: c.HttpOnly, Secure: c.Secure}
		if !c.Expires.IsZero() {
			one.Expires = new(c.Expires.Format(time.RFC3339))
		}
		cookies = append(cookies, one)
	}
	return cookies
}

// untyped is the type of a body without a Content-Type.
const untyped = "application/octet-stream"

func newHARPostData(m Message) *harPostData {
	if m.Bytes == 0 {
		return nil
	}
	data := &harPostData{MIMEType: cmp.Or(m.Header.Get("Content-Type"), untyped)}
	data.Text, data.Encoding, data.Comment, _ = harText(m)
	return data
}

func newHARContent(m Message) harContent {
	c := harContent{MIMEType: cmp.Or(m.Header.Get("Content-Type"), untyped), Size: m.Bytes}
	var decoded int64
	if c.Text, c.Encoding, c.Comment, decoded = harText(m); c.Comment == "" && m.encoding() != "" {
		c.Size, c.Compression = decoded, new(decoded-m.Bytes)
	}
	return c
}

// harText returns a body in HAR's encoding, and its decoded length.
func harText(m Message) (text, encoding, comment string, size int64) {
	content, whole := m.Content()
	text, _, ok := m.Text()
	if !ok {
		text, encoding = base64.StdEncoding.EncodeToString(content), "base64"
	}
	if !whole {
		comment = fmt.Sprintf("only the beginning of a body of %d bytes", m.Bytes)
	}
	return text, encoding, comment, int64(len(content))
}
