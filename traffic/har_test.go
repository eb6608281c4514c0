package traffic

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// exchanges returns an exchange of each kind: ordinary, compressed, binary, truncated,
// open, blocked, broken, and one with an absolute request target.
func exchanges(t *testing.T, secret string) []Exchange {
	t.Helper()
	var packed bytes.Buffer
	pack := gzip.NewWriter(&packed)
	_, err := pack.Write([]byte(`{"packed":true}`))
	if err != nil || pack.Close() != nil {
		t.Fatal(err)
	}
	started := time.Date(2026, 1, 31, 12, 0, 0, 123e6, time.UTC)
	header := http.Header{
		"Authorization": {"Bearer " + secret}, "Cookie": {"sid=" + secret + "; csrf=" + secret}, "X-Sentry-Auth": {secret},
		"Content-Type": {"application/json"}, "Referer": {"http://x/?access_token=" + secret}, "X-Twice": {"1", "2"},
	}
	ordinary := Exchange{
		ID: 1, State: Done, Silo: "eu", Caller: Caller{Silo: new("control"), PID: new(42), Program: new("python3"), Address: "127.0.0.1:5"},
		Started: started, Method: "POST", Host: "eu.acme.test", Path: "/api/0/a%2Fb/?q=x+y&token=" + secret + "&flag", Proto: "HTTP/1.1", Status: 201,
		Request: Message{Header: header, Bytes: 8, Body: []byte(`{"a": 1}`)},
		Response: Message{
			Header: http.Header{"Content-Type": {"application/json"}, "Location": {"/next?session=" + secret}, "Set-Cookie": {"sid=" + secret + "; Path=/; HttpOnly; Secure; Expires=Wed, 21 Oct 2026 07:28:00 GMT"}},
			Bytes:  11, Body: []byte(`{"ok":true}`),
		},
		FirstByte: new(0.010), Total: new(0.0125),
	}
	zipped := Exchange{ID: 2, State: Done, Silo: "eu", Started: started, Method: "GET", Host: "eu", Path: "/", Proto: "HTTP/1.1", Status: 200, Response: Message{
		Header: http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"application/json"}}, Bytes: int64(packed.Len()), Body: packed.Bytes(),
	}}
	binary := Exchange{
		ID: 3, State: Done, Silo: "eu", Started: started, Method: "PUT", Host: "eu", Path: "/i.png", Proto: "HTTP/2.0", Status: 200,
		Request: Message{Bytes: 3, Body: []byte{0xff, 0, 1}}, Response: Message{Header: http.Header{"Content-Type": {"image/png"}}, Bytes: 2, Body: []byte{0x89, 0xff}},
	}
	cut := Exchange{
		ID: 4, State: Done, Silo: "eu", Started: started, Method: "GET", Host: "eu", Path: "/", Proto: "HTTP/1.1", Status: 200,
		Response: Message{Bytes: 1 << 30, Body: []byte("begin \xc3"), Truncated: true},
	}
	open := Exchange{ID: 5, State: Open, Silo: "us", Caller: Caller{Silo: new("eu")}, Crossing: true, Started: started, Method: "GET", Host: "us", Path: "/stream", Proto: "HTTP/1.1", FirstByte: new(0.5)}
	blocked := Exchange{ID: 6, State: Done, Silo: "us", Caller: Caller{Silo: new("eu")}, Crossing: true, Blocked: true, Started: started, Method: "GET", Host: "us", Path: "/", Proto: "HTTP/1.1", Status: 403, Total: new(0.001), ReplayOf: new(uint64(5))}
	broken := Exchange{ID: 7, State: Broken, Silo: "us", Started: started, Method: "OPTIONS", Host: "us", Path: "*", Proto: "HTTP/1.1", Total: new(0.2), Error: new("the client disconnected"), Fault: new("down")}
	absolute := Exchange{ID: 8, State: Done, Silo: "us", Started: started, Method: "GET", Path: "http://us/x?code=" + secret + "&token=" + secret, Proto: "HTTP/1.0", Status: 200}
	absolute.Path = strings.ReplaceAll(absolute.Path, "code="+secret, "code=1")
	return []Exchange{ordinary, zipped, binary, cut, open, blocked, broken, absolute}
}

// The required fields of HAR 1.2 are present. The JSON schema of har-schema 2.0.0 also
// accepts this file.
func TestHARHasTheRequiredFields(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := WriteHAR(&out, "1.2.3", exchanges(t, "PLANTED")); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "PLANTED") {
		t.Error("a secret is not masked")
	}
	var file struct {
		Log map[string]any `json:"log"`
	}
	if err := json.Unmarshal(out.Bytes(), &file); err != nil {
		t.Fatal(err)
	}
	has(t, "log", file.Log, "version", "creator", "pages", "entries")
	entries, _ := file.Log["entries"].([]any)
	if len(entries) != 8 {
		t.Fatalf("%d entries", len(entries))
	}
	for i, entry := range entries {
		at := fmt.Sprintf("entry %d", i)
		e := has(t, at, entry, "startedDateTime", "time", "request", "response", "cache", "timings", "comment")
		has(t, at, e["request"], "method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize")
		r := has(t, at, e["response"], "status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize", "bodySize")
		has(t, at, r["content"], "size", "mimeType")
		times := has(t, at, e["timings"], "send", "wait", "receive")
		sum := 0.0
		for name, value := range times {
			ms, _ := value.(float64)
			if ms < 0 {
				t.Errorf("%s: %s is %v", at, name, value)
			}
			sum += ms
		}
		if e["time"] != sum {
			t.Errorf("%s takes %v, its parts take %v", at, e["time"], sum)
		}
	}
}

// has checks that an object has these fields and that none is null.
func has(t *testing.T, at string, object any, fields ...string) map[string]any {
	t.Helper()
	o, _ := object.(map[string]any)
	for _, name := range fields {
		if o[name] == nil {
			t.Errorf("%s: no %s in %v", at, name, object)
		}
	}
	return o
}

func TestHAREntries(t *testing.T) {
	t.Parallel()
	list := exchanges(t, "PLANTED")
	one := newHAREntry(list[0].Masked())
	if one.Request.URL != "http://eu.acme.test/api/0/a%2Fb/?q=x+y&token=***&flag" || fmt.Sprint(one.Request.Query) != "[{q x y} {token ***} {flag }]" {
		t.Errorf("%s %v", one.Request.URL, one.Request.Query)
	}
	if one.Started != "2026-01-31T12:00:00.123Z" || one.Time != 12.5 || one.Timings != (harTimings{0, 10, 2.5}) {
		t.Errorf("%s: %v of %v", one.Started, one.Timings, one.Time)
	}
	if one.Request.PostData == nil || one.Request.PostData.Text != `{"a": 1}` || one.Request.PostData.MIMEType != "application/json" {
		t.Errorf("%+v", one.Request.PostData)
	}
	if c := one.Response.Cookies; len(c) != 1 || c[0].Name != "sid" || c[0].Path != "/" || !c[0].HTTPOnly || !c[0].Secure || *c[0].Expires != "2026-10-21T07:28:00Z" {
		t.Errorf("%+v", c)
	}
	if len(one.Request.Cookies) != 2 || one.Request.Cookies[1].Name != "csrf" {
		t.Errorf("%+v", one.Request.Cookies)
	}
	if want := "request 1 from control to eu; caller is process 42 (python3)"; one.Comment != want {
		t.Errorf("%s", one.Comment)
	}
	zipped := newHAREntry(list[1]).Response.Content
	if zipped.Text != `{"packed":true}` || zipped.Size != 15 || *zipped.Compression != 15-list[1].Response.Bytes {
		t.Errorf("%+v", zipped)
	}
	binary := newHAREntry(list[2])
	if binary.Response.Content.Text != "if8=" || binary.Response.Content.Encoding != "base64" || binary.Request.PostData.Encoding != "base64" {
		t.Errorf("%+v", binary)
	}
	if cut := newHAREntry(list[3]).Response.Content; cut.Text != "begin " || cut.Size != 1<<30 || cut.Comment == "" || cut.Encoding != "" {
		t.Errorf("%+v", cut)
	}
	for i, want := range map[int]string{
		4: "request 5 from eu to us; from one region to another; open",
		5: "request 6 from eu to us; from one region to another; blocked; replay of 5",
		6: "request 7 from outside to us; answered by the tunnel: down; broken; the client disconnected",
	} {
		if got := newHAREntry(list[i]).Comment; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := newHAREntry(list[6]).Request.URL; got != "http://us/" {
		t.Errorf("%s", got)
	}
	if got := newHAREntry(list[7].Masked()).Request.URL; got != "http://us/x?code=1&token=***" {
		t.Errorf("%s", got)
	}
}

func TestContent(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	pack := gzip.NewWriter(&bomb)
	_, err := pack.Write(make([]byte, 4*contentLimit))
	if err != nil || pack.Close() != nil {
		t.Fatal(err)
	}
	gzipped := http.Header{"Content-Encoding": {"gzip"}}
	for name, test := range map[string]struct {
		message Message
		length  int
		whole   bool
	}{
		"empty":            {Message{}, 0, true},
		"plain":            {Message{Body: []byte("abc")}, 3, true},
		"truncated":        {Message{Body: []byte("abc"), Truncated: true}, 3, false},
		"a bomb":           {Message{Header: gzipped, Body: bomb.Bytes()}, contentLimit, false},
		"gzip, truncated":  {Message{Header: gzipped, Body: bomb.Bytes()[:bomb.Len()/8], Truncated: true}, -1, false},
		"not gzip":         {Message{Header: gzipped, Body: []byte("abc")}, 3, true},
		"unknown encoding": {Message{Header: http.Header{"Content-Encoding": {"br"}}, Body: []byte("abc")}, 3, true},
	} {
		content, whole := test.message.Content()
		if whole != test.whole || len(content) != test.length && test.length >= 0 || test.length < 0 && len(content) == 0 {
			t.Errorf("%s: %d bytes, whole: %v", name, len(content), whole)
		}
	}
}
