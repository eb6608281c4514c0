package ui

import (
	"bytes"

	"github.com/charmbracelet/x/ansi"
)

const (
	escape = '\x1b'
	reset  = "\x1b[0m"
)

// Line makes a line that a silo wrote, without its newline, fit to stand among
// those of others. Colour and weight (SGR, ECMA-48 8.3.117) stay where the writer
// has colour, and end with the line. Every other escape sequence is taken out: what
// moves the cursor, sets a title or asks the terminal something is meant for a
// screen of one's own. On a terminal so are control characters, and of a progress
// bar, which returns to the start of its line, the last state remains.
//
// The line is not changed; what is returned may be a part of it.
func (p *Printer) SanitizeLine(line []byte) []byte {
	if p.terminal {
		line = bytes.TrimRight(line, "\r")
		line = line[bytes.LastIndexByte(line, '\r')+1:]
	}
	return sift(line, p.pens != nil, p.terminal)
}

// Colour tells whether the writer is given colour.
func (p *Printer) Color() bool { return p.pens != nil }

// Plain is a line without its escape sequences. The line is not changed; what is
// returned may be the line itself.
func StripEscapes(line []byte) []byte { return sift(line, false, false) }

// sift takes escape sequences out, but for colour if that is to stay, and control
// characters if they are to go.
func sift(line []byte, colour, controls bool) []byte {
	n := next(line, controls)
	if n < 0 {
		return line
	}
	out := make([]byte, 0, len(line)+len(reset))
	painted := false
	for ; n >= 0; n = next(line, controls) {
		out = append(out, line[:n]...)
		line = line[n:]
		size := 1
		switch line[0] {
		case escape:
			var sequence []byte
			if sequence, _, size, _ = ansi.DecodeSequence(line, ansi.NormalState, nil); colour && isColour(sequence) {
				out = append(out, sequence...)
				painted = string(sequence) != reset && string(sequence) != "\x1b[m"
			}
		case c1Lead:
			size = 2
		}
		line = line[max(size, 1):]
	}
	out = append(out, line...)
	if painted {
		out = append(out, reset...)
	}
	return out
}

// c1Lead begins the control characters U+0080 to U+009F in UTF-8. Some terminals
// take them for the escape sequences that they abbreviate.
const c1Lead = 0xc2

// next is where something is that does not simply stand there, or -1.
func next(line []byte, controls bool) int {
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

// isColour tells whether a sequence is CSI, numbers, m: with anything else before
// the m it means something else (xterm's CSI > 4 m sets its keyboard).
func isColour(sequence []byte) bool {
	numbers, ok := bytes.CutPrefix(sequence, []byte("\x1b["))
	if !ok || !bytes.HasSuffix(numbers, []byte("m")) {
		return false
	}
	return len(bytes.Trim(numbers[:len(numbers)-1], "0123456789;:")) == 0
}
