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
	for name, test := range map[string]struct{ kind, packing, body, want string }{
		"a form":               {"application/x-www-form-urlencoded", "", "username=ada&password=PLANTED&x", "username=ada&password=***&x"},
		"a form that is cut":   {"application/x-www-form-urlencoded", "", "token=PLANT", "token=***"},
		"JSON":                 {"application/json; charset=utf-8", "", `{"name": "ada", "authToken" : "PLAN\"TED", "n": 1}`, `{"name": "ada", "authToken" : "***", "n": 1}`},
		"JSON that is cut":     {"application/json", "", `{"password":"PLANT`, `{"password":"***`},
		"cut within an escape": {"application/json", "", `{"password":"PLANT\`, `{"password":"***`},
		"JSON inside":          {"application/vnd.api+json", "", `[{"a": {"secret": "PLANTED"}}]`, `[{"a": {"secret": "***"}}]`},
		"several":              {"application/json", "", `{"token":"PLANTED","b":["token",":"],"sub":{"cookie": "PLANTED" },"token":null,"token":7}`, `{"token":"***","b":["token",":"],"sub":{"cookie": "***" },"token":null,"token":"***"}`},
		"no JSON":              {"application/json", "", `"`, `"`},
		"a name alone":         {"application/json", "", `{"token"`, `{"token"`},
		"a colon alone":        {"application/json", "", `{"token": `, `{"token": `},
		"a quote alone":        {"application/json", "", `{"token":"`, `{"token":"***`},
		"a name like a value":  {"application/json", "", `{"a": "token", "b": "kept"}`, `{"a": "token", "b": "kept"}`},
		"packed":               {"application/json", "gzip", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"packed otherwise":     {"application/json", "deflate", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"said twice":           {"application/json; charset=utf-8; charset=UTF-8", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"a list of kinds":      {"application/json, application/json", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"a broken parameter":   {`application/json;charset="utf-8`, "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"lines":                {"application/x-ndjson", "", "{\"token\": \"PLANTED\"}\n{\"token\": 1}\n", "{\"token\": \"***\"}\n{\"token\": \"***\"}\n"},
		"lines otherwise":      {"application/jsonl", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"an old name":          {"Text/JSON", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"untold":               {"", "", " [{\"token\": \"PLANTED\"}]", " [{\"token\": \"***\"}]"},
		"untold, with a mark":  {"", "", "\ufeff{\"token\": \"PLANTED\"}", "\ufeff{\"token\": \"***\"}"},
		"untold otherwise":     {"", "", `"token": "it is"`, `"token": "it is"`},
		"a form by curl":       {"application/x-www-form-urlencoded", "", `{"token": "PLANTED"}`, `{"token": "***"}`},
		"a form said twice":    {"application/x-www-form-urlencoded; charset=a; charset=b", "", "token=PLANTED#2&a=1", "token=***&a=1"},
		"a form with URLs":     {"application/x-www-form-urlencoded", "", "url=https://x&keep=1&email=a@b.c&next=%2F%3Ftoken%3DPLANTED", "url=https://x&keep=1&email=a@b.c&next=%2F%3Ftoken%3D***"},
		"other text":           {"text/plain", "", `{"token": "it is"}`, `{"token": "it is"}`},
	} {
		m := Message{Header: http.Header{"Content-Type": {test.kind}}}
		if test.packing != "" {
			m.Header.Set("Content-Encoding", test.packing)
		}
		m.Body = repacked(m, []byte(test.body))
		m.Truncated = strings.Contains(name, "cut")
		before := bytes.Clone(m.Body)
		for _, got := range []Message{Exchange{Request: m}.Masked().Request, Exchange{Response: m}.Masked().Response} {
			if content, whole := got.Content(); string(content) != test.want || whole == m.Truncated {
				t.Errorf("%s: %s, whole: %v", name, content, whole)
			}
		}
		if !bytes.Equal(m.Body, before) {
			t.Errorf("%s: the exchange itself has changed", name)
		}
		if brief := (Exchange{Request: m}).Brief(); brief.Request.Body != nil {
			t.Errorf("%s: brief has a body", name)
		}
	}
}

// Some leave the frame out that deflate means, and some say deflate of what is none.
func TestMaskedWithoutTheFrameOfDeflate(t *testing.T) {
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
		"raw":          {Header: header, Body: raw.Bytes()},
		"raw, and cut": {Header: header, Body: raw.Bytes()[:raw.Len()-1], Truncated: true},
		"none":         {Header: header, Body: body},
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

// Whatever a text is, masking it is quick, leaves the rest alone, and misses nothing
// that follows.
func FuzzMaskText(f *testing.F) {
	for _, text := range []string{"/a?next=%2Fb%3Ftoken%3Dhunter2#a=b", "http://u:p@h;token=a;b", strings.Repeat("?token=;//a@", 20), "%25252525253d", "0; url=//a@b"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, at := range []where{inURL, inForm, inField} {
			for _, secret := range []string{"&token=PLANTED", "&a=%2F%3Ftoken%3DPLANTED", "&a=//PLANTED@h"} {
				if safe := maskText(text+secret, at); strings.Contains(safe, "PLANTED") && !strings.Contains(text, "PLANTED") {
					t.Fatalf("%q becomes %q", text+secret, safe)
				}
			}
			safe := maskText(text, at)
			rest := text
			for part := range strings.SplitSeq(safe, masked) {
				i := strings.Index(rest, part)
				if i < 0 {
					t.Fatalf("%q has %q, which was not in %q", safe, part, text)
				}
				rest = rest[i+len(part):]
			}
		}
	})
}

// Whatever a body is, masking it is quick, breaks nothing and happens once.
func FuzzMaskJSON(f *testing.F) {
	f.Add([]byte(`{"token": "a", "b": {"password":"c\\\""}}`))
	f.Add([]byte(`"""":"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		safe := maskJSON(body)
		if !bytes.Equal(body, before) {
			t.Fatal("the body itself has changed")
		}
		if again := maskJSON(safe); !bytes.Equal(again, safe) {
			t.Fatalf("%q, and then %q", safe, again)
		}
		if json.Valid(body) && !json.Valid(safe) {
			t.Fatalf("%q is no JSON any more: %q", body, safe)
		}
	})
}

func BenchmarkMaskJSON(b *testing.B) {
	body := bytes.Repeat([]byte(`{"author": "ada", "n": 1, "text": "some words of a message"},`), BodyLimit/60)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		maskJSON(body)
	}
}

func BenchmarkMaskText(b *testing.B) {
	for name, part := range map[string]string{
		"form": "name=ada&text=some+words%20of%20a+message&", "nested": "a=?", "ends": "token=;", "escapes": "%25", "hosts": "=//a@",
	} {
		b.Run(name, func(b *testing.B) {
			text := strings.Repeat(part, BodyLimit/len(part))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				maskText(text, inForm)
			}
		})
	}
}
