package ui_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"silo/ui"
)

func printer(color string, terminal bool) *ui.Printer {
	return ui.New(&bytes.Buffer{}, ui.Options{
		Color: color, Env: variables("TERM=xterm-256color"),
		Size: func() (int, int, bool) { return 80, 24, terminal },
	})
}

func TestSanitizeLine(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ line, terminal, forced, plain string }{
		{"", "", "", ""},
		{"plain\ttext äöü ✓ 👩‍👧", "plain\ttext äöü ✓ 👩‍👧", "plain\ttext äöü ✓ 👩‍👧", "plain\ttext äöü ✓ 👩‍👧"},
		{"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m", "red"},
		{"\x1b[31mred\x1b[m on", "\x1b[31mred\x1b[m on", "\x1b[31mred\x1b[m on", "red on"},
		{"\x1b[1;38:2::1:2:3mopen", "\x1b[1;38:2::1:2:3mopen\x1b[0m", "\x1b[1;38:2::1:2:3mopen\x1b[0m", "open"},
		{"up\x1b[2A\x1b[K and away", "up and away", "up and away", "up and away"},
		{"\x1b]0;title\x07text", "text", "text", "text"},
		{"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\.", "link.", "link.", "link."},
		{"\x1bPq#0\x1b\\six\x1b_apc\x1b\\el", "sixel", "sixel", "sixel"},
		{"\x1b[?1049hfull\x1b[>4;1mkeys\x1b(0lines\x1bc", "fullkeyslines", "fullkeyslines", "fullkeyslines"},
		{"torn \x1b[3", "torn ", "torn ", "torn "},
		{"torn \x1b", "torn ", "torn ", "torn "},
		{"torn \x1b]0;no end", "torn ", "torn ", "torn "},
		{" 10%\r 50%\r100%\r", "100%", " 10%\r 50%\r100%\r", " 10%\r 50%\r100%\r"},
		{"bell\a back\b\b shift\x0e nul\x00", "bell back shift nul", "bell\a back\b\b shift\x0e nul\x00", "bell\a back\b\b shift\x0e nul\x00"},
		{"c1 \u009b31m\u0085 nbsp\u00a0é", "c1 31m nbsp\u00a0é", "c1 \u009b31m\u0085 nbsp\u00a0é", "c1 \u009b31m\u0085 nbsp\u00a0é"},
		{"\xff\xfe not \xc2text \xc2", "\xff\xfe not \xc2text \xc2", "\xff\xfe not \xc2text \xc2", "\xff\xfe not \xc2text \xc2"},
	} {
		line := []byte(test.line)
		for _, on := range []struct {
			p    *ui.Printer
			name string
			want string
		}{
			{printer("auto", true), "terminal", test.terminal},
			{printer("always", false), "pipe, forced", test.forced},
			{printer("auto", false), "pipe", test.plain},
		} {
			if got := string(on.p.SanitizeLine(line)); got != on.want {
				t.Errorf("%q on a %s: got %q, want %q", test.line, on.name, got, on.want)
			}
		}
		if got := string(ui.StripEscapes(line)); got != test.plain {
			t.Errorf("%q without escapes: got %q, want %q", test.line, got, test.plain)
		}
		if string(line) != test.line {
			t.Errorf("%q was modified to %q", test.line, line)
		}
	}
}

// Whatever a silo writes, a sanitized line contains only text and colour.
func TestSanitizeLineLeavesOnlyTextAndColor(t *testing.T) {
	t.Parallel()
	terminal, pipe := printer("always", true), printer("never", false)
	piece := rapid.OneOf(
		rapid.SampledFrom([]string{"\x1b", "[", "]", "31", ";", "m", "0", "H", "\x07", "\\", "P", "\u009b", "\r", "x", "(", "?", " "}),
		rapid.StringN(0, 4, 8), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 3), func(b []byte) string { return string(b) }),
	)
	rapid.Check(t, func(t *rapid.T) {
		line := strings.ReplaceAll(strings.Join(rapid.SliceOfN(piece, 0, 20).Draw(t, "line"), ""), "\n", "")
		if got := pipe.SanitizeLine([]byte(line)); bytes.IndexByte(got, 0x1b) >= 0 {
			t.Fatalf("an escape is left: %q", got)
		}
		got := string(terminal.SanitizeLine([]byte(line)))
		on := false
		for {
			before, after, found := strings.Cut(got, "\x1b")
			if strings.ContainsFunc(strings.ToValidUTF8(before, ""), func(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }) {
				t.Fatalf("a control character is left: %q", before)
			}
			if !found {
				break
			}
			end := strings.IndexByte(after, 'm')
			if end < 1 || after[0] != '[' || strings.Trim(after[1:end], "0123456789;:") != "" {
				t.Fatalf("%q is not a colour sequence", after)
			}
			on = after[1:end] != "" && after[1:end] != "0"
			got = after[end+1:]
		}
		if on {
			t.Fatalf("colour is not reset after %q", line)
		}
	})
}

func BenchmarkSanitizeLine(b *testing.B) {
	pipe := printer("never", false)
	line := []byte(strings.Repeat("an ordinary line ", 6))
	b.ReportAllocs()
	for b.Loop() {
		pipe.SanitizeLine(line)
	}
}
