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

// tailBytes is how much of a process's latest output is kept in memory.
const tailBytes = 8 << 10

// output receives the output of one silo's processes. It writes it to the log and, in whole
// lines, to the terminal, and keeps the latest part for failure messages. A nil output is
// empty.
type output struct {
	silo string
	log  *logs.Writer
	mux  *logs.Mux                      // may be nil
	line io.WriteCloser                 // the current process's stream into mux
	loss atomic.Pointer[logs.LossError] // why output cannot be logged; nil if it can
	mu   sync.Mutex                     // guards kept
	kept []byte
}

// newOutput opens a silo's log. It calls warn and changed when logging starts to fail and when
// it works again.
func newOutput(dir, silo string, limits logs.Limits, mux *logs.Mux, warn func(string), changed func()) (*output, error) {
	log, err := logs.Open(dir, silo, limits)
	if err != nil {
		return nil, err
	}
	o := &output{silo: silo, log: log, mux: mux}
	log.OnError = func(err error) {
		warn(err.Error())
		loss, lost := errors.AsType[*logs.LossError](err)
		if !lost || loss.Over {
			loss = nil
		}
		o.loss.Store(loss)
		changed()
	}
	return o, nil
}

// problem explains why output is not being logged, or returns "" if it is.
func (o *output) problem() string {
	if o == nil {
		return ""
	}
	if loss := o.loss.Load(); loss != nil {
		return "its output is not being kept: " + loss.Err.Error()
	}
	return ""
}

// Write logs a block before it shows it.
func (o *output) Write(block []byte) (int, error) {
	_, _ = o.log.Write(block) // reports its errors to OnError
	o.keep(block)
	if o.line != nil {
		_, _ = o.line.Write(block) // a closed terminal must not stop the silo
	}
	return len(block), nil
}

func (o *output) keep(block []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = append(o.kept, block...)
	if over := len(o.kept) - tailBytes; over > 0 {
		o.kept = append(o.kept[:0], o.kept[over:]...)
	}
}

// reset prepares for the next process. It must not be called while a process writes.
func (o *output) reset() {
	if o.mux != nil {
		o.closeLine()
		o.line = o.mux.Stream(o.silo)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.kept = o.kept[:0]
}

func (o *output) tail(n int) []string {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	text := string(bytes.TrimRight(o.kept, "\r\n"))
	o.mu.Unlock()
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}

func (o *output) close() {
	if o == nil {
		return
	}
	_ = o.log.Close() // its errors were reported to OnError
	o.closeLine()
}

func (o *output) closeLine() {
	if o.line != nil {
		_ = o.line.Close() // a closed terminal needs no last line
	}
}
