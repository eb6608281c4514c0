package devserver

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// handler returns the handler of one port: the app, or webpack in front of it.
func (s *server) handler(webpack bool) http.Handler {
	if webpack {
		return http.HandlerFunc(s.webpack)
	}
	return http.HandlerFunc(s.app)
}

// webpack forwards every request to the app, and answers 504 until the app is loaded.
func (s *server) webpack(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Powered-By", "webpack-dev-server (stand-in)")
	if s.isLoaded() {
		s.app(w, r)
		return
	}
	http.Error(w, "Error occurred while trying to proxy: "+r.Host+r.URL.RequestURI(), http.StatusGatewayTimeout)
}

// app answers and logs one request. uWSGI listens before the app is loaded, so an early
// request waits.
func (s *server) app(w http.ResponseWriter, r *http.Request) {
	select {
	case <-*s.loaded.Load():
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
	counted := &counter{ResponseWriter: w, status: http.StatusOK}
	defer func() { s.log.request(r.Method, counted.status, r.RequestURI, r.Proto, counted.size) }()
	s.route(counted, r)
}

// counter records a response's status and size for the log.
type counter struct {
	http.ResponseWriter

	status int
	size   int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.size += int64(n)
	return n, err
}

// Unwrap gives http.ResponseController access to Flush.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// route picks the response. The health check comes first, as in
// sentry/middleware/health.py.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_health/" {
		s.health(w, r)
		return
	}
	header := w.Header()
	header.Set("X-Silo-Name", s.id.name)
	header.Set("X-Frame-Options", "deny")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-XSS-Protection", "1; mode=block")
	path := r.URL.Path
	switch {
	case path == "/_health":
		header.Set("Content-Type", "text/html; charset=utf-8")
		header.Set("Location", withQuery("/_health/", r.URL))
		w.WriteHeader(http.StatusMovedPermanently)
	case path == "/whoami" || path == "/whoami/":
		writeJSON(w, http.StatusOK, s.whoami())
	case strings.HasPrefix(path, "/call/"):
		s.callSilo(w, r)
	case path == "/echo" || strings.HasPrefix(path, "/echo/"):
		echo(w, r)
	case path == "/stream" || path == "/stream/":
		s.stream(w, r)
	case strings.HasPrefix(path, "/api/"):
		s.api(w, r)
	case path == "/auth/login/":
		s.login(w)
	default:
		s.home(w, r)
	}
}

func withQuery(path string, u *url.URL) string {
	if u.RawQuery == "" {
		return path
	}
	return path + "?" + u.RawQuery
}

// health reports that the app is loaded. With ?full it also requires workers, as Sentry
// does.
func (s *server) health(w http.ResponseWriter, r *http.Request) {
	if !r.URL.Query().Has("full") {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("ok")) // fails only if the client has disconnected
		return
	}
	report := struct {
		Problems []string        `json:"problems"`
		Healthy  map[string]bool `json:"healthy"`
	}{[]string{}, map[string]bool{"CeleryAliveCheck": s.args.workers, "CeleryAppVersionCheck": true, "WarningStatusCheck": true}}
	status := http.StatusOK
	if !s.args.workers {
		status = http.StatusInternalServerError
		report.Problems = append(report.Problems, "Background workers haven't checked in recently. This is likely an issue with your configuration or the workers aren't running.")
	}
	writeJSON(w, status, report)
}

// api answers the paths that reveal the mode: 404 for an endpoint that this mode does not serve,
// 401 for the others, which require a login.
func (s *server) api(w http.ResponseWriter, r *http.Request) {
	mode, allow := "", ""
	switch r.URL.Path {
	case "/api/0/":
		if !s.id.isRegion() {
			w.Header().Set("Allow", "GET, HEAD, OPTIONS")
			writeJSON(w, http.StatusOK, struct {
				Version string  `json:"version"`
				Auth    *string `json:"auth"`
				User    *string `json:"user"`
			}{Version: "0"})
			return
		}
	case "/api/0/organizations/":
		mode, allow = modeControl, "GET, POST, HEAD, OPTIONS"
	case "/api/0/users/me/":
		mode, allow = modeRegion, "GET, PUT, DELETE, HEAD, OPTIONS"
	}
	absent := mode == modeControl && s.id.mode == modeControl || mode == modeRegion && s.id.isRegion()
	if allow == "" || absent {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("WWW-Authenticate", `xBasic realm="api"`)
	w.Header().Set("Allow", allow)
	writeJSON(w, http.StatusUnauthorized, struct {
		Detail string `json:"detail"`
	}{"Authentication credentials were not provided."})
}

// self is the response to /whoami.
type self struct {
	Mode        string  `json:"mode"`
	Region      *string `json:"region"`
	Name        string  `json:"name"`
	PID         int     `json:"pid"`
	Port        int     `json:"port"`
	BackendPort int     `json:"backend_port"`
	Instance    string  `json:"instance"`
	RunID       string  `json:"run_id"`
}

// writeJSON writes value as Sentry does, without spaces or a final newline.
func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		http.Error(w, "encode response: "+err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client has disconnected
}
