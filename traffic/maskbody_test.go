package traffic

import (
	"bytes"
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
