package sentry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"silo/sentry"
)

// headers parses one "Name: value" per line and keeps the spelling of names.
func headers(text string) http.Header {
	h := http.Header{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok {
			h[name] = append(h[name], value)
		}
	}
	return h
}

// The expected results follow silo/util.py of 23.7.1 and later, plus the headers that
// Connection names. Content-Encoding is kept, because the body is forwarded unchanged.
func TestHeaderRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		clean     func(http.Header)
		in, stays string
	}{
		"who asks": {
			sentry.CleanRequest, "Cookie: a=1\nAuthorization: Bearer x\nAccept: */*\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-Host: a.test",
			"Cookie: a=1\nAuthorization: Bearer x\nAccept: */*\nX-Forwarded-For: 1.2.3.4\nX-Forwarded-Host: a.test",
		},
		"set by each request": {
			sentry.CleanRequest, "Host: a\nX-Forwarded-Proto: https\nContent-Length: 3\nContent-Type: text/plain\nContent-Encoding: gzip",
			"Content-Type: text/plain\nContent-Encoding: gzip",
		},
		"in any case": {sentry.CleanRequest, "hOST: a\nx-forwarded-proto: https\nCONTENT-LENGTH: 3\ntransfer-encoding: chunked\naccept: */*", "accept: */*"},
		"hop by hop": {
			sentry.CleanRequest,
			"Connection: close\nKeep-Alive: 5\nProxy-Authenticate: x\nProxy-Authorization: x\nProxy-Connection: x\nTE: trailers\nTrailer: Sum\nTrailers: Sum\nTransfer-Encoding: chunked\nUpgrade: websocket\nX-Stays: 1",
			"X-Stays: 1",
		},
		"named by Connection": {
			sentry.CleanRequest, "connection: close, X-Mine\nConnection: x-yours , \nX-Mine: 1\nX-Yours: 2\nX-Theirs: 3", "X-Theirs: 3",
		},
		"signatures go out": {
			sentry.CleanRequest, "X-Sentry-Subnet-Signature: v0=1\nX-Sentry-Subnet-Base-URL: https://a", "X-Sentry-Subnet-Signature: v0=1\nX-Sentry-Subnet-Base-URL: https://a",
		},
		"signature headers in a response": {
			sentry.CleanResponse,
			"X-Sentry-Subnet-Organization-Integration: 1\nx-sentry-subnet-signature: v0=1\nX-Sentry-Subnet-Base-URL: https://a\nX-Sentry-Subnet-Path: p\nX-Sentry-Subnet-Timeout: 3\nX-Sentry-Subnet-Keyid: 1\nX-SENTRY-INTERNAL-PROXY-FAILURE: true\nX-Sentry-Error: 1",
			"X-Sentry-Error: 1",
		},
		"an answer": {
			sentry.CleanResponse,
			"Set-Cookie: a=1\nSet-Cookie: b=2\nContent-Length: 3\nContent-Encoding: gzip\nContent-Type: text/html\nLocation: /x\nKeep-Alive: 5\nConnection: Keep-Alive, X-Mine\nX-Mine: 1",
			"Set-Cookie: a=1\nSet-Cookie: b=2\nContent-Length: 3\nContent-Encoding: gzip\nContent-Type: text/html\nLocation: /x",
		},
		"nothing": {sentry.CleanRequest, "", ""},
	} {
		got := headers(c.in)
		c.clean(got)
		if diff := cmp.Diff(headers(c.stays), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	sentry.CleanRequest(nil) // a nil header
}
