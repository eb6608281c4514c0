package ui_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// screen emulates the features of a terminal that the views use: it breaks lines at its
// width, scrolls, and understands the ECMA-48 sequences of a frame. It panics on anything
// else.
type screen struct {
	columns, rows int
	lines         [][]string // cells, each with its style
	top           int        // first line of the window
	x, y          int
	style         string
}

func newScreen(columns, rows int) *screen {
	return &screen{columns: columns, rows: rows, lines: [][]string{nil}}
}

func (s *screen) write(text string) {
	state := byte(0)
	for text != "" {
		seq, cells, n, next := ansi.DecodeSequence(text, state, nil)
		state, text = next, text[n:]
		switch {
		case cells > 0:
			s.put(seq, cells)
		case seq == "\n":
			s.x = 0
			s.down()
		case seq == "\r":
			s.x = 0
		case strings.HasPrefix(seq, "\x1b["):
			s.control(seq[2:len(seq)-1], seq[len(seq)-1])
		case seq < " " || seq >= "\x7f" && seq < "\u00a0":
			panic(fmt.Sprintf("screen: %q", seq))
		default: // a combining character
			if line := s.lines[s.y]; s.x > 0 && s.x <= len(line) {
				line[s.x-1] += seq
			}
		}
	}
}

func (s *screen) put(text string, cells int) {
	if s.x+cells > s.columns {
		s.x = 0
		s.down()
	}
	line := s.lines[s.y]
	for len(line) < s.x+cells {
		line = append(line, " ")
	}
	line[s.x] = s.style + text
	for i := 1; i < cells; i++ {
		line[s.x+i] = ""
	}
	s.lines[s.y] = line
	s.x += cells
}

func (s *screen) down() {
	s.y++
	if s.y == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
	s.top = max(s.top, s.y-s.rows+1)
}

func (s *screen) control(parameters string, final byte) {
	switch {
	case final == 'm':
		s.style = "" // styles are ignored
	case final == 'A':
		n, err := strconv.Atoi(parameters)
		if err != nil {
			panic(err)
		}
		s.y = max(s.y-n, s.top)
	case final == 'K' && parameters == "":
		s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
	case final == 'J' && parameters == "":
		s.lines = s.lines[:s.y+1]
		s.lines[s.y] = s.lines[s.y][:min(s.x, len(s.lines[s.y]))]
	default:
		panic("screen: CSI " + parameters + string(final))
	}
}

// String returns all lines, including those that have scrolled off.
func (s *screen) String() string {
	var b strings.Builder
	for i, line := range s.lines {
		if i < len(s.lines)-1 || len(line) > 0 {
			b.WriteString(strings.TrimRight(strings.Join(line, ""), " ") + "\n")
		}
	}
	return b.String()
}

// narrow breaks each line that is too long for a narrower window, as terminals do, and
// keeps the cursor at the end of the text.
func (s *screen) narrow(columns int) {
	var lines [][]string
	for _, line := range s.lines {
		for len(line) > columns {
			at := columns
			if line[at] == "" {
				at-- // half a wide character
			}
			lines, line = append(lines, line[:at:at]), line[at:]
		}
		lines = append(lines, line)
	}
	s.lines, s.columns, s.y = lines, columns, len(lines)-1
	s.top = max(s.top, s.y-s.rows+1)
}
