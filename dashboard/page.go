package dashboard

import (
	"bytes"
	"embed"
	"net/http"
	"path"
	"time"
)

// files are the page, served without a build step.
//
//go:embed page
var files embed.FS

// mediaTypes are used instead of the system's table, which may be missing or wrong.
var mediaTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// servePage serves one file of the page.
func servePage(w http.ResponseWriter, r *http.Request) {
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
	w.Header().Set("Content-Type", mediaTypes[path.Ext(name)])
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}
