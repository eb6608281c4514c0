package ui

import (
	"bytes"

	"github.com/charmbracelet/x/ansi"
)

// Prefix returns the prefix of a silo's log lines: its name in its colour, padded to
// the longest name, and a bar. names are all silos in order, which also gives each
// region its colour. Callers that print many lines should keep the result.
func (p *Printer) Prefix(silo string, names []string) string {
	longest, s, regions := ansi.StringWidth(silo), link, 0
	for _, name := range names {
		longest = max(longest, ansi.StringWidth(name))
		if name == "control" {
			continue
		}
		if name == silo {
			s = region + style(regions%len(regionColors))
		}
		regions++
	}
	return p.paint(s, pad(silo, longest)+" |") + " "
}

const (
	escape = '\x1b'
	reset  = "\x1b[0m"
)

// SanitizeLine makes a line that a silo wrote, without its newline, safe to print among
// others. Colour and weight (SGR, ECMA-48 8.3.117) are kept if the output is coloured, and
// end with the line. All other escape sequences are removed: they move the cursor, set a
// title or query the terminal. On a terminal, control characters are removed too, and a
// progress bar, which returns to the start of its line, is reduced to its last state.
//
// The line is not modified; the result may be a part of it.
func (p *Printer) SanitizeLine(line []byte) []byte {
	if p.terminal {
		line = bytes.TrimRight(line, "\r")
		line = line[bytes.LastIndexByte(line, '\r')+1:]
	}
	return sanitize(line, p.Color(), p.terminal)
}

// StripEscapes returns a line without its escape sequences. The line is not
// modified; the result may be the line itself.
func StripEscapes(line []byte) []byte { return sanitize(line, false, false) }

// sanitize removes escape sequences, except colour if keepColor is set, and
// control characters if controls is set.
func sanitize(line []byte, keepColor, controls bool) []byte {
	n := nextUnsafe(line, controls)
	if n < 0 {
		return line
	}
	out := make([]byte, 0, len(line)+len(reset))
	colored := false
	for ; n >= 0; n = nextUnsafe(line, controls) {
		out = append(out, line[:n]...)
		line = line[n:]
		size := 1
		switch line[0] {
		case escape:
			var sequence []byte
			if sequence, _, size, _ = ansi.DecodeSequence(line, ansi.NormalState, nil); keepColor && isSGR(sequence) {
				out = append(out, sequence...)
				colored = string(sequence) != reset && string(sequence) != "\x1b[m"
			}
		case c1Lead:
			size = 2
		}
		line = line[max(size, 1):]
	}
	out = append(out, line...)
	if colored {
		out = append(out, reset...)
	}
	return out
}

// c1Lead is the first byte of the control characters U+0080 to U+009F in UTF-8. Some
// terminals treat them as the escape sequences that they stand for.
const c1Lead = 0xc2

// nextUnsafe returns the index of the next escape or control character, or -1.
func nextUnsafe(line []byte, controls bool) int {
	if !controls {
		return bytes.IndexByte(line, escape)
	}
	for i, c := range line {
		switch {
		case c < ' ' && c != '\t', c == 0x7f:
			return i
		case c == c1Lead && i+1 < len(line) && line[i+1] >= 0x80 && line[i+1] < 0xa0:
			return i
		}
	}
	return -1
}

// isSGR reports whether a sequence is CSI, numbers, m. With other bytes before the m it
// has another meaning (xterm's CSI > 4 m sets its keyboard).
func isSGR(sequence []byte) bool {
	numbers, ok := bytes.CutPrefix(sequence, []byte("\x1b["))
	if !ok || !bytes.HasSuffix(numbers, []byte("m")) {
		return false
	}
	return len(bytes.Trim(numbers[:len(numbers)-1], "0123456789;:")) == 0
}
