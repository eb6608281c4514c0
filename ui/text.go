package ui

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Duration is d in one short word: 40ms, 1.2s, 42s, 3m12s, 2h5m, 3d4h. What is
// negative, as after a clock was set back, is 0s.
func Duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return "0s"
	case d < 100*time.Millisecond:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 9950*time.Millisecond:
		return strconv.FormatFloat(d.Seconds(), 'f', 1, 64) + "s"
	}
	seconds := int64(d.Round(time.Second) / time.Second)
	switch {
	case seconds < 60:
		return strconv.FormatInt(seconds, 10) + "s"
	case seconds < 3600:
		return units(seconds/60, "m", seconds%60, "s")
	case seconds < 86400:
		return units(seconds/3600, "h", seconds%3600/60, "m")
	}
	return units(seconds/86400, "d", seconds%86400/3600, "h")
}

func units(large int64, largeUnit string, small int64, smallUnit string) string {
	text := strconv.FormatInt(large, 10) + largeUnit
	if small == 0 {
		return text
	}
	return text + strconv.FormatInt(small, 10) + smallUnit
}

// Bytes is n in decimal units with two or three digits: 812 B, 9.6 kB, 115 MB.
func Bytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value := float64(n)
	unit := -1
	// 999.5 would be rounded to the four digits of 1000.
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

// width is how many cells a text takes that holds no escape sequence.
func width(text string) int {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return ansi.StringWidth(text)
		}
	}
	return len(text)
}

// cut shortens text to the given number of cells, with a sign where it was cut.
func cut(text string, cells int, sign string) string {
	if cells <= 0 {
		return ""
	}
	if width(text) <= cells {
		return text
	}
	return ansi.Truncate(text, cells, sign)
}

// wrap breaks text at spaces into lines of at most the given number of cells, of
// which the first has some used already; 0 cells: any number. A word that is
// longer, such as an address, stays whole.
func wrap(text string, used, cells int) []string {
	if cells <= 0 || used+width(text) <= cells {
		return []string{text}
	}
	var lines []string
	line, blank := "", true
	for word := range strings.FieldsSeq(text) {
		w := width(word)
		switch {
		case blank && (used == 0 || used+w <= cells):
			line, used = word, used+w
		case !blank && used+1+w <= cells:
			line, used = line+" "+word, used+1+w
		default:
			lines = append(lines, line)
			line, used = word, w
		}
		blank = false
	}
	return append(lines, line)
}

// spaces is that many spaces, none for a negative number.
func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }

// clean makes one line of a stranger's text fit to be shown: no escape sequence,
// no control character, nothing that turns the direction of writing. Of a
// progress bar, which returns to the start of its line, the last state remains.
func clean(line string) string {
	line = strings.TrimRight(line, "\r\n")
	if isClean(line) {
		return line
	}
	line = strings.ReplaceAll(ansi.Strip(strings.ToValidUTF8(line, "\ufffd")), "\r\n", "\n")
	if i := strings.LastIndexByte(line, '\r'); i >= 0 {
		line = line[i+1:]
	}
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

func isClean(line string) bool {
	for i := range len(line) {
		if line[i] < ' ' || line[i] > '~' {
			return false
		}
	}
	return true
}

// cleanLines is clean for a text of several lines.
func cleanLines(text string) []string {
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	for i, line := range lines {
		lines[i] = clean(line)
	}
	return lines
}
