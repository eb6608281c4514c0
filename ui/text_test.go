package ui

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
	"pgregory.net/rapid"
)

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second:                         "0s",
		0:                                    "0s",
		900 * time.Microsecond:               "0s",
		40 * time.Millisecond:                "40ms",
		100 * time.Millisecond:               "0.1s",
		1234 * time.Millisecond:              "1.2s",
		9949 * time.Millisecond:              "9.9s",
		9950 * time.Millisecond:              "10s",
		59499 * time.Millisecond:             "59s",
		59500 * time.Millisecond:             "1m",
		2 * time.Minute:                      "2m",
		3*time.Minute + 12*time.Second:       "3m12s",
		59*time.Minute + 59600*1e6:           "1h",
		2*time.Hour + 5*time.Minute:          "2h5m",
		23*time.Hour + 59*time.Minute + 59e9: "23h59m",
		3*24*time.Hour + 4*time.Hour:         "3d4h",
		400 * 24 * time.Hour:                 "400d",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestDurationIsAccurate(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(20*time.Hour)).Draw(t, "d"))
		parsed, err := time.ParseDuration(Duration(d))
		if err != nil {
			t.Fatal(err)
		}
		if off := (d - parsed).Abs(); float64(off) > math.Max(float64(d)*0.05, float64(51*time.Millisecond)) {
			t.Fatalf("%v is formatted as %v", d, parsed)
		}
	})
}

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 812: "812 B", 999: "999 B", 1000: "1.0 kB", 9649: "9.6 kB", 9960: "10 kB",
		115_000_000: "115 MB", 999_499: "999 kB", 999_500: "1.0 MB", 1_260_000_000: "1.3 GB", math.MaxInt64: "9.2 EB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"plain":                             "plain",
		"\x1b[1;31mred\x1b[0m":              "red",
		"\x1b]0;title\x07text":              "text",
		"\x1b]8;;http://x\x1b\\link":        "link",
		"\x1b[2J\x1b[Hhome":                 "home",
		"10%\r50%\r100%\r\n":                "100%",
		"a\tb":                              "a b",
		"a\x00b\x07c\x7fd":                  "abcd",
		"two\r\nlines":                      "two lines",
		"\u202eturned\u202c \u2066in\u2069": "turned in",
		"\xff\xfe":                          "\ufffd",
		"\u009b31mC1":                       "31mC1",
		"👩\u200d👧 日本":                       "👩\u200d👧 日本",
	} {
		if got := clean(line); got != want {
			t.Errorf("clean(%q) = %q, want %q", line, got, want)
		}
	}
}

// untrusted generates text that a silo may write.
func untrusted() *rapid.Generator[string] {
	return rapid.StringOf(rapid.OneOf(
		rapid.Rune(),
		rapid.SampledFrom([]rune("\x1b[]0;123mKJAHc\\\x07\r\n\t \x9b\u202e日本👩\u200d👧")),
	))
}

func TestCleanRemovesControlCharacters(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		line := untrusted().Draw(t, "line")
		got := clean(line)
		for _, r := range got {
			if unicode.IsControl(r) || r != '\u200d' && unicode.Is(unicode.Cf, r) {
				t.Fatalf("%U is left in %q", r, got)
			}
		}
		if again := clean(got); again != got {
			t.Fatalf("cleaned twice: %q, then %q", got, again)
		}
	})
}

func TestWrapLosesNoWord(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z日本]{1,9}`), 1, 20).Draw(t, "words")
		used := rapid.IntRange(0, 12).Draw(t, "used")
		cells := rapid.IntRange(0, 24).Draw(t, "cells")
		indent := rapid.IntRange(0, 12).Draw(t, "indent")
		lines := wrap(strings.Join(words, " "), used, indent, cells)
		if got := strings.Fields(strings.Join(lines, " ")); strings.Join(got, " ") != strings.Join(words, " ") {
			t.Fatalf("%q became %q", words, lines)
		}
		for i, line := range lines {
			taken := ansi.StringWidth(line) + indent
			if i == 0 {
				taken = ansi.StringWidth(line) + used
			}
			if cells > 0 && taken > cells && strings.Contains(line, " ") {
				t.Fatalf("line %d of %q takes %d of %d cells", i, lines, taken, cells)
			}
		}
	})
}

// The relative luminance and the contrast are those of WCAG 2.1.
func TestPaletteContrast(t *testing.T) {
	t.Parallel()
	for _, s := range palette() {
		index, err := strconv.Atoi(s.fixed)
		if err != nil || index < 16 {
			t.Fatalf("%q is not a fixed colour", s.fixed)
		}
		for background, l := range map[string]float64{
			"near black (#1e1e1e)": luminance(30, 30, 30),
			"white":                1,
			"cream (#fdf6e3)":      luminance(253, 246, 227),
		} {
			own := luminance(rgb(index))
			if c := (max(own, l) + 0.05) / (min(own, l) + 0.05); c < 3 {
				t.Errorf("colour %d has a contrast of %.2f on %s", index, c, background)
			}
		}
	}
	for _, s := range regionColors {
		if r, g, b := rgb(mustIndex(t, s.fixed)); r > 2*g && r > 2*b && b < r/3 && g < r/3 {
			t.Errorf("region colour %s is red", s.fixed)
		}
	}
}

func mustIndex(t *testing.T, text string) int {
	t.Helper()
	index, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return index
}

// rgb is a colour of the 6x6x6 cube or the grey ramp of xterm.
func rgb(index int) (r, g, b int) {
	levels := [...]int{0, 95, 135, 175, 215, 255}
	if index >= 232 {
		grey := 8 + 10*(index-232)
		return grey, grey, grey
	}
	index -= 16
	return levels[index/36], levels[index/6%6], levels[index%6]
}

func luminance(r, g, b int) float64 {
	linear := func(v int) float64 {
		c := float64(v) / 255
		if c <= 0.03928 {
			return c / 12.92
		}
		return math.Pow((c+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b)
}
