package ui

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"silo/traffic"
)

// maxBodyText is how much of a body is printed, in bytes.
const maxBodyText = 64 << 10

// Exchange prints one exchange in full: the request and its answer as on the
// wire, then the caller and the timing. A body is printed if it is text, with
// each line cleaned, and otherwise only described.
func (p *Printer) Exchange(e traffic.Exchange) {
	lines := []string{p.exchangeHeadline(e), "", p.paint(strong, clean(fmt.Sprintf("%s %s %s", e.Method, e.Path, e.Proto))), p.header("Host", e.Host)}
	lines = append(append(lines, p.message(e.Request)...), "")
	if e.Status != 0 {
		statusLine := strings.TrimSpace(fmt.Sprintf("%s %d %s", e.Proto, e.Status, http.StatusText(e.Status)))
		lines = append(lines, p.paint(strong, clean(statusLine)))
		lines = append(append(lines, p.message(e.Response)...), "")
	}
	p.print(append(lines, p.exchangeFacts(e)...))
}

func (p *Printer) exchangeHeadline(e traffic.Exchange) string {
	words := []string{
		p.paint(strong, fmt.Sprintf("request %d", e.ID)),
		clean(e.Caller.Name()) + " " + p.glyphs.arrow + " " + clean(e.Silo),
		p.cell(statusCell(e)),
	}
	if len(notes(e)) > 0 {
		words = append(words, p.cell(p.noteCell(e)))
	}
	return strings.Join(words, spaces(gap))
}

func (p *Printer) header(name, value string) string {
	return strings.TrimSuffix(p.paint(muted, clean(name)+":")+" "+clean(value), " ")
}

func (p *Printer) headers(all http.Header) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		for _, value := range all[name] {
			lines = append(lines, p.header(name, value))
		}
	}
	return lines
}

// message returns headers, body and trailers as lines.
func (p *Printer) message(m traffic.Message) []string {
	lines := p.headers(m.Header)
	if m.Bytes > 0 {
		lines = append(append(lines, ""), p.body(m)...)
	}
	if len(m.Trailer) > 0 {
		lines = append(append(lines, ""), p.headers(m.Trailer)...)
	}
	return lines
}

func (p *Printer) body(m traffic.Message) []string {
	text, whole, ok := m.Text()
	if !ok || len(m.Body) == 0 {
		kind := clean(m.Header.Get("Content-Type"))
		if encoding := clean(m.Header.Get("Content-Encoding")); encoding != "" {
			kind = strings.TrimPrefix(kind+", "+encoding, ", ")
		}
		return []string{p.paint(muted, "("+strings.TrimSuffix(Bytes(m.Bytes)+" of "+kind, " of ")+")")}
	}
	if len(text) > maxBodyText {
		text, whole = strings.ToValidUTF8(text[:maxBodyText], ""), false
	}
	lines := cleanLines(text)
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	if !whole {
		lines = append(lines, p.paint(muted, "(truncated: "+Bytes(m.Bytes)+" in total)"))
	}
	return lines
}

// exchangeFacts returns the facts about an exchange.
func (p *Printer) exchangeFacts(e traffic.Exchange) []string {
	var lines []string
	add := func(name, value string, s style) {
		if value != "" {
			lines = append(lines, p.label(name, len("first byte")+gap)+p.paint(s, value))
		}
	}
	add("started", e.Started.In(p.now().Location()).Format(pipeTime), plain)
	add("caller", describeCaller(e.Caller), plain)
	if e.FirstByte != nil {
		add("first byte", shortDuration(seconds(*e.FirstByte)), plain)
	}
	if e.Total != nil {
		add("took", shortDuration(seconds(*e.Total)), plain)
	}
	add("sent", Bytes(e.Request.Bytes), plain)
	add("received", Bytes(e.Response.Bytes), plain)
	if e.Crossing {
		add("regions", "a request from one region to another, which is impossible in production", warn)
	}
	if e.ReplayOf != nil {
		add("replay of", fmt.Sprintf("request %d", *e.ReplayOf), plain)
	}
	if e.Fault != nil {
		add("fault", clean(*e.Fault)+": the silo itself did not answer", warn)
	}
	add("error", clean(value(e.Error)), bad)
	return lines
}

func describeCaller(c traffic.Caller) string {
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
