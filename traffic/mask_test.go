package traffic

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestMasked(t *testing.T) {
	t.Parallel()
	const planted = "PLANTED"
	header := http.Header{
		"Authorization": {"Bearer " + planted}, "Cookie": {"sentrysid=" + planted + "; csrf=" + planted},
		"Set-Cookie": {"sid=" + planted + "; Path=/; HttpOnly"}, "X-Api-Key": {planted}, "X-Csrftoken": {planted},
		"X-Sentry-Auth": {planted}, "X-Sentry-Subnet-Signature": {planted}, "Referer": {"http://x/?code=1&access_token=" + planted},
		"Accept": {"text/html"}, "Www-Authenticate": {"Basic"},
		"Location": {"//u:" + planted + "@h/"}, "Content-Location": {"/a?token=" + planted}, "Refresh": {"0; url=/a?token=" + planted},
		"Link": {"<http://h/a?token=" + planted + ">; rel=\"next\", <http://" + planted + "@h/>"}, "X-Original-Url": {"/a;token=" + planted},
		"X-Forwarded-Uri": {"/a?b=%3Ftoken%3D" + planted}, "X-Anything": {"see /a?token=" + planted + " for more"},
		"From": {"a@b.c"}, "User-Agent": {"bot (+http://h/?about; ?)"},
	}
	e := Exchange{Path: "/a?q=1&Token=" + planted + "&x", Request: Message{Header: header}, Response: Message{Header: header, Trailer: http.Header{"X-Secret": {planted}}}}
	got := e.Masked()
	var text bytes.Buffer
	text.WriteString(got.Path)
	for _, h := range []http.Header{got.Request.Header, got.Response.Header, got.Response.Trailer} {
		_ = h.Write(&text)
	}
	if bytes.Contains(text.Bytes(), []byte(planted)) {
		t.Errorf("a secret is not masked:\n%s", text.String())
	}
	for _, want := range []string{
		"Authorization: Bearer ***", "Cookie: sentrysid=***; csrf=***", "Set-Cookie: sid=***; Path=/; HttpOnly", "Accept: text/html", "Www-Authenticate: Basic",
		"Refresh: 0; url=/a?token=***", "Link: <http://h/a?token=***>; rel=\"next\", <http://***@h/>", "X-Anything: see /a?token=*** for more",
		"From: a@b.c", "User-Agent: bot (+http://h/?about; ?)", "/a?q=1&Token=***&x",
	} {
		if !bytes.Contains(text.Bytes(), []byte(want)) {
			t.Errorf("no %q in\n%s", want, text.String())
		}
	}
	if header.Get("X-Api-Key") != planted {
		t.Error("the exchange has changed")
	}
}

func TestMasksURLsAndJSON(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"/x?a=b#access_token=hunter2":       "/x?a=b#access_token=***",
		"/x?%zztoken=hunter2&b=1":           "/x?%zztoken=***&b=1",
		"/x?a=1;token=hunter2":              "/x?a=1;token=***",
		"http://u:hunter2@h:1/p@q?jwt=":     "http://***@h:1/p@q?jwt=***",
		"https://h/cb#state=1&code_token=x": "https://h/cb#state=1&code_token=***",
		"/plain?q=http://x@y":               "/plain?q=http://***@y",

		"//u:hunter2@h/": "//***@h/",
		"http://u:hunt&er2;@h/a;token=hunter2/b?c":  "http://***@h/a;token=***/b?c",
		"/x?a=x://y/&b=http://u:hunter2@h/@&c=1":    "/x?a=x://y/&b=http://***@h/@&c=1",
		"/x?b=%2F%2Fu%3Ahunter2%40h%2F&c=1":         "/x?b=%2F%2F***%40h%2F&c=1",
		"/x?next=/b?token=hunter2&a=1":              "/x?next=/b?token=***&a=1",
		"/x?next=%2Fb%3Ftoken%3Dhunter2%26a%3D1":    "/x?next=%2Fb%3Ftoken%3D***%26a%3D1",
		"/x?next=%252Fb%253Fa%253D1%2526jwt%253Dh2": "/x?next=%252Fb%253Fa%253D1%2526jwt%253D***",
		"/to/http%3A%2F%2Fh%2F%3Ftoken%3Dhunter2":   "/to/http%3A%2F%2Fh%2F%3Ftoken%3D***",
		"/x?state=token%3Dhunter2":                  "/x?state=token%3D***",
		"/x?a=%2525252525257b":                      "/x?a=***", // escaped too often
		"/x?%74oken%zz=hunter2":                     "/x?%74oken%zz=***",
		"/x?data[token]=hunter2#password=hunter2":   "/x?data[token]=***#password=***",
		"/x?token=hunter2;er&a=1":                   "/x?token=***&a=1",
		"/x?token=hunter2;a=1":                      "/x?token=***;a=1",
		"/x?token=/hunter2?&a":                      "/x?token=***&a",

		// no secrets
		"/cb?to=https://x&user=a@b&page=2":         "/cb?to=https://x&user=a@b&page=2",
		"/cb?to=https%3A%2F%2Fx%26user%3Da%40b":    "/cb?to=https%3A%2F%2Fx%26user%3Da%40b",
		"/npm//@scope/a@1?q=a//b@c":                "/npm//@scope/a@1?q=a//b@c",
		"/x?q=is%3Aopen%20token%20a%3Db&m=a%40b.c": "/x?q=is%3Aopen%20token%20a%3Db&m=a%40b.c",
		"/x?q=the+token&%zz=%":                     "/x?q=the+token&%zz=%",
	} {
		if got := maskQuery(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
	for text, want := range map[string]string{
		`{"password": 123456, "a": 1}`:             `{"password": "***", "a": 1}`,
		`{"password":["hunter2","]"],"a":"b"}`:     `{"password":"***","a":"b"}`,
		`{"tokens":{"a":"hunter2","b":{}},"a":[]}`: `{"tokens":"***","a":[]}`,
		`{"is_auth":true,"token":null}`:            `{"is_auth":true,"token":null}`,
		`{"a":{"pin_token":7}}`:                    `{"a":{"pin_token":"***"}}`,
		`{"token":["hunter2`:                       `{"token":"***`,
	} {
		if got := string(maskJSON([]byte(text))); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}

// Each word hides the value of a header that contains it. The list is repeated here, so
// that no word can be lost.
func TestMasksEachSecretWord(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"auth", "cookie", "token", "secret", "signature", "password", "passwd", "session", "credential", "jwt", "api-key", "api_key", "apikey", "private"} {
		name := http.CanonicalHeaderKey("x-" + word + "-x")
		e := Exchange{}
		e.Request.Header = http.Header{name: {"sesame"}}
		if got := e.Masked().Request.Header.Get(name); strings.Contains(got, "sesame") {
			t.Errorf("%s: %q is not masked", name, got)
		}
	}
}
