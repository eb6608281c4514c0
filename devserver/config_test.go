package devserver

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestConfig parses each sentry.conf.py in testdata/conf and compares the result with
// the second file of the archive.
func TestConfig(t *testing.T) {
	t.Parallel()
	for name, archive := range archives(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, want := archive[0], archive[1]
			got := describe(parseConfig("sentry.conf.py", src))
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			// As a Windows editor saves it.
			if got := describe(parseConfig("sentry.conf.py", "\ufeff"+strings.ReplaceAll(src, "\n", "\r\n"))); got != want {
				t.Errorf("with CRLF, got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// archives returns the source and the expected result of each file in testdata/conf.
func archives(tb testing.TB) map[string][2]string {
	tb.Helper()
	files, err := filepath.Glob("testdata/conf/*.txtar")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no cases: %v", err)
	}
	all := map[string][2]string{}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		if len(archive.Files) != 2 {
			tb.Fatalf("%s has not two files", file)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".txtar")] = [2]string{string(archive.Files[0].Data), string(archive.Files[1].Data)}
	}
	return all
}

func describe(c *config, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var out strings.Builder
	if c.control != "" {
		fmt.Fprintf(&out, "control: %s\n", c.control)
	}
	if c.monolith != "" {
		fmt.Fprintf(&out, "monolith: %s\n", c.monolith)
	}
	for _, r := range c.regions {
		fmt.Fprintf(&out, "region: %s %d %s %s\n", r.Name, *r.ID, r.Category, r.Address)
	}
	return out.String()
}

// FuzzConfig checks that the parser never panics, and returns only valid configs.
func FuzzConfig(f *testing.F) {
	for _, archive := range archives(f) {
		f.Add(archive[0])
	}
	f.Add("SENTRY_CELLS = " + strings.Repeat("-", 99) + strings.Repeat("[", 199) + strings.Repeat("]", 199))
	f.Add("SENTRY_CELLS = {**a, 1: 2, 'x': {}: =, lambda: 0}[::](,)")
	f.Add("X = '\\")
	f.Fuzz(func(t *testing.T, src string) {
		c, err := parseConfig("f", src)
		if err == nil && c.validate() != nil {
			t.Errorf("accepted and invalid: %q", src)
		}
	})
}
