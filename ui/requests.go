package ui

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"silo/traffic"
)

// The formats of a time in a pipe and on a terminal.
const (
	pipeTime     = "2006-01-02T15:04:05.000Z07:00"
	terminalTime = "15:04:05.000"
)

// Requests prints exchanges, one row each. On a terminal columns are dropped if
// they are empty or do not fit, and the path is cut. A pipe gets all columns, each
// of one word, and "-" for an absent value.
func (p *Printer) Requests(list []traffic.Exchange) {
	if p.terminal && len(list) == 0 {
		p.print([]string{p.paint(muted, "no requests")})
		return
	}
	rows := make([][]cell, len(list))
	for i, e := range list {
		rows[i] = p.requestRow(e)
	}
	p.print(p.newRequestTable().lines(rows))
}

// LiveRequests prints exchanges one by one, in columns of fixed width.
type LiveRequests struct {
	table *table
	begun bool
}

// LiveRequests returns a table for exchanges between the named callers and silos.
func (p *Printer) LiveRequests(names []string) *LiveRequests {
	samples := make([][]cell, len(names))
	for i, name := range names {
		samples[i] = p.requestRow(traffic.Exchange{
			ID: 9999, State: traffic.Done, Crossing: true, Method: http.MethodDelete, Status: http.StatusOK,
			Caller: traffic.Caller{Silo: &name}, Silo: name, Total: new(0.0044), Path: strings.Repeat("/", minStretch),
			Request: traffic.Message{Bytes: 115e6}, Response: traffic.Message{Bytes: 115e6},
		})
	}
	t := p.newRequestTable()
	t.layout(samples)
	return &LiveRequests{table: t}
}

// Add prints one exchange, and the column heads before the first.
func (l *LiveRequests) Add(e traffic.Exchange) {
	var lines []string
	if !l.begun {
		lines, l.begun = l.table.heads(), true
	}
	l.table.print(append(lines, l.table.row(l.table.requestRow(e))...))
}

func (p *Printer) newRequestTable() *table {
	return p.newTable(
		column{head: "TIME", drop: 4},
		column{head: "ID", right: true},
		column{head: "FROM"},
		column{drop: 2, only: terminalOnly}, // the arrow
		column{head: "TO"},
		column{head: "METHOD"},
		column{head: "STATUS"},
		column{head: "SENT", drop: 6, right: true},
		column{head: "RECEIVED", drop: 5, right: true},
		column{head: "TOOK", drop: 3, right: true},
		column{head: "NOTE", drop: 1},
		column{head: "PATH", stretch: true},
	)
}

func (p *Printer) requestRow(e traffic.Exchange) []cell {
	format := pipeTime
	if p.terminal {
		format = terminalTime
	}
	took := ""
	if e.Total != nil {
		took = shortDuration(seconds(*e.Total))
	}
	size := func(n int64) cell {
		if n == 0 {
			return p.known("", muted)
		}
		return p.known(p.bytes(n), muted)
	}
	return []cell{
		{text: e.Started.In(p.now().Location()).Format(format), style: muted},
		{text: strconv.FormatUint(e.ID, 10), style: muted},
		{text: oneWord(e.Caller.Name())},
		{text: p.glyphs.arrow, style: muted},
		{text: oneWord(e.Silo)},
		{text: oneWord(e.Method)},
		statusCell(e),
		size(e.Request.Bytes),
		size(e.Response.Bytes),
		p.known(took, muted),
		p.noteCell(e),
		{text: oneWord(e.Path)},
	}
}

// oneWord cleans untrusted text and keeps it one word, as a column must be.
func oneWord(text string) string {
	return cmp.Or(strings.ReplaceAll(clean(text), " ", "%20"), "-")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func statusCell(e traffic.Exchange) cell {
	c := cell{text: strconv.Itoa(e.Status), style: good}
	switch {
	case e.Status == 0 && e.State == traffic.Broken:
		return cell{text: string(e.State), style: bad}
	case e.Status == 0:
		return cell{text: cmp.Or(string(e.State), "-"), style: busy}
	case e.Status >= http.StatusInternalServerError || e.Blocked:
		c.style = bad
	case e.Status >= http.StatusBadRequest:
		c.style = warn
	case e.Status >= http.StatusMultipleChoices:
		c.style = link
	case e.Status < http.StatusOK:
		c.style = busy
	}
	return c
}

// noteCell returns notable facts about an exchange other than its status.
func (p *Printer) noteCell(e traffic.Exchange) cell {
	note := p.known(strings.Join(notes(e), ","), muted)
	switch {
	case e.Blocked || e.State == traffic.Broken:
		note.style = bad
	case e.Crossing || e.Fault != nil:
		note.style = warn
	}
	if p.terminal && note.style != muted && note.text != p.glyphs.absent {
		note.glyph = p.glyphs.problem
	}
	return note
}

// CheckUserAgent is the start of the User-Agent of `silo check`. Only that
// distinguishes its requests from those of users.
const CheckUserAgent = "silo-check/"

func notes(e traffic.Exchange) []string {
	var words []string
	if strings.HasPrefix(e.Request.Header.Get("User-Agent"), CheckUserAgent) {
		words = append(words, "check")
	}
	switch {
	case e.Blocked:
		words = append(words, "blocked")
	case e.Crossing:
		words = append(words, "crossing")
	}
	if e.Fault != nil && !e.Blocked {
		words = append(words, oneWord(*e.Fault))
	}
	if e.Status != 0 && e.State != traffic.Done { // otherwise the status column has it
		words = append(words, string(e.State))
	}
	if e.ReplayOf != nil {
		words = append(words, fmt.Sprintf("replay-of-%d", *e.ReplayOf))
	}
	return words
}
