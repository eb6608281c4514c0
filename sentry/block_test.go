package sentry

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "update the golden files")

func named(t *testing.T, name string) Dialect {
	t.Helper()
	d, err := DialectNamed(name)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRenderGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/block/*.golden")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			comment, golden := readParts(t, file)
			var input struct {
				Config
				Dialect string
				Seen    bool // Sentry itself was found, not only a release number
			}
			if err := json.Unmarshal([]byte(golden[0].text), &input); err != nil {
				t.Fatal(err)
			}
			choice, err := Choose(t.Context(), input.Dialect, Finder{})
			if err != nil {
				t.Fatal(err)
			}
			input.Config.Dialect = choice.Dialect
			input.Config.Dialect.Minimal = choice.Dialect.Minimal && !input.Seen
			block, err := Render(input.Config)
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				golden[1].text = block.Marked()
				writeParts(t, file, comment, golden)
			}
			if got := block.Marked(); got != golden[1].text {
				t.Errorf("got:\n%s\nwant:\n%s", got, golden[1].text)
			}
			if again, err := ParseBlock(block.Marked()); err != nil || again != block {
				t.Errorf("read back %+v, %v; wrote %+v", again, err, block)
			}
		})
	}
}

// Every dialect can be rendered, and has its own golden file.
func TestRenderKnowsEveryDialect(t *testing.T) {
	t.Parallel()
	for _, d := range Dialects() {
		if _, err := Render(Config{Dialect: d, Regions: []Region{{Name: "us", ID: 1, URL: "http://127.0.0.1:1", Category: "MULTI_TENANT"}}}); err != nil {
			t.Errorf("%s: %v", d.Name, err)
		}
		if _, err := os.Stat(filepath.Join("testdata", "block", d.Name+".golden")); err != nil {
			t.Error(err)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	region := Region{Name: "us", ID: 1, URL: "http://127.0.0.1:1", Category: "MULTI_TENANT"}
	if _, err := Render(Config{Dialect: named(t, "dict")}); err == nil {
		t.Error("rendered without regions")
	}
	region.Category = "MULTI_TENANT) or evil("
	if _, err := Render(Config{Dialect: named(t, "tuple-id"), Regions: []Region{region}}); err == nil {
		t.Error("Render accepts an unknown category")
	}
}

func TestBeatSuffixIsUnique(t *testing.T) {
	t.Parallel()
	one := Config{Instance: "acme", File: "/a/silo.toml"}.beatSuffix()
	two := Config{Instance: "acme", File: "/b/silo.toml"}.beatSuffix()
	if one == two || filepath.Base("x"+one) != "x"+one {
		t.Error(one, two)
	}
}
