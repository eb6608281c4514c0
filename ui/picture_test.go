package ui_test

import (
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// TestPicture checks that docs/status.svg equals the golden file of the same view on a
// terminal with 120 columns.
func TestPicture(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("testdata", "status-ready.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "-- terminal 120 --\n")
	shown, _, found := strings.Cut(rest, "-- ")
	if !found {
		t.Fatal("no such section")
	}
	compare(t, filepath.Join("..", "docs", "status.svg"), picture("silo status", strings.ReplaceAll(shown, "␛", "\x1b")))
}

const cellWidth, lineHeight, margin = 8.4, 20, 20

// svgStyle maps the terminal's colours to colours that suit the page's background, which
// follows the reader's colour scheme. It has no CSS variables, because not every image
// viewer supports them.
const svgStyle = `<style>
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#1f2328}.b{font-weight:600}
rect{fill:#f6f8fa;stroke:#d1d9e0}.c244{fill:#6e7781}.c28{fill:#1a7f37}.c31{fill:#0a6a94}.c136{fill:#9a6700}.c32{fill:#0969da}.c196{fill:#cf222e}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}rect{fill:#161b22;stroke:#30363d}.c244{fill:#8b949e}.c28{fill:#3fb950}.c31{fill:#56b6d6}.c136{fill:#d29922}.c32{fill:#58a6ff}.c196{fill:#f85149}}
</style>
`

// picture draws a command and its output in a terminal. Each word has its own
// position and length, so that the columns align in any fixed-width font.
func picture(command, shown string) string {
	lines := append([]string{"\x1b[38;5;244m$\x1b[0m " + command, ""}, strings.Split(strings.TrimRight(shown, "\n"), "\n")...)
	columns := 0
	for _, line := range lines {
		columns = max(columns, ansi.StringWidth(line))
	}
	w, h := float64(columns)*cellWidth+2*margin, len(lines)*lineHeight+2*margin
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%d" viewBox="0 0 %.0f %d" role="img" aria-label="%s">`+"\n", w, h, w, h, html.EscapeString(command+": one row for each silo with its state and address"))
	b.WriteString(svgStyle)
	fmt.Fprintf(&b, `<rect x=".5" y=".5" width="%.0f" height="%d" rx="8"/>`+"\n", w-1, h-1)
	for i, line := range lines {
		for _, s := range spans(line) {
			fmt.Fprintf(&b, `<text x="%s" y="%d" textLength="%s"%s>%s</text>`+"\n",
				number(margin+float64(s.column)*cellWidth), margin+i*lineHeight+14, number(float64(ansi.StringWidth(s.text))*cellWidth), s.class, html.EscapeString(s.text))
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func number(f float64) string { return strconv.FormatFloat(f, 'f', -1, 32) }

// span is a run of text in one style without two spaces in a row.
type span struct {
	column int
	text   string
	class  string
}

func spans(line string) []span {
	var all []span
	var run strings.Builder
	column, start, class := 0, 0, ""
	flush := func() {
		if text := strings.TrimRight(run.String(), " "); text != "" {
			all = append(all, span{column: start, text: text, class: class})
		}
		run.Reset()
		start = column
	}
	state := byte(0)
	for line != "" {
		seq, cells, n, next := ansi.DecodeSequence(line, state, nil)
		state, line = next, line[n:]
		switch {
		case cells == 0:
			flush()
			class = svgClass(seq)
		case seq == " " && (run.Len() == 0 || strings.HasPrefix(line, " ")):
			column++
			flush()
		default:
			run.WriteString(seq)
			column += cells
		}
	}
	flush()
	return all
}

// svgClass turns the style that a sequence starts into a class; SGR 0 ends it.
func svgClass(seq string) string {
	var names []string
	parameters := strings.Split(strings.TrimSuffix(strings.TrimPrefix(seq, "\x1b["), "m"), ";")
	for i, p := range parameters {
		switch p {
		case "1":
			names = append(names, "b")
		case "38":
			names = append(names, "c"+parameters[i+2])
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ` class="` + strings.Join(names, " ") + `"`
}
