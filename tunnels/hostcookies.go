package tunnels

import (
	"net/http"
	"strings"
)

// cookieWriter adds a domain to the cookies of a silo. A cookie without one goes back
// only to the host that set it (RFC 6265, section 5.3), so a login at control would not
// count in a region. Sentry's own setting has one domain for all requests, which would
// break logins at 127.0.0.1. The proxy calls WriteHeader for every response with cookies.
type cookieWriter struct {
	http.ResponseWriter

	domain string
}

// Unwrap is for http.ResponseController.
func (w *cookieWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *cookieWriter) WriteHeader(status int) {
	cookies := w.Header()["Set-Cookie"]
	for i, cookie := range cookies {
		if mayShare(cookie) {
			cookies[i] = cookie + "; Domain=" + w.domain
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// mayShare reports whether a cookie has no domain and may get one. A browser rejects a
// __Host- cookie with a domain.
func mayShare(cookie string) bool {
	pair, attributes, _ := strings.Cut(cookie, ";")
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(pair)), "__host-") {
		return false
	}
	for attribute := range strings.SplitSeq(attributes, ";") {
		if name, _, _ := strings.Cut(attribute, "="); strings.EqualFold(strings.TrimSpace(name), "Domain") {
			return false
		}
	}
	return true
}
