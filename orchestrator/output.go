package orchestrator

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"

	"silo/logs"
)

// tailBytes is how much of a process's end is kept at hand for its last lines.
const tailBytes = 8 << 10

// output is where one silo's processes write: the raw file, the joined lines
// that somebody may read along, and the last few for when it fails.
type output struct {
	silo string
	raw  *logs.Writer
	mux  *logs.Mux                      // nil where nobody reads along
	line io.WriteCloser                 // the present process's stream into mux
	lost atomic.Pointer[logs.LossError] // why output is not kept at the moment; nil: it is
	mu   sync.Mutex                     // guards kept
	kept []byte
}

// newOutput opens a silo's log. note takes what is to be said of it, and changed is
// called when trouble begins or is over.
func newOutput(dir, silo string, limits logs.Limits, mux *logs.Mux, note func(string), changed func()) (*output, error) {
	raw, err := logs.Open(dir, silo, limits)
	if err != nil {
		return nil, err
	}
	o := &output{silo: silo, raw: raw, mux: mux}
	raw.OnError = func(err error) {
		note(err.Error())
		loss, lost := errors.AsType[*logs.LossError](err)
		if !lost || loss.Over {
			loss = nil
		}
		o.lost.Store(loss)
		changed()
	}
	return o, nil
}

// trouble says why output is not being kept; empty while it is.
func (o *output) trouble() string {
	if o == nil {
		return ""
	}
	if loss := o.lost.Load(); loss != nil {
		return "its output is not being kept: " + loss.Err.Error()
	}
	return ""
}

// Write takes a block of a process's output. The raw file comes first: what is
// accepted is on disk before anybody sees it.
func (o *output) Write(block []byte) (int, error) {
	_, _ = o.raw.Write(block) // reports its trouble by itself and goes on
	o.keep(block)
	if o.line != nil {
		_, _ = o.line.Write(block) // a reader that is gone must not stop the silo
	}
	return len(block), nil
}

func (o *output) keep(block []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(block) >= tailBytes {
		o.kept = append(o.kept[:0], block[len(block)-tailBytes:]...)
		return
	}
	if over := len(o.kept) + len(block) - tailBytes; over > 0 {
		o.kept = append(o.kept[:0], o.kept[over:]...)
	}
	o.kept = append(o.kept, block...)
}

// fresh makes room for the next process: an earlier one's lines are forgotten,
// and one that it did not finish is not gone on with. No process runs meanwhile.
func (o *output) fresh() {
	if o.mux != nil {
		o.closeLine()
		o.line = o.mux.Stream(o.silo)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = o.kept[:0]
}

func (o *output) tail(n int) []string {
	o.mu.Lock()
	text := string(bytes.TrimRight(o.kept, "\r\n"))
	o.mu.Unlock()
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}

func (o *output) lastLine() string {
	if lines := o.tail(1); len(lines) > 0 {
		return lines[0]
	}
	return ""
}

func (o *output) close() {
	_ = o.raw.Close() // what it could not keep has been said
	o.closeLine()
}

func (o *output) closeLine() {
	if o.line != nil {
		_ = o.line.Close() // a reader that is gone needs no last line
	}
}
