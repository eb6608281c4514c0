// Package templates holds the embedded text of every file that silo writes: the
// region config of each dialect of Sentry, and the silo.toml that `silo init`
// starts a user with.
//
// It fills text in and knows nothing of what the text does: not which release
// of Sentry wants which template, not where a file lands.
package templates

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed region/*.tmpl silo.toml.tmpl
var files embed.FS

// Region fills in the region config named after a dialect, such as "tuple-id":
// the Python that stands between silo's markers. The template calls the
// functions in funcs; a field that data lacks is an error.
func Region(dialect string, funcs template.FuncMap, data any) (string, error) {
	name := dialect + ".py.tmpl"
	all, err := template.New(name).Option("missingkey=error").Funcs(funcs).ParseFS(files, "region/"+name, "region/guard.py.tmpl")
	if err != nil {
		return "", fmt.Errorf("parse region config template %s: %w", dialect, err)
	}
	var text strings.Builder
	if err := all.Execute(&text, data); err != nil {
		return "", fmt.Errorf("fill in region config template %s: %w", dialect, err)
	}
	return text.String(), nil
}
