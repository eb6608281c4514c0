package templates

import (
	_ "embed" // the script is a string
	"fmt"
	"strings"
	"text/template"
)

//go:embed python/databases.py
var databases string

// Databases is the Python that looks after silos' own databases, and the part of
// every region config that makes a database a silo's own, which the script needs.
func Databases() (script, text string, err error) {
	funcs := template.FuncMap{"py": fmt.Sprint, "pys": fmt.Sprint} // that part calls neither
	all, err := template.New("").Funcs(funcs).ParseFS(files, "region/guard.py.tmpl")
	if err != nil {
		return "", "", fmt.Errorf("parse region config template: %w", err)
	}
	var part strings.Builder
	if err := all.ExecuteTemplate(&part, "databases", nil); err != nil {
		return "", "", fmt.Errorf("fill in region config template: %w", err)
	}
	return databases, part.String(), nil
}
