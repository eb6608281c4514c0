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

// policy lets the page use what it brings and nothing else: no inline script or
// style, no other host, no frame around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// guarded lets through to api and page what comes from the page, or from somebody
// who has its whole address. Everybody else learns nothing, not even what answers here.
func (s *Server) guarded(api, page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		harden(w.Header())
		token, rest, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		known := same(token, s.token)
		switch {
		case !slices.Contains(s.hosts, r.Host):
			w.WriteHeader(http.StatusNotFound)
		case !below && (known || s.tickets.use(token, time.Now())):
			http.Redirect(w, r, "/"+s.token+"/", http.StatusSeeOther)
		case !known:
			w.WriteHeader(http.StatusNotFound)
		case !strings.HasPrefix(rest, "v1/"):
			http.StripPrefix("/"+s.token, page).ServeHTTP(w, r)
		default:
			if why := foreign(r); why != "" {
				refuse(w, http.StatusForbidden, why)
				return
			}
			api.ServeHTTP(w, r)
		}
	})
}

// same compares in a time that does not tell how much is right.
func same(given, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
}

// foreign says why a request is not one that the page makes, or nothing. A site
// that has come to know the token still cannot make its visitor's browser act.
func foreign(r *http.Request) string {
	site := r.Header.Get("Sec-Fetch-Site") // browsers send it and let no script set it
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if site != "" && site != "same-origin" && site != "none" {
			return "another site asks"
		}
		return ""
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case r.Header.Get("Origin") != "http://"+r.Host, site != "" && site != "same-origin":
		return "it is not the page that asks"
	case err != nil || kind != "application/json":
		return "only application/json is taken"
	}
	return ""
}

func harden(header http.Header) {
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
}

// refuse answers as the data's handler does.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": why}) // whoever asked may have gone
}
