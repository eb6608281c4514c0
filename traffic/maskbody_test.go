package traffic

import (
	"bytes"
	"compress/flate"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestMaskedBodies(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ contentType, encoding, body, want string }{
		"a form":                 {"application/x-www-form-urlencoded", "", "username=ada&password=PLANTED&x", "username=ada&password=***&x"},
		"a truncated form":       {"application/x-www-form-urlencoded", "", "token=PLANT", "token=***"},
		"JSON":                   {"application/json; charset=utf-8", "", `{"name": "ada", "authToken" : "PLAN\"TED", "n": 1}`, `{"name": "ada", "authToken" : "***", "n": 1}`},
		"truncated JSON":         {"application/json", "", `{"password":"PLANT`, `{"password":"***`},
		"truncated in an escape": {"application/json", "", `{"password":"PLANT\`, `{"password":"***`},
		"nested JSON":            {"application/vnd.api+json", "", `[{"a": {"secret": "PLANTED"}}]`, `[{"a": {"secret": "***"}}]`},
		"several":                {"application/json", "", `{"token":"PLANTED","b":["token",":"],"sub":{"cookie": "PLANTED" },"token":null,"token":7}`, `{"token":"***","b":["token",":"],"sub":{"cookie": "***" },"token":null,"token":"***"}`},
		"not JSON":               {"application/json", "", `"`, `"`},
		"only a name":            {"application/json", "", `{"token"`, `{"token"`},
		"only a colon":           {"application/json", "", `{"token": `, `{"token": `},
		"only a quote":           {"application/json", "", `{"token":"`, `{"token":"***`},
		"a name like a value":    {"application/json", "", `{"a": "token", "b": "kept"}`, `{"a": "token", "b": "kept"}`},
		"gzip":                   {"application/json", "gzip", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"deflate":                {"application/json", "deflate", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"two charsets":           {"application/json; charset=utf-8; charset=UTF-8", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"a list of types":        {"application/json, application/json", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"a broken parameter":     {`application/json;charset="utf-8`, "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"lines":                  {"application/x-ndjson", "", "{\"token\": \"PLANTED\"}\n{\"token\": 1}\n", "{\"token\": \"***\"}\n{\"token\": \"***\"}\n"},
		"JSON lines":             {"application/jsonl", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"an old type":            {"Text/JSON", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"no type":                {"", "", " [{\"token\": \"PLANTED\"}]", " [{\"token\": \"***\"}]"},
		"no type, with a BOM":    {"", "", "\ufeff{\"token\": \"PLANTED\"}", "\ufeff{\"token\": \"***\"}"},
		"no type, not JSON":      {"", "", `"token": "it is"`, `"token": "it is"`},
		"JSON sent by curl":      {"application/x-www-form-urlencoded", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"a form, two charsets":   {"application/x-www-form-urlencoded; charset=a; charset=b", "", "token=PLANTED#2&a=1", "token=***&a=1"},
		"a form with URLs":       {"application/x-www-form-urlencoded", "", "url=https://x&keep=1&email=a@b.c&next=%2F%3Ftoken%3DPLANTED", "url=https://x&keep=1&email=a@b.c&next=%2F%3Ftoken%3D***"},
		"other text":             {"text/plain", "", `{"token": "it is"}`, `{"token": "it is"}`},
	} {
		m := Message{Header: http.Header{"Content-Type": {test.contentType}}}
		if test.encoding != "" {
			m.Header.Set("Content-Encoding", test.encoding)
		}
		m.Body = m.encode([]byte(test.body))
		m.Truncated = strings.Contains(name, "truncated")
		before := bytes.Clone(m.Body)
		for _, got := range []Message{Exchange{Request: m}.Masked().Request, Exchange{Response: m}.Masked().Response} {
			if content, whole := got.Content(); string(content) != test.want || whole == m.Truncated {
				t.Errorf("%s: %s, whole: %v", name, content, whole)
			}
		}
		if !bytes.Equal(m.Body, before) {
			t.Errorf("%s: the exchange has changed", name)
		}
		if brief := (Exchange{Request: m}).Brief(); brief.Request.Body != nil {
			t.Errorf("%s: brief has a body", name)
		}
	}
}

// Some servers omit the zlib frame of deflate, and some declare deflate for plain bodies.
func TestMasksRawDeflate(t *testing.T) {
	t.Parallel()
	body := []byte(`{"name": "ada", "token": "PLANTED"}`)
	var raw bytes.Buffer
	to, err := flate.NewWriter(&raw, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = to.Write(body)
	_ = to.Close()
	header := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"deflate"}}
	for name, m := range map[string]Message{
		"raw":            {Header: header, Body: raw.Bytes()},
		"raw, truncated": {Header: header, Body: raw.Bytes()[:raw.Len()-1], Truncated: true},
		"plain":          {Header: header, Body: body},
	} {
		if content, whole := m.Content(); !bytes.HasPrefix(content, body[:len(body)-4]) || whole == m.Truncated {
			t.Errorf("%s: %q, whole: %v", name, content, whole)
		}
		content, _ := maskBody(m).Content()
		if !bytes.HasPrefix(content, []byte(`{"name": "ada", "token": "***`)) {
			t.Errorf("%s: masked as %q", name, content)
		}
	}
}

// Masking any text keeps the rest of it and finds secrets that follow.
func FuzzMaskText(f *testing.F) {
	for _, text := range []string{"/a?next=%2Fb%3Ftoken%3Dhunter2#a=b", "http://u:p@h;token=a;b", strings.Repeat("?token=;//a@", 20), "%25252525253d", "0; url=//a@b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, in := range []context{inURL, inForm, inField} {
			for _, secret := range []string{"&token=PLANTED", "&a=%2F%3Ftoken%3DPLANTED", "&a=//PLANTED@h"} {
				if safe := maskText(text+secret, in); strings.Contains(safe, "PLANTED") && !strings.Contains(text, "PLANTED") {
					t.Fatalf("%q becomes %q", text+secret, safe)
				}
			}
			safe := maskText(text, in)
			rest := text
			for part := range strings.SplitSeq(safe, masked) {
				i := strings.Index(rest, part)
				if i < 0 {
					t.Fatalf("%q has %q, which is not in %q", safe, part, text)
				}
				rest = rest[i+len(part):]
			}
		}
	})
}

// Masking any body is idempotent and keeps valid JSON valid.
func FuzzMaskJSON(f *testing.F) {
	f.Add([]byte(`{"token": "a", "b": {"password":"c\\\""}}`))
	f.Add([]byte(`"""":"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		safe := maskJSON(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body has changed")
		}
		if again := maskJSON(safe); !bytes.Equal(again, safe) {
			t.Fatalf("masked as %q, then as %q", safe, again)
		}
		if json.Valid(body) && !json.Valid(safe) {
			t.Fatalf("valid JSON %q became %q", body, safe)
		}
	})
}
