package templates

import (
	"strings"
	"testing"
	"text/template"
)

func TestExecute(t *testing.T) {
	t.Parallel()
	funcs := template.FuncMap{"py": func(string) string { return "" }, "pys": func([]string) string { return "" }}
	const dict, guard = "region/dict.py.tmpl", "region/guard.py.tmpl"
	if text, err := Execute("databases", funcs, nil, guard); err != nil || !strings.Contains(text, "SILO_DATABASE") {
		t.Errorf("a part of a file: %q, %v", text, err)
	}
	if _, err := Execute("none", funcs, nil, guard); err == nil {
		t.Error("executed a template that does not exist")
	}
	if _, err := Execute("none", funcs, nil, "region/none.py.tmpl"); err == nil {
		t.Error("parsed a file that does not exist")
	}
	if _, err := Execute("dict.py.tmpl", funcs, map[string]any{}, dict, guard); err == nil {
		t.Error("executed a template with no data")
	}
}
