package ui

import (
	"strings"
	"sync"

	"github.com/charmbracelet/x/ansi"
)

// Footer keeps one line at the bottom of a terminal, below everything else that is written
// through it. Its methods may be called from any goroutine.
type Footer struct {
	p    *Printer
	mu   sync.Mutex // guards line, and keeps writes apart
	line string
}

// Footer returns a Footer, which writes nothing before Show.
func (p *Printer) Footer() *Footer {
	narrower, _ := p.newLiveBlock()
	return &Footer{p: narrower}
}

// Show replaces the line. An empty one removes it.
func (f *Footer) Show(line string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if line = ansi.Truncate(line, f.p.width(), f.p.glyphs.more); line == f.line {
		return
	}
	erase := f.erase()
	f.line = line
	f.p.write(erase + line)
}

// Write writes whole lines above the line.
func (f *Footer) Write(lines []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.p.write(f.erase() + string(lines) + f.line)
	return len(lines), nil
}

// erase returns what removes the line from the screen. The cursor stands behind it.
func (f *Footer) erase() string {
	if f.line == "" {
		return ""
	}
	return "\r" + eraseLine
}

// Fd returns the terminal's descriptor, so that a Printer can write to a Footer.
func (f *Footer) Fd() uintptr {
	if file, ok := f.p.w.(interface{ Fd() uintptr }); ok {
		return file.Fd()
	}
	return ^uintptr(0)
}

// KeyLine formats the keys that a program takes: each is followed by what it does.
func (p *Printer) KeyLine(lead string, keys ...[2]string) string {
	parts := make([]string, len(keys))
	for i, key := range keys {
		parts[i] = p.paint(strong, "["+key[0]+"]") + " " + p.paint(muted, key[1])
	}
	if lead != "" {
		lead += "  "
	}
	return lead + strings.Join(parts, "  ")
}
