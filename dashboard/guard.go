package dashboard

import (
	"crypto/subtle"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
)

// contentPolicy allows only the page's own files: no inline script or style, no other host, no
// framing.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guard passes requests to api and page only if they have an allowed Host header and the
// token, and to api only those that can come from the page itself. All others get a 404
// without a body, which reveals nothing.
func (s *Server) guard(api, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setSecurityHeaders(w.Header())
		token, rest, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		valid := equalSecret(token, s.token)
		switch {
		case !slices.Contains(s.hosts, r.Host):
			w.WriteHeader(http.StatusNotFound)
		case !below && (valid || s.tickets.use(token, time.Now())):
			http.Redirect(w, r, "/"+s.token+"/", http.StatusSeeOther)
		case !valid:
			w.WriteHeader(http.StatusNotFound)
		case !strings.HasPrefix(rest, "v1/"):
			http.StripPrefix("/"+s.token, page).ServeHTTP(w, r)
		default:
			if reason := crossSite(r); reason != "" {
				forbid(w, reason)
				return
			}
			api.ServeHTTP(w, r)
		}
	})
}

// equalSecret compares in constant time.
func equalSecret(given, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
}

// crossSite returns why a request cannot come from the page, or an empty string. Even a site that
// knows the token cannot send requests through a visitor's browser.
func crossSite(r *http.Request) string {
	site := r.Header.Get("Sec-Fetch-Site") // set by browsers, never by scripts
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if site != "" && site != "same-origin" && site != "none" {
			return "the request comes from another site"
		}
		return ""
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Header.Get("Origin") != "http://"+r.Host, site != "" && site != "same-origin":
		return "the request does not come from the dashboard"
	case err != nil || kind != "application/json":
		return "the content type must be application/json"
	}
	return ""
}

func setSecurityHeaders(header http.Header) {
	header.Set("Content-Security-Policy", contentPolicy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// forbid responds with an error in the API's form.
func forbid(w http.ResponseWriter, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": reason}) // fails if the client has disconnected
}
