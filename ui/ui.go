// Package ui turns a snapshot, a problem, a plan or a log line into text for
// one given writer.
//
// The rules of the terminal are stated here once. A terminal gets colour, a
// layout that fits its width, and blocks that are redrawn in place. A pipe gets
// plain aligned columns of any width and never a cursor movement. Colour is
// drawn from a fixed palette that reads on dark and light backgrounds: the
// terminal is never asked for its background, since that writes an escape
// sequence and waits for the answer.
//
// It must not know of a process, a socket or a file of silo's: it gets values
// and hands out text. Whether a value is secret is decided before it comes here.
package ui

import (
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"
)

// Options say how a Printer learns of its surroundings. The zero value asks the
// process and the writer.
type Options struct {
	// Color is auto (also when empty), always or never.
	Color string
	// Env looks a variable up. Nil: the process's environment.
	Env func(string) (string, bool)
	// Size tells whether the writer is a terminal, and how large it is in cells.
	// It is asked again for every frame. Nil: the writer's file descriptor.
	Size func() (columns, rows int, terminal bool)
	// Now is the clock of uptimes and elapsed times. Nil: time.Now.
	Now func() time.Time
}

// Printer writes views to one writer, each view in a single Write, whose error is for
// Lost. A Printer is safe for concurrent use if its writer is.
type Printer struct {
	w        io.Writer
	env      func(string) (string, bool)
	size     func() (columns, rows int, terminal bool)
	now      func() time.Time
	terminal bool
	glyphs   glyphs
	pens     []pen // by ink; nil without colour
	lost     atomic.Pointer[error]
}

// New makes a Printer for w. It reads the environment and the size of the
// terminal and writes nothing.
func New(w io.Writer, o Options) *Printer {
	p := &Printer{w: w, env: o.Env, size: o.Size, now: o.Now}
	if p.env == nil {
		p.env = os.LookupEnv
	}
	if p.size == nil {
		p.size = sizeOf(w)
	}
	if p.now == nil {
		p.now = time.Now
	}
	_, _, p.terminal = p.size()
	p.glyphs = newGlyphs(speaksUTF8(p.env))
	if wantsColor(o.Color, p.terminal, p.env) {
		p.pens = newPens(p.env)
	}
	return p
}

// Terminal tells whether the writer is a terminal.
func (p *Printer) Terminal() bool { return p.terminal }

// width is the number of cells a line may take, 0 for any number.
func (p *Printer) width() int {
	if !p.terminal {
		return 0
	}
	columns, _, _ := p.size()
	return positive(columns, p.variable("COLUMNS"), 80)
}

// height is the number of lines that the terminal shows.
func (p *Printer) height() int {
	_, rows, _ := p.size()
	return positive(rows, p.variable("LINES"), 24)
}

// movable tells whether lines already written can be drawn over.
func (p *Printer) movable() bool {
	kind, _ := p.env("TERM")
	return p.terminal && kind != "dumb"
}

func (p *Printer) variable(name string) int {
	text, _ := p.env(name)
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// positive is the first positive number. A terminal that was never told its size
// (a serial line, a bare pseudo-terminal) says it is 0 by 0.
func positive(numbers ...int) int {
	for _, n := range numbers {
		if n > 0 {
			return n
		}
	}
	return 0
}

// print writes lines at once, so that no other writer's text gets between them.
func (p *Printer) print(lines []string) {
	if len(lines) == 0 {
		return
	}
	p.write(strings.Join(lines, "\n") + "\n")
}

func (p *Printer) write(text string) {
	if _, err := io.WriteString(p.w, text); err != nil {
		p.lost.CompareAndSwap(nil, &err)
	}
}

func sizeOf(w io.Writer) func() (int, int, bool) {
	file, ok := w.(interface{ Fd() uintptr })
	if !ok {
		return func() (int, int, bool) { return 0, 0, false }
	}
	fd := int(file.Fd())
	terminal := term.IsTerminal(fd)
	return func() (int, int, bool) {
		if !terminal {
			return 0, 0, false
		}
		columns, rows, err := term.GetSize(fd)
		if err != nil {
			return 0, 0, true
		}
		return columns, rows, true
	}
}

// wantsColor decides on colour: what was asked for on the command line, then
// NO_COLOR (https://no-color.org), then CLICOLOR_FORCE and CLICOLOR
// (https://bixense.com/clicolors), then whether the writer is a terminal.
func wantsColor(asked string, terminal bool, env func(string) (string, bool)) bool {
	value := func(name string) string { v, _ := env(name); return v }
	switch {
	case asked == "always":
		return true
	case asked == "never", value("NO_COLOR") != "":
		return false
	case value("CLICOLOR_FORCE") != "" && value("CLICOLOR_FORCE") != "0":
		return true
	case value("CLICOLOR") == "0":
		return false
	}
	return terminal && value("TERM") != "dumb"
}

// speaksUTF8 tells whether the locale's character set can show more than ASCII.
// Containers mostly have no locale at all and a terminal that can, so only a
// locale that says otherwise counts.
func speaksUTF8(env func(string) (string, bool)) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale, _ := env(name); locale != "" {
			locale = strings.ToLower(locale)
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return true
}
