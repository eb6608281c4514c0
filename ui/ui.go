// Package ui turns snapshots, errors, plans, requests and log lines into text
// for one writer.
//
// A terminal gets colour, a layout that fits its width, and blocks that are
// redrawn in place. A pipe gets plain aligned columns of any width and no cursor
// movement. The palette is fixed and readable on dark and light backgrounds. The
// terminal is never queried: a query writes an escape sequence and waits for the
// answer.
//
// The package must not know processes, sockets or silo's files: it gets values
// and produces text. Secrets are removed before they get here.
package ui

import (
	"cmp"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/charmbracelet/lipgloss"
	"golang.org/x/term"
)

// Options configure a Printer. The zero value uses the process's environment
// and the writer's file descriptor.
type Options struct {
	// Color is auto (also if empty), always or never.
	Color string
	// Env looks up an environment variable. Nil: os.LookupEnv.
	Env func(string) (string, bool)
	// Size reports the writer's size in cells and whether it is a terminal. It is
	// called for every frame. Nil: ask the writer's file descriptor.
	Size func() (columns, rows int, terminal bool)
	// Now is the clock for uptimes and elapsed times. Nil: time.Now.
	Now func() time.Time
}

// Printer writes views to one writer, each view in a single Write. WriteError
// returns the first error of those writes. A Printer is safe for concurrent use
// if its writer is.
type Printer struct {
	w        io.Writer
	env      func(string) (string, bool)
	size     func() (columns, rows int, terminal bool)
	now      func() time.Time
	terminal bool
	margin   int // columns left free at the right
	glyphs   glyphs
	styles   []lipgloss.Style // by style; nil without colour
	writeErr *atomic.Pointer[error]
}

// New returns a Printer for w. It reads the environment and the terminal's size
// and writes nothing.
func New(w io.Writer, o Options) *Printer {
	p := &Printer{w: w, env: o.Env, size: o.Size, now: o.Now, writeErr: new(atomic.Pointer[error])}
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
	p.glyphs = newGlyphs(p.supportsUTF8())
	if p.wantsColor(o.Color) {
		p.styles = newStyles(p.env)
	}
	return p
}

// Terminal reports whether the writer is a terminal.
func (p *Printer) Terminal() bool { return p.terminal }

// Color reports whether the output is coloured.
func (p *Printer) Color() bool { return p.styles != nil }

// width returns the number of cells a line may take, 0 for any number. A
// terminal without a known size, such as a serial line, reports 0 columns.
func (p *Printer) width() int {
	if !p.terminal {
		return 0
	}
	columns, _, _ := p.size()
	return max(cmp.Or(columns, p.number("COLUMNS"), 80)-p.margin, 1)
}

// height returns the number of lines that the terminal shows.
func (p *Printer) height() int {
	_, rows, _ := p.size()
	return cmp.Or(rows, p.number("LINES"), 24)
}

// canRedraw reports whether lines already written can be overwritten.
func (p *Printer) canRedraw() bool { return p.terminal && p.variable("TERM") != "dumb" }

func (p *Printer) variable(name string) string {
	value, _ := p.env(name)
	return value
}

// number returns a variable that holds a positive number, else 0.
func (p *Printer) number(name string) int {
	n, _ := strconv.Atoi(p.variable(name)) // 0 on error
	return max(n, 0)
}

// print writes lines in one Write, so that no other output comes between them.
func (p *Printer) print(lines []string) {
	if len(lines) > 0 {
		p.write(strings.Join(lines, "\n") + "\n")
	}
}

func (p *Printer) write(text string) {
	if _, err := io.WriteString(p.w, text); err != nil {
		p.writeErr.CompareAndSwap(nil, &err)
	}
}

func sizeOf(w io.Writer) func() (int, int, bool) {
	file, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return func() (int, int, bool) { return 0, 0, false }
	}
	return func() (int, int, bool) {
		columns, rows, _ := term.GetSize(int(file.Fd())) // 0 on error, as if unknown
		return columns, rows, true
	}
}

// wantsColor applies, in this order, the command line, NO_COLOR
// (https://no-color.org), CLICOLOR_FORCE and CLICOLOR
// (https://bixense.com/clicolors), and whether the writer is a terminal.
func (p *Printer) wantsColor(option string) bool {
	force := p.variable("CLICOLOR_FORCE")
	switch {
	case option == "always":
		return true
	case option == "never", p.variable("NO_COLOR") != "":
		return false
	case force != "" && force != "0":
		return true
	case p.variable("CLICOLOR") == "0":
		return false
	}
	return p.canRedraw()
}

// supportsUTF8 reports whether the locale's character set is UTF-8. Containers
// usually have no locale but a terminal that displays UTF-8, so no locale counts
// as UTF-8.
func (p *Printer) supportsUTF8() bool {
	locale := strings.ToLower(cmp.Or(p.variable("LC_ALL"), p.variable("LC_CTYPE"), p.variable("LANG"), "utf-8"))
	return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
}

// value returns what a pointer points to, or the zero value.
func value[T any](pointer *T) (v T) {
	if pointer != nil {
		v = *pointer
	}
	return v
}
