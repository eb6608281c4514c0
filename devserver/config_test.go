package devserver

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"pgregory.net/rapid"
)

// TestConfig reads testdata/conf: each file holds a sentry.conf.py and what is
// understood of it.
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
			// What an editor of another system would save.
			if got := describe(parseConfig("sentry.conf.py", "\ufeff"+strings.ReplaceAll(src, "\n", "\r\n"))); got != want {
				t.Errorf("with CRLF, got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// archives are source and expectation of each file of testdata/conf.
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
		fmt.Fprintf(&out, "region: %s %d %s %s\n", r.Name, r.ID, r.Category, r.Address)
	}
	return out.String()
}

// TestConfigRoundTrip writes random regions in random forms and reads them back.
func TestConfigRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) region {
			return region{
				Name:     rapid.String().Draw(t, "name"),
				ID:       rapid.IntRange(0, maxRegionID).Draw(t, "id"),
				Category: rapid.SampledFrom([]string{multiTenant, singleTenant}).Draw(t, "category"),
				Address:  rapid.String().Draw(t, "address"),
			}
		}), 0, 5).Draw(t, "regions")
		var src strings.Builder
		gap := func() string {
			return rapid.SampledFrom([]string{"", " ", "\n", " # ')\"\n", "\\\n", "\t"}).Draw(t, "gap")
		}
		fmt.Fprint(&src, "SENTRY_REGION_CONFIG = [")
		for _, r := range want {
			entry := []string{"Region", "(", python(t, r.Name), ",", fmt.Sprint(r.ID), ",", python(t, r.Address), ",", "RegionCategory.", r.Category, ")", ","}
			if rapid.Bool().Draw(t, "dict") {
				entry = []string{"{", "'address'", ":", python(t, r.Address), ",", "'name'", ":", python(t, r.Name), ",", `"snowflake_id"`, ":", fmt.Sprint(r.ID), ",", "'category'", ":", python(t, r.Category), ",", "}", ","}
			}
			for _, piece := range entry {
				fmt.Fprint(&src, gap(), piece)
			}
		}
		fmt.Fprint(&src, gap(), "]\n")
		c, err := parseConfig("", src.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, src.String())
		}
		if !slices.Equal(c.regions, want) {
			t.Fatalf("got %+v\nwant %+v in\n%s", c.regions, want, src.String())
		}
	})
}

// python writes a string as somebody might in Python.
func python(t *rapid.T, s string) string {
	quotes := rapid.SampledFrom([]string{`"`, "'", `"""`, "'''"}).Draw(t, "quotes")
	var out strings.Builder
	for _, r := range s {
		switch {
		case r == '\\' || string(r) == quotes[:1]:
			out.WriteString(`\` + string(r))
		case r == '\n' && len(quotes) == 1:
			out.WriteString(`\n`)
		case rapid.Bool().Draw(t, "escape") && r <= 0xff:
			fmt.Fprintf(&out, `\x%02x`, r)
		case rapid.Bool().Draw(t, "escape") && r <= 0xffff:
			fmt.Fprintf(&out, `\u%04X`, r)
		case r > 0xffff && rapid.Bool().Draw(t, "escape"):
			fmt.Fprintf(&out, `\U%08x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return quotes + out.String() + quotes
}

// FuzzConfig feeds anything to the reader: it ends, and does not panic.
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

// TestRealSettings reads a whole settings module of Sentry: nothing in it may be
// taken for a fault of syntax.
func TestRealSettings(t *testing.T) {
	t.Parallel()
	releases := realReleases(t)
	for _, release := range releases {
		files, err := filepath.Glob(filepath.Join(release, "venv/lib/python*/site-packages/sentry/conf/*.py"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no settings: %v", release, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := assignments(string(src)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
