package logs

import (
	"bytes"
	"io"
	"os"
)

// A Mux writes the output of several silos to one writer in whole lines, each with its
// silo's prefix.
//
// A slow writer slows the silos down, so that nothing is lost. A writer that has taken nothing for
// a second is stalled, such as a terminal paused with Ctrl-S or a pager that is not scrolled.
// Lines are dropped until it continues, and a notice then reports their number. The raw files have
// every line.
//
// It has a goroutine only while it writes, and at most 600 KiB of buffers.
type Mux struct {
	// Clean, if set before the first Stream, receives each line without prefix and
	// newline, and returns the text to write instead. It must not keep or change
	// the line. It is called with a lock held, so it must be quick.
	Clean func(line []byte) []byte

	queue  *queue
	prefix func(silo string) string
	closed bool // guarded by queue.mu
}

// NewMux returns a Mux that writes to out. Each Stream calls prefix once; its text
// precedes every line unchanged.
func NewMux(out io.Writer, prefix func(silo string) string) *Mux {
	return &Mux{queue: newQueue(out), prefix: prefix}
}

// Stream returns a writer for one silo's output, for use by one goroutine. Its
// writes succeed until the Mux is closed, even if lines are dropped. It holds an
// unfinished line until the line is finished, or until Close, which ends it. A
// line over 64 KiB is split. Only Clean changes bytes.
func (m *Mux) Stream(silo string) io.WriteCloser {
	return &stream{mux: m, prefix: m.prefix(silo)}
}

// Flush blocks until everything written before has been passed on. It returns the first
// error of the underlying writer, or ErrStalled if that accepts nothing for a second.
func (m *Mux) Flush() error { return m.queue.flush() }

// Close flushes. Later writes to streams fail with os.ErrClosed; unfinished lines
// of streams that are still open are dropped. If it returns ErrStalled, one
// goroutine remains until the underlying writer returns.
func (m *Mux) Close() error {
	m.queue.mu.Lock()
	m.closed = true
	m.queue.mu.Unlock()
	return m.Flush()
}

// addLine queues one line, given in two parts, or drops it. The caller must hold
// queue.mu.
func (m *Mux) addLine(prefix string, begin, end []byte) {
	q := m.queue
	if !q.waitForRoom(len(prefix) + len(begin) + len(end) + 1) {
		q.dropped++
		return
	}
	q.pending = append(q.pending, prefix...)
	from := len(q.pending)
	q.pending = append(append(q.pending, begin...), end...)
	if m.Clean != nil {
		// append works even if Clean returns a part of its argument.
		q.pending = append(q.pending[:from], m.Clean(q.pending[from:])...)
	}
	q.pending = append(q.pending, '\n')
}

// stream is one silo's input of a Mux.
type stream struct {
	mux    *Mux
	prefix string
	held   []byte // the beginning of an unfinished line, at most maxLine
}

func (s *stream) Write(p []byte) (int, error) {
	m := s.mux
	m.queue.mu.Lock()
	defer m.queue.mu.Unlock()
	if m.closed {
		return 0, os.ErrClosed
	}
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end >= 0 && len(s.held)+end <= maxLine {
			m.addLine(s.prefix, s.held, p[:end])
			s.release()
			p = p[end+1:]
			continue
		}
		if fits := maxLine - len(s.held); len(p) > fits {
			m.addLine(s.prefix, s.held, p[:fits])
			s.release()
			p = p[fits:]
			continue
		}
		s.held = append(s.held, p...)
		break
	}
	m.queue.start()
	return n, nil
}

// release empties the buffer, and frees a large one.
func (s *stream) release() {
	if cap(s.held) > 4<<10 {
		s.held = nil
	}
	s.held = s.held[:0]
}

// Close writes out an unfinished line.
func (s *stream) Close() error {
	m := s.mux
	m.queue.mu.Lock()
	defer m.queue.mu.Unlock()
	if len(s.held) > 0 && !m.closed {
		m.addLine(s.prefix, s.held, nil)
		m.queue.start()
	}
	s.held = nil
	return nil
}
