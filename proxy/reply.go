package proxy

import (
	"bufio"
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// heldLimit is how much of a body of unknown length is held back: one that is over
// by then gets a length.
const heldLimit = 2 << 10

// reply is the ResponseWriter for a plain request. Unlike net/http's it guesses no
// Content-Type and can always be read from while it writes.
type reply struct {
	out    *bufio.Writer
	gone   context.CancelFunc // called where the client cannot be written to
	header http.Header        // nil until somebody asks for it
	method string

	status   int  // 0: no header has been given
	sent     bool // the header is in out, to its end
	empty    bool // there is no body, whatever is written
	chunked  bool
	declared int64 // of the body; -1: not known
	written  int64
	held     []byte   // what is known of the body while its header is not at its end
	trailers []string // announced in the header
	last     bool     // nothing can be asked on this connection any more
	failed   error
}

func newReply(out *bufio.Writer, r *http.Request, gone context.CancelFunc) *reply {
	return &reply{out: out, gone: gone, method: r.Method, declared: -1}
}

func (w *reply) Header() http.Header {
	if w.header == nil {
		w.header = http.Header{}
	}
	return w.header
}

func (w *reply) adopt(header http.Header) {
	if len(w.header) > 0 {
		maps.Copy(w.header, header)
		return
	}
	w.header = header
}

// EnableFullDuplex is how net/http is asked for what is always so here.
func (w *reply) EnableFullDuplex() error { return nil }

// WriteHeader sends the header as it is now, but for what depends on the body.
func (w *reply) WriteHeader(status int) {
	if w.status != 0 {
		return
	}
	if status < http.StatusOK {
		w.writeStatus(status)
		_ = w.header.WriteSubset(w.out, framing) // its error comes with Flush
		_, _ = w.out.WriteString("\r\n")
		w.check(w.out.Flush())
		return
	}
	w.status = status
	w.empty = status == http.StatusNoContent || status == http.StatusNotModified
	w.last = hasToken(w.header["Connection"], "close")
	for _, list := range w.header["Trailer"] {
		for name := range strings.SplitSeq(list, ",") {
			w.trailers = append(w.trailers, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	w.writeStatus(status)
	if status == http.StatusNotModified {
		_ = w.header.WriteSubset(w.out, ofBody) // as above
	} else {
		_ = w.header.WriteSubset(w.out, framing) // as above
	}
	if _, said := w.header["Date"]; !said {
		_, _ = w.out.WriteString("Date: ")
		_, _ = w.out.WriteString(dateOf(time.Now()))
		_, _ = w.out.WriteString("\r\n")
	}
	if w.last {
		_, _ = w.out.WriteString("Connection: close\r\n")
	}
	n, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
	switch {
	case err == nil && n >= 0 && !w.empty:
		w.end(n)
	case w.empty, len(w.trailers) > 0:
		w.end(-1)
	}
}

// framing are the fields of which reply itself sees to it that they are true.
var framing = map[string]bool{"Content-Length": true, "Transfer-Encoding": true, "Connection": true}

// ofBody are those, and what net/http leaves out of a 304 as well.
var ofBody = map[string]bool{"Content-Length": true, "Transfer-Encoding": true, "Connection": true, "Content-Type": true}

// date is a Date field's value, which stands for a second.
type date struct {
	second int64
	text   string
}

var latest atomic.Pointer[date]

func dateOf(now time.Time) string {
	if d := latest.Load(); d != nil && d.second == now.Unix() {
		return d.text
	}
	d := &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
	latest.Store(d)
	return d.text
}

func (w *reply) writeStatus(status int) {
	_, _ = w.out.WriteString("HTTP/1.1 ") // its error comes with Flush, as those below
	_, _ = w.out.Write(strconv.AppendInt(w.out.AvailableBuffer(), int64(status), 10))
	_ = w.out.WriteByte(' ')
	_, _ = w.out.WriteString(http.StatusText(status))
	_, _ = w.out.WriteString("\r\n")
}

// end ends the header. length is that of the body; -1: chunks will tell.
func (w *reply) end(length int64) {
	w.sent, w.declared = true, length
	switch {
	case length >= 0:
		_, _ = w.out.WriteString("Content-Length: ")
		_, _ = w.out.Write(strconv.AppendInt(w.out.AvailableBuffer(), length, 10))
		_, _ = w.out.WriteString("\r\n")
	case !w.empty && w.method != http.MethodHead:
		w.chunked = true
		_, _ = w.out.WriteString("Transfer-Encoding: chunked\r\n")
	}
	_, _ = w.out.WriteString("\r\n")
	if w.method == http.MethodHead {
		w.empty = true
	}
	if len(w.held) > 0 {
		w.body(w.held)
		w.held = nil
	}
}

func (w *reply) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.failed != nil:
		return 0, w.failed
	case w.empty && w.method != http.MethodHead:
		return 0, http.ErrBodyNotAllowed
	}
	w.written += int64(len(p))
	switch {
	case w.declared >= 0 && w.written > w.declared:
		return 0, http.ErrContentLength // and finish finds the sum wrong
	case !w.sent && len(w.held)+len(p) <= heldLimit:
		w.held = append(w.held, p...)
		return len(p), nil
	case !w.sent:
		w.end(-1)
	}
	w.body(p)
	if w.failed != nil {
		return 0, w.failed
	}
	return len(p), nil
}

func (w *reply) body(p []byte) {
	if w.empty || len(p) == 0 {
		return
	}
	if w.chunked {
		_, _ = w.out.Write(strconv.AppendInt(w.out.AvailableBuffer(), int64(len(p)), 16))
		_, _ = w.out.WriteString("\r\n")
	}
	_, err := w.out.Write(p)
	if w.chunked {
		_, err = w.out.WriteString("\r\n")
	}
	w.check(err)
}

func (w *reply) check(err error) {
	if err != nil && w.failed == nil {
		w.failed = err
		w.gone()
	}
}

// FlushError sends all that has been written, and so the header before its body.
func (w *reply) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent {
		w.end(-1)
	}
	w.check(w.out.Flush())
	return w.failed
}

// finish sends the rest. True: another request can be asked on this connection.
func (w *reply) finish() bool {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent {
		if w.method == http.MethodHead && w.written == 0 || len(w.trailer()) > 0 { // chunks can have trailers
			w.end(-1)
		} else {
			w.end(int64(len(w.held)))
		}
	}
	if w.chunked {
		_, _ = w.out.WriteString("0\r\n")
		_ = w.trailer().Write(w.out) // its error comes with Flush
		_, _ = w.out.WriteString("\r\n")
	}
	w.check(w.out.Flush())
	if w.declared >= 0 && !w.empty && w.written != w.declared {
		w.last = true
		w.check(io.ErrShortWrite)
	}
	return w.failed == nil && !w.last
}

// trailer is what the handler has left in the header to follow the body.
func (w *reply) trailer() http.Header {
	trailer := http.Header{}
	for _, name := range w.trailers {
		if values := w.header[name]; len(values) > 0 {
			trailer[name] = values
		}
	}
	for key, values := range w.header {
		if name, late := strings.CutPrefix(key, http.TrailerPrefix); late {
			trailer[http.CanonicalHeaderKey(name)] = values
		}
	}
	return trailer
}
