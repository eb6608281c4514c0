package ui

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/x/ansi"
)

// Duration formats d as one short word: 40ms, 1.2s, 42s, 3m12s, 2h5m, 3d4h. A negative
// duration, for example after the clock was set back, is 0s.
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "0s"
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%dms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	seconds := int64(d.Round(time.Second) / time.Second)
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return twoUnits(seconds/60, "m", seconds%60, "s")
	case seconds < 86400:
		return twoUnits(seconds/3600, "h", seconds%3600/60, "m")
	}
	return twoUnits(seconds/86400, "d", seconds%86400/3600, "h")
}

func twoUnits(large int64, largeUnit string, small int64, smallUnit string) string {
	if small == 0 {
		return fmt.Sprintf("%d%s", large, largeUnit)
	}
	return fmt.Sprintf("%d%s%d%s", large, largeUnit, small, smallUnit)
}

// shortDuration formats d like Duration, with tenths of a millisecond below 10 ms.
func shortDuration(d time.Duration) string {
	if d >= 10*time.Millisecond {
		return Duration(d)
	}
	return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
}

// Bytes formats n in decimal units with two or three digits: 812 B, 9.6 kB, 115 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value := float64(n)
	unit := -1
	// 999.5 would be rounded to 1000, which has four digits.
	for value >= 999.5 && unit < len("kMGTPE")-1 {
		value /= 1000
		unit++
	}
	digits := 0
	if math.Round(value*10) < 100 {
		digits = 1
	}
	return strconv.FormatFloat(value, 'f', digits, 64) + " " + "kMGTPE"[unit:unit+1] + "B"
}

// count returns a number and its noun, which is plural unless the number is 1.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// spaces returns n spaces, none for a negative number.
func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }

// pad pads text to a width with spaces.
func pad(text string, cells int) string { return text + spaces(cells-ansi.StringWidth(text)) }

// wrap breaks text at spaces into lines of at most cells; 0 means no limit. `first` cells
// are already taken on the first line and `rest` on each later one. A word that is too
// long for a line, such as a URL, is not split.
func wrap(text string, first, rest, cells int) []string {
	if cells <= 0 || first+ansi.StringWidth(text) <= cells {
		return []string{text}
	}
	var lines []string
	line, used := "", first
	for word := range strings.FieldsSeq(text) {
		width := ansi.StringWidth(word)
		switch {
		case line != "" && used+1+width <= cells:
			line, used = line+" "+word, used+1+width
		case line == "" && (used+width <= cells || used <= rest):
			line, used = word, used+width
		default:
			lines = append(lines, line)
			line, used = word, rest+width
		}
	}
	return append(lines, line)
}

// paragraph returns text after a lead, wrapped to the terminal. Every line after
// the first is indented.
func (p *Printer) paragraph(lead string, indent int, text string, s style) []string {
	lines := wrap(text, ansi.StringWidth(lead), indent, p.width())
	for i, line := range lines {
		if i > 0 {
			lead = spaces(indent)
		}
		lines[i] = strings.TrimRight(lead+p.paint(s, line), " ")
	}
	return lines
}

// hint returns the wrapped lines of a hint.
func (p *Printer) hint(indent int, text string) []string {
	return p.paragraph(spaces(indent)+p.paint(busy, "hint:")+" ", indent+len("hint: "), clean(text), plain)
}

// label returns a muted label that is padded to a width.
func (p *Printer) label(text string, cells int) string {
	return p.paint(muted, text) + spaces(cells-len(text))
}

// clean makes one line of untrusted text safe to print: it removes escape sequences,
// control characters and characters that change the writing direction. A progress bar,
// which returns to the start of its line, is reduced to its last state.
func clean(line string) string {
	line = ansi.Strip(strings.ToValidUTF8(strings.TrimRight(line, "\r\n"), "\ufffd"))
	line = strings.ReplaceAll(line, "\r\n", "\n")
	line = line[strings.LastIndexByte(line, '\r')+1:]
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case r == '\u200d': // joins the parts of an emoji
			return r
		case unicode.IsControl(r) || unicode.In(r, unicode.Cf):
			return -1
		}
		return r
	}, line)
}

// cleanLines is clean for a text of several lines.
func cleanLines(text string) []string {
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return lines
}
