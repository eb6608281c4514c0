package proxy

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written is what net/http would write, whatever the header holds.
func TestFieldsAreWrittenAsNetHTTPDoes(t *testing.T) {
	t.Parallel()
	name := rapid.OneOf(rapid.SampledFrom([]string{"Content-Length", "Connection", "Transfer-Encoding", "Te"}), rapid.StringMatching(`[A-Za-z -:]{0,9}`))
	value := rapid.OneOf(rapid.StringMatching("[a-z \t\r\n,;]{0,9}"), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		header := http.Header(rapid.MapOfN(name, rapid.SliceOfN(value, 0, 3), 0, 40).Draw(t, "header"))
		var want, got strings.Builder
		without := map[string]bool{}
		for name := range header {
			without[name] = framing(name)
		}
		if err := header.WriteSubset(&want, without); err != nil {
			t.Fatal(err)
		}
		out := bufio.NewWriter(&got)
		writeFields(out, header, framing)
		if err := out.Flush(); err != nil {
			t.Fatal(err)
		}
		if got.String() != want.String() {
			t.Fatalf("%q, not %q", got.String(), want.String())
		}
	})
}
