package proxy

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What passes for a plain answer is the one that net/http reads.
func FuzzAnswers(f *testing.F) {
	for text, plain := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nok":                                      true,
		"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nset-cookie: a=b\r\nSet-Cookie: c=\"d\"\r\n\r\n":                   true,
		"HTTP/1.1 500 \r\nContent-Length: 10\r\nConnection: Keep-Alive\r\n\r\ntorn":                                       true,
		"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nmore than that":                                                         true,
		"HTTP/1.1 200 OK\r\n\r\nuntil the end":                                                                            false,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":                                       false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n":                  false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok":                                             false,
		"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok":                                                                 false,
		"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok":                                                                 false,
		"HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok":                                                false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok":                                             false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: Sum\r\n\r\nok":                                                  false,
		"HTTP/1.1 200 OK\nContent-Length: 2\n\r\n\r\nok":                                                                  false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n folded: 1\r\n\r\nok":                                                    false,
		"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok":                                                                 false,
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n":                                                            false,
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n":                                                          false,
		"HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n":                                    false,
		"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n":                                                                    false,
		"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n":                                                                   false,
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                                  false,
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\nwords": false,
	} {
		f.Add(text)
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		answer, ok := parsePlainAnswer(head+"\r\n\r\n", &http.Request{Method: http.MethodGet}, strings.NewReader(""))
		if ok {
			_ = answer.Body.Close()
		}
		if ok != plain {
			f.Errorf("%q is plain: %v", text, ok)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		head, body, whole := strings.Cut(text, "\r\n\r\n")
		request := &http.Request{Method: http.MethodGet}
		ours, ok := parsePlainAnswer(head+"\r\n\r\n", request, strings.NewReader(body))
		if !whole || !ok {
			return // net/http's to read
		}
		theirs, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), request)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		theirs.Header.Del("Cache-Control") // which net/http adds to Pragma
		ours.Header.Del("Cache-Control")
		got, err := io.ReadAll(ours.Body)
		want, wrong := io.ReadAll(theirs.Body)
		_, _ = ours.Body.Close(), theirs.Body.Close()
		if string(got) != string(want) || !errors.Is(err, wrong) {
			t.Errorf("%q: %q, %v, and net/http reads %q, %v", text, got, err, want, wrong)
		}
		ours.Body, theirs.Body, ours.Request, theirs.Request = nil, nil, nil, nil
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("%q (-net/http +ours)\n%s", text, diff)
		}
	})
}
