package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	// maxPending bounds the bytes that wait for the underlying writer; as many again may be in the
	// current write.
	maxPending = 256 << 10
	// blockSize is the maximum size of one write. Each block that the underlying writer takes shows
	// that it is not stalled.
	blockSize = 64 << 10
	// stallTimeout is how long one block may take before the writer counts as stalled.
	stallTimeout = time.Second
)

// ErrStalled reports that the underlying writer has stopped taking output.
var ErrStalled = errors.New("the output is not being read")

// queue passes bytes to a writer in its own goroutine, and detects when the writer stalls. The
// goroutine exists only while there is something to write.
type queue struct {
	out io.Writer

	silent bool // drop without a notice

	mu       sync.Mutex    // guards all fields below
	pending  []byte        // waits for the goroutine
	spare    []byte        // the previous pending, for reuse
	dropped  int           // lines dropped since pending was last written
	progress chan struct{} // closed and replaced when there is room, or nothing left to write
	writing  bool          // the goroutine is running
	since    time.Time     // when the write of the current block began
	rounds   int           // how often pending has been written
	err      error         // out's first error
	torn     bool          // out has accepted only the beginning of a line
	missing  int           // dropped lines that no notice has reported yet
	reason   error         // why they were dropped
}

func newQueue(out io.Writer) *queue { return &queue{out: out, progress: make(chan struct{})} }

// flush blocks until out has accepted everything that was queued before the call.
func (q *queue) flush() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.start()
	// The round in progress does not include pending; the next one does.
	now := time.Now()
	for target := q.rounds + 2; q.writing && q.rounds < target; {
		if !q.wait(now) {
			return errors.Join(q.err, ErrStalled)
		}
	}
	return q.err
}

// waitForRoom blocks until size more bytes may be queued. It reports false if out is stalled;
// everything is then dropped until the notice is queued.
func (q *queue) waitForRoom(size int) bool {
	for q.dropped == 0 && len(q.pending) > 0 && len(q.pending)+size > maxPending {
		q.start()
		if !q.wait(q.since) {
			return false
		}
	}
	return q.dropped == 0
}

// wait releases the lock until there is progress. It returns false if there has been none for
// stallTimeout since the given time.
func (q *queue) wait(since time.Time) bool {
	if since.Before(q.since) {
		since = q.since
	}
	left := stallTimeout - time.Since(since)
	if left <= 0 {
		return false
	}
	progress := q.progress
	q.mu.Unlock()
	defer q.mu.Lock()
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-progress:
	case <-timer.C:
	}
	return true // out may have started another block: the next call checks again
}

// start starts the goroutine if there is something to write. The caller must hold mu.
func (q *queue) start() {
	if q.writing || len(q.pending) == 0 && q.dropped == 0 {
		return
	}
	q.writing, q.since = true, time.Now()
	go q.run()
}

// run writes until nothing is pending.
func (q *queue) run() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; len(q.pending) > 0 || q.dropped > 0; q.rounds++ {
		taken, dropped := q.pending, q.dropped
		q.pending, q.spare, q.dropped = q.spare[:0], nil, 0
		q.signal()
		if q.missing > 0 {
			q.writeNotice()
		}
		failed, err := q.writeAll(taken)
		if err == nil && dropped > 0 {
			q.reason = ErrStalled
		}
		if q.missing += failed + dropped; err == nil && q.missing > 0 {
			q.writeNotice()
		}
		q.spare = taken[:0]
	}
	q.writing = false
	q.signal()
}

func (q *queue) signal() {
	close(q.progress)
	q.progress = make(chan struct{})
}

// writeAll writes p in blocks that end at a newline if they contain one. On error it
// returns the number of lines not written.
func (q *queue) writeAll(p []byte) (int, error) {
	for len(p) > 0 {
		n := len(p)
		if n > blockSize {
			n = bytes.LastIndexByte(p[:blockSize], '\n') + 1
			if n == 0 { // one long line
				n = bytes.IndexByte(p, '\n') + 1
			}
			if n == 0 {
				n = len(p)
			}
		}
		done, err := q.writeBlock(p[:n])
		if err != nil {
			return bytes.Count(p[done:], []byte{'\n'}), err
		}
		p = p[n:]
	}
	return 0, nil
}

// writeBlock writes one block with the lock released.
func (q *queue) writeBlock(p []byte) (int, error) {
	q.since = time.Now()
	q.mu.Unlock()
	n, err := q.out.Write(p)
	q.mu.Lock()
	n = min(max(n, 0), len(p))
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		q.torn = p[n-1] != '\n'
	}
	if err != nil {
		q.reason = err
		if q.err == nil {
			q.err = fmt.Errorf("write output: %w", err)
		}
	}
	return n, err
}

// writeNotice writes a line with the number of missing lines. If that fails, the next round tries
// again.
func (q *queue) writeNotice() {
	if q.silent {
		return
	}
	text := fmt.Appendf(nil, "silo: %d lines are not shown here: %v (the log files have them)\n", q.missing, q.reason)
	if q.torn {
		text = append([]byte{'\n'}, text...)
	}
	if _, err := q.writeBlock(text); err == nil {
		q.missing = 0
	}
}
