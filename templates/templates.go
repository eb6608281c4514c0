// Package templates contains the embedded text of every file that silo writes and of
// every program that it runs.
//
// It must not know what a text does, which Sentry release needs it, or where a file is
// written: the package that fills it in knows that.
package templates

import (
	"embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed region/*.tmpl python/*.py shell/* silo.toml.tmpl silo.1.tmpl
var files embed.FS

// Text returns an embedded file unchanged. It panics if the file does not exist.
func Text(name string) string {
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// Execute parses the embedded templates in paths and executes the one called
// name: a path's last element, or a name that one of them defines. They may call
// funcs. A field that data lacks is an error.
func Execute(name string, funcs template.FuncMap, data any, paths ...string) (string, error) {
	all, err := template.New("").Option("missingkey=error").Funcs(funcs).ParseFS(files, paths...)
	if err != nil {
		return "", fmt.Errorf("parse template %s: %w", name, err)
	}
	var text strings.Builder
	if err := all.ExecuteTemplate(&text, name, data); err != nil {
		return "", fmt.Errorf("execute template %s: %w", name, err)
	}
	return text.String(), nil
}
