package ui

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"silo/traffic"
)

// bodyShown bounds how much of a body is shown, in bytes.
const bodyShown = 64 << 10

// Exchange prints one exchange whole: the request and its answer as they would
// stand on the wire, and below them who called and how long it took. Of bodies it
// prints text alone, a line at a time as clean leaves it, and of others what they are.
func (p *Printer) Exchange(e traffic.Exchange) {
	lines := []string{p.exchangeHead(e), ""}
	lines = append(lines, p.paint(strong, clean(fmt.Sprintf("%s %s %s", e.Method, e.Path, e.Proto))), p.field("Host", e.Host))
	lines = append(lines, p.message(e.Request)...)
	lines = append(lines, "")
	if e.Status != 0 {
		first := strings.TrimSpace(fmt.Sprintf("%s %d %s", e.Proto, e.Status, http.StatusText(e.Status)))
		lines = append(lines, p.paint(strong, clean(first)))
		lines = append(lines, p.message(e.Response)...)
		lines = append(lines, "")
	}
	p.print(append(lines, p.circumstances(e)...))
}

func (p *Printer) exchangeHead(e traffic.Exchange) string {
	words := []string{
		p.paint(strong, fmt.Sprintf("request %d", e.ID)),
		clean(e.Caller.Name()) + " " + p.glyphs.arrow + " " + clean(e.Silo),
		p.cell(p.statusCell(e)),
	}
	if len(noteWords(e)) > 0 {
		words = append(words, p.cell(p.noteCell(e)))
	}
	return strings.Join(words, spaces(gap))
}

func (p *Printer) field(name, value string) string {
	return p.paint(muted, clean(name)+":") + " " + clean(value)
}

// message is the headers of one half, its body and its trailers.
func (p *Printer) message(m traffic.Message) []string {
	lines := p.fields(m.Header)
	if m.Bytes > 0 {
		lines = append(append(lines, ""), p.body(m)...)
	}
	if len(m.Trailer) > 0 {
		lines = append(append(lines, ""), p.fields(m.Trailer)...)
	}
	return lines
}

func (p *Printer) fields(header http.Header) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			lines = append(lines, strings.TrimSuffix(p.field(name, value), " "))
		}
	}
	return lines
}

func (p *Printer) body(m traffic.Message) []string {
	text, whole, is := m.Text()
	if !is || len(m.Body) == 0 {
		what := clean(m.Header.Get("Content-Type"))
		if packing := clean(m.Header.Get("Content-Encoding")); packing != "" {
			what = strings.TrimPrefix(what+", "+packing, ", ")
		}
		return []string{p.paint(muted, "("+strings.TrimSuffix(Bytes(m.Bytes)+" of "+what, " of ")+")")}
	}
	if len(text) > bodyShown {
		text, whole = strings.ToValidUTF8(text[:bodyShown], ""), false
	}
	lines := cleanLines(text)
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	if !whole {
		lines = append(lines, p.paint(muted, "(and so on: "+Bytes(m.Bytes)+" in all)"))
	}
	return lines
}

// circumstances are what was seen of an exchange from outside.
func (p *Printer) circumstances(e traffic.Exchange) []string {
	var lines []string
	add := func(name, value string, which ink) {
		if value != "" {
			lines = append(lines, p.paint(muted, name)+spaces(len("first byte")-len(name)+gap)+p.paint(which, value))
		}
	}
	add("started", e.Started.In(p.now().Location()).Format(stamp), plain)
	add("caller", callerWords(e.Caller), plain)
	if e.FirstByte != nil {
		add("first byte", fine(seconds(*e.FirstByte)), plain)
	}
	if e.Total != nil {
		add("took", fine(seconds(*e.Total)), plain)
	}
	add("sent", Bytes(e.Request.Bytes), plain)
	add("received", Bytes(e.Response.Bytes), plain)
	if e.Crossing {
		add("regions", "a request from one region to another, which cannot be in production", warn)
	}
	if e.ReplayOf != nil {
		add("replay of", "request "+strconv.FormatUint(*e.ReplayOf, 10), plain)
	}
	if e.Fault != nil {
		add("fault", clean(*e.Fault)+": the silo itself has not answered", warn)
	}
	if e.Error != nil {
		add("error", clean(*e.Error), bad)
	}
	return lines
}

func callerWords(c traffic.Caller) string {
	var words []string
	if c.Program != nil {
		words = append(words, clean(*c.Program))
	}
	if c.PID != nil {
		words = append(words, fmt.Sprintf("process %d", *c.PID))
	}
	if c.Silo != nil {
		words = append(words, "of silo "+clean(*c.Silo))
	}
	if c.Address != "" {
		words = append(words, clean(c.Address))
	}
	return strings.Join(words, ", ")
}
