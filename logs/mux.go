package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// muxPending bounds what waits for the sink, in bytes; as much again is being
	// written at the same time.
	muxPending = 256 << 10
	// muxBlock is how much is written to the sink at once: one sign of life.
	muxBlock = 64 << 10
	// muxPatience is how long a sink may take for one block before lines are
	// dropped rather than waited for.
	muxPatience = time.Second
)

// ErrStalled says that the sink of a Mux has stopped taking output.
var ErrStalled = errors.New("the output is not being read")

// A Mux joins what several silos write into whole lines on one sink, each with
// its silo's prefix. A block costs one lock, and blocks go to the sink together.
//
// A sink that is slow slows the silos down, so that nothing is lost. One that has
// not taken a block for a second is not waited for: lines are dropped until it
// goes on, and a line in their place says how many. So a terminal that was halted
// with Ctrl-S, or a pager that nobody scrolls, stops no silo. The raw files have
// every line.
//
// It has a goroutine only while there is something to write, and some 600 KiB of
// buffers at most, none before the first line.
type Mux struct {
	// Clean, if set before the first Stream, is given each line, without prefix and
	// newline, and returns what is written in its place. It does not keep the line, nor
	// change it. It is called with a lock held: it must be quick and not call back.
	Clean func(line []byte) []byte

	out    io.Writer
	prefix func(silo string) string

	mu      sync.Mutex    // guards all below
	pending []byte        // whole lines
	spare   []byte        // the buffer that was pending before
	lost    int           // lines dropped since pending was last taken
	moved   chan struct{} // closed and replaced when there is room, or nothing more to write
	writing bool          // a goroutine is
	since   time.Time     // when it began to write the current block
	rounds  int           // how often pending was taken and dealt with
	closed  bool
	err     error // the first that the sink met
	torn    bool  // the sink took only the beginning of a line
	missing int   // lines that are not in the sink, and no notice says so yet
	why     error // the reason
}

// NewMux makes a Mux that writes to out. prefix is called once by each Stream; its
// text stands before each line as it is.
func NewMux(out io.Writer, prefix func(silo string) string) *Mux {
	return &Mux{out: out, prefix: prefix, moved: make(chan struct{})}
}

// Stream gives a writer for one silo's output, for one goroutine. Its writes
// succeed, whatever the sink does, until the Mux is closed. Of a line it holds
// what is unfinished, until it is finished or the stream is closed, which ends the
// line; a line over 64 KiB is broken into several. Bytes are not changed but by Clean.
func (m *Mux) Stream(silo string) io.WriteCloser {
	return &stream{mux: m, prefix: m.prefix(silo)}
}

// Flush waits until the sink has what was written before, and returns the first
// error that the sink ever met, or ErrStalled after a second without a sign of life.
func (m *Mux) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kick()
	// The round that is under way does not have what is pending: the next one has.
	now := time.Now()
	for target := m.rounds + 2; m.writing && m.rounds < target; {
		if !m.wait(now) {
			return errors.Join(m.err, ErrStalled)
		}
	}
	return m.err
}

// Close flushes; what streams write from now on is refused, and what they hold of
// unfinished lines is gone unless they were closed. Where it returns ErrStalled,
// one goroutine lives until the sink lets go of it.
func (m *Mux) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	return m.Flush()
}

// put adds one line that is in two pieces, or drops it. The lock is held.
func (m *Mux) put(prefix string, begin, end []byte) {
	if !m.room(len(prefix) + len(begin) + len(end) + 1) {
		m.lost++
		return
	}
	m.pending = append(m.pending, prefix...)
	from := len(m.pending)
	m.pending = append(append(m.pending, begin...), end...)
	if m.Clean != nil {
		line := m.pending[from:]
		if clean := m.Clean(line); !same(clean, line) {
			m.pending = append(m.pending[:from], clean...)
		}
	}
	m.pending = append(m.pending, '\n')
}

// same tells whether two slices are one.
func same(a, b []byte) bool { return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) }

// room waits until size more bytes may be pending, within reason. Once a line was
// dropped, all are, until the place for the notice has come.
func (m *Mux) room(size int) bool {
	for m.lost == 0 && len(m.pending) > 0 && len(m.pending)+size > muxPending {
		m.kick()
		if !m.wait(m.since) {
			return false
		}
	}
	return m.lost == 0
}

// wait lets go of the lock until something has moved. False: nothing has since the
// given time, for longer than patience goes.
func (m *Mux) wait(since time.Time) bool {
	if since.Before(m.since) {
		since = m.since
	}
	left := muxPatience - time.Since(since)
	if left <= 0 {
		return false
	}
	moved := m.moved
	m.mu.Unlock()
	defer m.mu.Lock()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-moved:
	case <-timer.C:
	}
	return true // or the sink has begun another block meanwhile: the next wait knows
}

// kick has what is pending written. The lock is held.
func (m *Mux) kick() {
	if m.writing || len(m.pending) == 0 && m.lost == 0 {
		return
	}
	m.writing, m.since = true, time.Now()
	go m.write()
}

// write passes on what is pending until nothing is. The goroutine that it runs in
// is waited for by Flush.
func (m *Mux) write() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for ; len(m.pending) > 0 || m.lost > 0; m.rounds++ {
		block, lost := m.pending, m.lost
		m.pending, m.spare, m.lost = m.spare[:0], nil, 0
		m.signal()
		if m.missing > 0 {
			m.notice()
		}
		failed, err := m.pass(block)
		if err == nil && lost > 0 {
			m.why = ErrStalled
		}
		if m.missing += failed + lost; err == nil && m.missing > 0 {
			m.notice()
		}
		m.spare = block[:0]
	}
	m.writing = false
	m.signal()
}

func (m *Mux) signal() {
	close(m.moved)
	m.moved = make(chan struct{})
}

// pass writes whole lines in blocks, and says how many of them failed and why.
func (m *Mux) pass(lines []byte) (int, error) {
	for len(lines) > 0 {
		n := len(lines)
		if n > muxBlock {
			n = bytes.LastIndexByte(lines[:muxBlock], '\n') + 1
			if n == 0 { // one long line
				n = bytes.IndexByte(lines, '\n') + 1
			}
		}
		done, err := m.block(lines[:n])
		if err != nil {
			return bytes.Count(lines[done:], []byte{'\n'}), err
		}
		lines = lines[n:]
	}
	return 0, nil
}

// block writes one block, without the lock.
func (m *Mux) block(p []byte) (int, error) {
	m.since = time.Now()
	m.mu.Unlock()
	n, err := m.out.Write(p)
	m.mu.Lock()
	n = min(max(n, 0), len(p))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		m.torn = p[n-1] != '\n'
	}
	if err != nil {
		m.why = err
		if m.err == nil {
			m.err = fmt.Errorf("write output: %w", err)
		}
	}
	return n, err
}

// notice stands where lines are missing. If it cannot be written either, the next
// round tries again.
func (m *Mux) notice() {
	text := fmt.Appendf(nil, "silo: %d lines are not shown here: %v (the log files have them)\n", m.missing, m.why)
	if m.torn {
		text = append([]byte{'\n'}, text...)
	}
	if _, err := m.block(text); err == nil {
		m.missing = 0
	}
}

// stream is one silo's part of a Mux.
type stream struct {
	mux    *Mux
	prefix string
	held   []byte // the beginning of a line that is unfinished, at most maxLine
}

func (s *stream) Write(p []byte) (int, error) {
	m := s.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, os.ErrClosed
	}
	n := len(p)
	for len(p) > 0 {
		end := bytes.IndexByte(p, '\n')
		if end >= 0 && len(s.held)+end <= maxLine {
			m.put(s.prefix, s.held, p[:end])
			s.release()
			p = p[end+1:]
			continue
		}
		if fits := maxLine - len(s.held); len(p) > fits {
			m.put(s.prefix, s.held, p[:fits])
			s.release()
			p = p[fits:]
			continue
		}
		s.held = append(s.held, p...)
		break
	}
	m.kick()
	return n, nil
}

// release keeps a small buffer for the next unfinished line, and not a big one.
func (s *stream) release() {
	if cap(s.held) > 4<<10 {
		s.held = nil
	}
	s.held = s.held[:0]
}

// Close passes on what is unfinished, as a line.
func (s *stream) Close() error {
	m := s.mux
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(s.held) > 0 && !m.closed {
		m.put(s.prefix, s.held, nil)
		m.kick()
	}
	s.held = nil
	return nil
}
