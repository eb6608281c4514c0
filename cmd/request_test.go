package cmd

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given string // one per line
		want  http.Header
		host  string
		wrong string
	}{
		{"Accept: a, b\naccept:c", http.Header{"Accept": {"a, b", "c"}}, "", ""},
		{"X-Empty;", http.Header{"X-Empty": {""}}, "", ""},
		{"User-Agent:", http.Header{"User-Agent": nil}, "", ""},
		{"HOST: acme.test:80", http.Header{}, "acme.test:80", ""},
		{"X: a:b;c", http.Header{"X": {"a:b;c"}}, "", ""},
		{"", nil, "", "is not a header"},
		{"X", nil, "", "is not a header"},
		{": x", nil, "", "is not a header"},
		{"X;y", nil, "", "is not a header"},
		{"content-length: 3", nil, "", "-H Content-Length: silo clients do not send that header"},
		{"X-Forwarded-Proto: https", nil, "", "do not send that header"},
	} {
		got, host, err := headers(strings.Split(c.given, "\n"))
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%q: %v", c.given, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || host != c.host {
			t.Errorf("%q: host %q, header (-want +got):\n%s", c.given, host, diff)
		}
	}
}
