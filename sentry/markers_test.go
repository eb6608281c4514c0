package sentry

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func block(t interface{ Fatal(...any) }, instance string, ids ...int) Block {
	d, err := DialectNamed("dict")
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Instance: instance, File: "silo.toml", Dialect: d, ControlURL: "http://127.0.0.1:8000"}
	for _, id := range ids {
		c.Regions = append(c.Regions, Region{Name: "r", ID: id, URL: "http://127.0.0.1:8002", Category: "MULTI_TENANT"})
	}
	b, err := Render(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// content draws a random configuration file.
func content() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		line := rapid.SampledFrom([]string{"", "DEBUG = True", "\tx = 1", "# ünï", "'''", "\r", "a\rb", "\xff\xfe", "\x00", "# >>> other >>>", "x = 1 \\", "  ", "\ufeff"})
		end := rapid.SampledFrom([]string{"\n", "\n", "\r\n"})
		var b strings.Builder
		if rapid.Bool().Draw(t, "bom") {
			b.WriteString("\ufeff")
		}
		for range rapid.IntRange(0, 6).Draw(t, "lines") {
			b.WriteString(line.Draw(t, "line") + end.Draw(t, "end"))
		}
		b.WriteString(line.Draw(t, "last"))
		return []byte(b.String())
	})
}

func TestInsertAndRemoveBlock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		x, one, two := content().Draw(t, "file"), block(t, "acme", 1), block(t, "other\"\n", 2, 3)
		placed, err := insertBlock(x, one)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(placed, x) {
			t.Fatalf("bytes before the block changed: %q", placed)
		}
		again, err := insertBlock(placed, one)
		if err != nil || !bytes.Equal(again, placed) {
			t.Fatalf("inserted again: %q, %v", again, err)
		}
		found, err := parseLayout(placed)
		if err != nil || found.block != one {
			t.Fatalf("read back %+v, %v", found, err)
		}
		after := content().Draw(t, "after")
		behind := append(bytes.Clone(placed), after...)
		replaced, err := insertBlock(behind, two)
		if err != nil || !bytes.HasPrefix(replaced, x) || !bytes.HasSuffix(replaced, after) {
			t.Fatalf("replaced: %q, %v", replaced, err)
		}
		if back, err := insertBlock(replaced, one); err != nil || !bytes.Equal(back, behind) {
			t.Fatalf("replaced again: %q, %v", back, err)
		}
		for _, put := range [][]byte{placed, mustInsert(t, placed, two), bytes.TrimSuffix(placed, []byte(found.eol))} {
			if rest, had, err := removeBlock(put); err != nil || !had || !bytes.Equal(rest, x) {
				t.Fatalf("taken from %q: %q, %v", put, rest, err)
			}
		}
	})
}

func mustInsert(t *rapid.T, x []byte, b Block) []byte {
	placed, err := insertBlock(x, b)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func TestRemoveBlockKeepsLinesApart(t *testing.T) {
	t.Parallel()
	placed, err := insertBlock([]byte("a = 1"), block(t, "acme", 1))
	if err != nil {
		t.Fatal(err)
	}
	rest, _, err := removeBlock(append(placed, "b = 2\n"...))
	if err != nil || string(rest) != "a = 1\nb = 2\n" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestInsertBlockKeepsLineEndings(t *testing.T) {
	t.Parallel()
	placed, err := insertBlock([]byte("a = 1\r\nb = 2"), block(t, "acme", 1))
	if err != nil || bytes.Count(placed, []byte("\n")) != bytes.Count(placed, []byte("\r\n")) {
		t.Errorf("%q, %v", placed, err)
	}
}

func TestMarkersRefused(t *testing.T) {
	t.Parallel()
	b := block(t, "acme", 1)
	marked := b.Marked()
	begin, _, _ := strings.Cut(marked, "\n")
	for text, want := range map[string]string{
		"x\n" + begin + "\ny\n":                      "line 2 begins a block that never ends",
		"x\n# <<< silo <<<\n":                        "line 2 ends a block that never began",
		begin + "\n\n" + marked:                      "line 3 begins a block inside that of line 1",
		marked + "x\n" + marked:                      "begins a second block",
		marked + "# <<< silo <<<":                    "ends a block that never began",
		"# >>> silo: my own words\n":                 "line 1 is a damaged marker",
		"if x:\n  " + begin + "\n":                   "line 2 is a damaged marker",
		strings.Replace(marked, "(silo", "silo", 1):  "line 1 is a damaged marker",
		strings.Replace(marked, `"acme"`, `"\q"`, 1): "line 1 is a damaged marker",
	} {
		if _, err := parseLayout([]byte(text)); !errors.Is(err, ErrMarkers) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
		if _, err := insertBlock([]byte(text), b); !errors.Is(err, ErrMarkers) {
			t.Errorf("%q: written anyway", text)
		}
	}
	if _, err := ParseBlock("no block\n"); !errors.Is(err, ErrMarkers) {
		t.Error(err)
	}
}

// blocks returns the different blocks of all dialects for the same instance.
func blocks(t interface{ Fatal(...any) }) []Block {
	var all []Block
	for _, d := range Dialects() {
		b, err := Render(Config{Instance: "acme", File: "silo.toml", Dialect: d, ControlURL: "https://acme.ngrok.app", Regions: []Region{
			{Name: "us", ID: 1, URL: "https://us.acme.ngrok.app", Category: "MULTI_TENANT"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 || all[len(all)-1] != b {
			all = append(all, b)
		}
	}
	return all
}

// FuzzInsertBlock checks that replacing or removing a block of any dialect changes no
// other byte of the file.
func FuzzInsertBlock(f *testing.F) {
	f.Add([]byte("a = 1"), []byte("b = 2\n"), byte(0))
	f.Add([]byte("\ufeffa\r\n\r"), []byte{}, byte(3))
	f.Add([]byte("\tx\n"), []byte("\r\n\x00"), byte(9))
	every := blocks(f)
	f.Fuzz(func(t *testing.T, x, behind []byte, which byte) {
		one, other := every[int(which)%len(every)], every[int(which/16)%len(every)]
		if found, err := parseLayout(x); err != nil || found.has {
			return // invalid, or it already contains a block
		}
		placed, err := insertBlock(x, one)
		if err != nil || !bytes.HasPrefix(placed, x) {
			t.Fatalf("%q: %v, %q", x, err, placed)
		}
		if rest, _, err := removeBlock(placed); err != nil || !bytes.Equal(rest, x) {
			t.Errorf("%q came back as %q, %v", x, rest, err)
		}
		whole := append(bytes.Clone(placed), behind...)
		if found, err := parseLayout(whole); err != nil || !found.has || found.end != len(placed) {
			return // the text after the block contains markers
		}
		changed, err := insertBlock(whole, other)
		if err != nil || !bytes.HasPrefix(changed, x) || !bytes.HasSuffix(changed, behind) {
			t.Fatalf("before %q, after %q: %v, %q", x, behind, err, changed)
		}
		if back, err := insertBlock(changed, one); err != nil || !bytes.Equal(back, whole) {
			t.Errorf("%q came back as %q, %v", whole, back, err)
		}
	})
}
