package ui

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"silo/traffic"
)

const (
	// pathRoom is how many cells of a path are worth more than another column.
	pathRoom = 24
	// arrow is where the column of arrows is.
	arrow = 3
	// stamp and clock are how a time stands in a pipe and on a terminal.
	stamp = "2006-01-02T15:04:05.000Z07:00"
	clock = "15:04:05.000"
)

// requestTable lays out exchanges, a row each. Its last column is the path: on a
// terminal it gets what the others leave, and is cut there.
type requestTable struct {
	*Printer

	columns []column
	widths  []int
	shown   []int
}

// Requests prints exchanges, a row each. On a terminal columns give way where there
// is no room or nothing to tell, and a path is cut; a pipe gets all columns, each of
// one word, and "-" for what is absent.
func (p *Printer) Requests(list []traffic.Exchange) {
	if p.terminal && len(list) == 0 {
		p.print([]string{p.paint(muted, "no requests")})
		return
	}
	t := p.newRequestTable()
	rows := make([][]cell, len(list))
	for i, e := range list {
		rows[i] = t.cells(e)
		t.widen(rows[i])
	}
	t.fit(p.telling(t.columns, rows))
	lines := []string{t.head()}
	for _, row := range rows {
		lines = append(lines, t.line(row))
	}
	p.print(lines)
}

// LiveRequests prints exchanges one by one, in columns that stay where they are.
type LiveRequests struct {
	table *requestTable
	begun bool
}

// LiveRequests begins a table of exchanges that are still to come. names are those
// that may stand in it.
func (p *Printer) LiveRequests(names []string) *LiveRequests {
	t := p.newRequestTable()
	usual := t.cells(traffic.Exchange{
		ID: 9999, State: traffic.Done, Crossing: true, Method: http.MethodDelete, Status: http.StatusOK,
		Request: traffic.Message{Bytes: 115e6}, Response: traffic.Message{Bytes: 115e6}, Total: new(0.0044), Path: strings.Repeat("/", pathRoom),
	})
	t.widen(usual)
	for _, name := range names {
		usual[t.at("FROM")].text, usual[t.at("TO")].text = name, name
		t.widen(usual)
	}
	t.fit(p.telling(t.columns, nil))
	return &LiveRequests{table: t}
}

// Add prints one exchange, and the heads of the columns before the first.
func (l *LiveRequests) Add(e traffic.Exchange) {
	var lines []string
	if !l.begun {
		lines, l.begun = append(lines, l.table.head()), true
	}
	l.table.print(append(lines, l.table.line(l.table.cells(e))))
}

func (p *Printer) newRequestTable() *requestTable {
	t := &requestTable{Printer: p, columns: []column{
		{head: "TIME", rank: 4},
		{head: "ID", right: true},
		{head: "FROM"},
		{rank: 2}, // the arrow, on a terminal
		{head: "TO"},
		{head: "METHOD"},
		{head: "STATUS"},
		{head: "SENT", rank: 6, right: true},
		{head: "RECEIVED", rank: 5, right: true},
		{head: "TOOK", rank: 3, right: true},
		{head: "NOTE", rank: 1},
		{head: "PATH"},
	}}
	if !p.terminal {
		t.columns = slices.Delete(t.columns, arrow, arrow+1)
	}
	t.widths = make([]int, len(t.columns))
	for i, c := range t.columns {
		t.widths[i] = width(c.head)
	}
	return t
}

func (t *requestTable) at(head string) int {
	for i, c := range t.columns {
		if c.head == head {
			return i
		}
	}
	return -1
}

func (t *requestTable) widen(row []cell) {
	for i, c := range row {
		t.widths[i] = max(t.widths[i], c.width())
	}
}

// fit chooses the columns, of those that have something to tell, and gives the path
// what is left.
func (t *requestTable) fit(telling []int) {
	limit, last := t.width(), len(t.columns)-1
	whole := t.widths[last]
	t.widths[last] = min(whole, pathRoom)
	t.shown, _ = fit(t.columns, t.widths, telling, limit)
	if limit > 0 {
		t.widths[last] = max(limit-total(t.widths, t.shown)+t.widths[last], 1)
	}
}

func (t *requestTable) head() string {
	heads := make([]cell, len(t.columns))
	for i, c := range t.columns {
		heads[i] = cell{text: c.head, ink: muted}
	}
	return t.row(t.columns, heads, t.widths, t.shown)
}

func (t *requestTable) line(row []cell) string {
	last := len(row) - 1
	if t.terminal {
		room := t.widths[last]
		for _, i := range t.shown[:len(t.shown)-1] {
			room -= max(row[i].width()-t.widths[i], 0)
		}
		row[last].text = cut(row[last].text, room, t.glyphs.more)
	}
	return t.row(t.columns, row, t.widths, t.shown)
}

// cells holds every cell of an exchange, also those that are not shown.
func (t *requestTable) cells(e traffic.Exchange) []cell {
	at := e.Started.In(t.now().Location())
	when := at.Format(clock)
	sent, received := Bytes(e.Request.Bytes), Bytes(e.Response.Bytes)
	if !t.terminal {
		when = at.Format(stamp)
		sent, received = strings.ReplaceAll(sent, " ", ""), strings.ReplaceAll(received, " ", "")
	}
	took := ""
	if e.Total != nil {
		took = fine(seconds(*e.Total))
	}
	row := []cell{
		{text: when, ink: muted},
		{text: strconv.FormatUint(e.ID, 10), ink: muted},
		{text: oneWord(e.Caller.Name())},
		{text: t.glyphs.arrow, ink: muted},
		{text: oneWord(e.Silo)},
		{text: oneWord(e.Method)},
		t.statusCell(e),
		t.size(e.Request.Bytes, sent),
		t.size(e.Response.Bytes, received),
		t.known(took, muted),
		t.noteCell(e),
		{text: oneWord(e.Path)},
	}
	if !t.terminal {
		row = slices.Delete(row, arrow, arrow+1)
	}
	return row
}

func (t *requestTable) size(n int64, text string) cell {
	if n == 0 {
		text = ""
	}
	return t.known(text, muted)
}

// oneWord is a stranger's text as one word, of which a column counts on.
func oneWord(text string) string {
	return cmp.Or(strings.ReplaceAll(clean(text), " ", "%20"), "-")
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func (p *Printer) statusCell(e traffic.Exchange) cell {
	if e.Status == 0 {
		look := busy
		if e.State == traffic.Broken {
			look = bad
		}
		return cell{text: cmp.Or(string(e.State), "-"), ink: look}
	}
	look := good
	switch {
	case e.Status >= http.StatusInternalServerError || e.Blocked:
		look = bad
	case e.Status >= http.StatusBadRequest:
		look = warn
	case e.Status >= http.StatusMultipleChoices:
		look = link
	case e.Status < http.StatusOK:
		look = busy
	}
	return cell{text: strconv.Itoa(e.Status), ink: look}
}

// noteCell is what one should know of an exchange beside its status.
func (p *Printer) noteCell(e traffic.Exchange) cell {
	note := p.known(strings.Join(noteWords(e), ","), muted)
	switch {
	case e.Blocked || e.State == traffic.Broken:
		note.ink = bad
	case e.Crossing || e.Fault != nil:
		note.ink = warn
	}
	if p.terminal && note.ink != muted && note.text != p.glyphs.absent {
		note.glyph = p.glyphs.trouble
	}
	return note
}

// CheckAgent begins the User-Agent of what silo check asks, which passes the tunnels
// as everything does and is told by nothing else from what a user asks.
const CheckUserAgent = "silo-check/"

func noteWords(e traffic.Exchange) []string {
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
	if e.Status != 0 && e.State != traffic.Done { // or the status says so
		words = append(words, string(e.State))
	}
	if e.ReplayOf != nil {
		words = append(words, fmt.Sprintf("replay-of-%d", *e.ReplayOf))
	}
	return words
}
