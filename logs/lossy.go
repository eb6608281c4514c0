package logs

import (
	"io"
	"time"
)

// A LossyWriter passes bytes to a writer that may stall, such as a pager that is not
// scrolled. Create it with NewLossyWriter; its methods may be called from any
// goroutine.
type LossyWriter struct{ queue *queue }

// NewLossyWriter returns a LossyWriter that writes to out.
func NewLossyWriter(out io.Writer) *LossyWriter {
	q := newQueue(out)
	q.silent = true
	return &LossyWriter{q}
}

// Write blocks until the underlying writer has accepted p, or has accepted nothing for a
// second. While it is stalled, Write does not block: it buffers up to 256 KiB and drops
// the rest. If it has failed, Write returns its first error.
func (w *LossyWriter) Write(p []byte) (int, error) {
	q := w.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return 0, q.err
	}
	if q.waitForRoom(len(p)) {
		q.pending = append(q.pending, p...)
	}
	q.start()
	for waiting := true; waiting && q.writing; {
		waiting = q.wait(time.Time{})
	}
	return len(p), q.err
}
