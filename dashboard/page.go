package dashboard

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"time"
)

// files are the page: written by hand, served as they are.
//
//go:embed page
var files embed.FS

// types are the media types of the page's files. The system's own table, which
// may be missing or wrong, is not asked.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file answers with one file of the page.
func file(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	name := r.URL.Path
	if name == "/" {
		name = "/index.html"
	}
	data, err := files.ReadFile("page" + path.Clean(name))
	if err != nil {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", types[path.Ext(name)])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}
