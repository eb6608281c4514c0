package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// Defaults for Limits that are not positive.
const (
	DefaultMax  = 64 << 20
	DefaultKeep = 8
)

// checkInterval is how often a Writer checks that the file at its path is still its own,
// and how long writes must succeed before a failure counts as over.
const checkInterval = time.Second

// Limits bound the log of one silo.
type Limits struct {
	Max  int64 // bytes per raw file
	Keep int   // files per silo, including the current one
}

// A Writer logs one silo's output. Only Tail is safe for concurrent use. It has no goroutine,
// timer or buffer: once Write has returned, the kernel has the bytes and they survive this
// process.
type Writer struct {
	// OnError, if set before the first Write, is called with a *LossError when output
	// can no longer be kept, and again when the failure is over. Write and Close call
	// it; it must not call the Writer.
	OnError func(error)

	files  files
	limits Limits
	closed bool

	file        *os.File // nil if it could not be opened
	info        os.FileInfo
	size        int64
	atLineStart bool             // the next byte begins a line
	times       *timestampWriter // nil until something is written
	checked     time.Time

	failure  error // why output is being lost; nil while it is kept
	failedAt time.Time
	lost     int64 // bytes lost in this failure
	gap      bool  // bytes were lost after the last kept ones
	timesErr error // why the current block has no arrival time
}

// LossError reports that some of a silo's output is not in its log.
type LossError struct {
	Silo  string
	Bytes int64 // lost so far
	Over  bool  // output is kept again, or the log was closed: Bytes is final
	Err   error // why
}

func (e *LossError) Error() string {
	if e.Over {
		return fmt.Sprintf("log of %s: %d bytes were lost: %v", e.Silo, e.Bytes, e.Err)
	}
	return fmt.Sprintf("log of %s: output is not being kept: %v", e.Silo, e.Err)
}

func (e *LossError) Unwrap() error { return e.Err }

// Open opens the log of a silo in dir for appending, and completes an interrupted
// rotation. It creates dir (0700) and the file (0600) if necessary. A silo must have
// one Writer at a time.
func Open(dir, silo string, l Limits) (*Writer, error) {
	if err := checkName(silo); err != nil {
		return nil, err
	}
	if l.Max <= 0 {
		l.Max = DefaultMax
	}
	if l.Keep <= 0 {
		l.Keep = DefaultKeep
	}
	w := &Writer{files: files{dir: dir, silo: silo}, limits: l}
	if err := errors.Join(w.files.repair(l.Keep), w.open()); err != nil {
		return nil, errors.Join(fmt.Errorf("open log of %s: %w", silo, err), w.closeFiles())
	}
	return w, nil
}

// Write appends p to the raw file, and rotates a full one: after a line if one ends
// near the limit, otherwise within a line. Before Close it never fails: output that
// cannot be kept is counted and reported to OnError, so that the silo never blocks
// on a full disk. One newline replaces missing bytes in the raw file, so that two
// halves do not look like one line.
func (w *Writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, os.ErrClosed
	}
	w.writeAt(p, time.Now())
	return len(p), nil
}

// writeAt is Write at a given time. Only the sidecar uses the wall clock, which may
// be set back; intervals use the monotonic clock of time.Now.
func (w *Writer) writeAt(p []byte, now time.Time) {
	err := w.checkFile(now)
	kept := 0
	if err == nil {
		kept, err = w.keep(p, now)
	}
	w.record(now, int64(len(p)-kept), errors.Join(err, w.timesErr))
	w.timesErr = nil
}

// Close closes the files. If a failure is not over, it reports it as final.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.report(true)
	if err := w.closeFiles(); err != nil {
		return fmt.Errorf("close log of %s: %w", w.files.silo, err)
	}
	return nil
}

// Tail is Last for this Writer's silo, and skips unreadable files. Any goroutine may call it at any
// time.
func (w *Writer) Tail(n int) []string {
	lines, _ := Last(w.files.dir, w.files.silo, n)
	return lines
}

func (w *Writer) open() error {
	if err := os.MkdirAll(w.files.dir, 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(w.files.raw(0), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	last := []byte{'\n'}
	if size := info.Size(); size > 0 {
		if _, err := file.ReadAt(last, size-1); err != nil {
			return errors.Join(err, file.Close())
		}
	}
	w.file, w.info, w.size, w.atLineStart = file, info, info.Size(), last[0] == '\n'
	return nil
}

func (w *Writer) closeFiles() error {
	var err error
	if w.file != nil {
		err = w.file.Close()
	}
	if w.times != nil {
		err = errors.Join(err, w.times.file.Close())
	}
	w.file, w.times = nil, nil
	return err
}

// checkFile opens the file if it is not open, and reopens it if it was removed, replaced or
// truncated, checking once per checkInterval.
func (w *Writer) checkFile(now time.Time) error {
	if w.file != nil {
		if age := now.Sub(w.checked); age >= 0 && age < checkInterval {
			return nil
		}
		info, err := os.Stat(w.files.raw(0))
		if err == nil && os.SameFile(info, w.info) && info.Size() == w.size {
			w.checked = now
			return nil
		}
		if err := w.closeFiles(); err != nil {
			return err
		}
	}
	if err := w.open(); err != nil {
		return err
	}
	w.checked = now
	return nil
}

// keep writes p, and returns how much of it reached the raw file.
func (w *Writer) keep(p []byte, now time.Time) (int, error) {
	if w.gap && !w.atLineStart {
		if _, err := w.append([]byte{'\n'}, now); err != nil {
			return 0, err
		}
	}
	kept := 0
	for kept < len(p) {
		n, full := w.split(p[kept:])
		if n > 0 {
			m, err := w.append(p[kept:kept+n], now)
			kept += m
			if err != nil {
				return kept, err
			}
		}
		if full {
			if err := w.rotate(); err != nil {
				return kept, err
			}
		}
	}
	return kept, nil
}

// split returns how much of p belongs in the current file, and whether that fills it. It
// splits after a line if one ends near the limit, otherwise at the limit.
func (w *Writer) split(p []byte) (n int, full bool) {
	near := w.limits.Max - min(w.limits.Max/8, maxLine)
	if w.size+int64(len(p)) <= near {
		return len(p), false
	}
	fits := p[:min(int64(len(p)), max(w.limits.Max-w.size, 0))]
	if i := bytes.LastIndexByte(fits, '\n'); i >= 0 && w.size+int64(i) >= near {
		return i + 1, i+1 < len(p)
	}
	if w.atLineStart && w.size > 0 && w.size >= near {
		return 0, true
	}
	return len(fits), len(fits) < len(p)
}

// append writes p to the current file. Failing to keep its arrival time is a failure, but the
// output is kept.
func (w *Writer) append(p []byte, now time.Time) (int, error) {
	if err := w.addTimestamp(now); err != nil {
		w.timesErr = fmt.Errorf("keep arrival times: %w", err)
	}
	n, err := w.file.Write(p)
	if n > 0 {
		w.size += int64(n)
		w.atLineStart = p[n-1] == '\n' //nolint:gosec // G602: Write returns at most len(p)
		w.gap = false
	}
	return n, err
}

func (w *Writer) addTimestamp(now time.Time) error {
	if w.times == nil {
		times, err := openTimestamps(w.files.times(0), w.size)
		if err != nil {
			return err
		}
		w.times = times
	}
	return w.times.add(w.size, now)
}

func (w *Writer) rotate() error {
	err := errors.Join(w.closeFiles(), w.files.shift(w.limits.Keep))
	return errors.Join(err, w.open())
}

// record counts lost bytes. It reports a failure when it begins, and when writes have succeeded for
// checkInterval: on a full disk, an occasional block may succeed.
func (w *Writer) record(now time.Time, lost int64, err error) {
	if err != nil {
		w.failedAt, w.lost = now, w.lost+lost
		w.gap = w.gap || lost > 0
		if w.failure == nil {
			w.failure = err
			w.report(false)
		}
		return
	}
	if now.Sub(w.failedAt) >= checkInterval {
		w.report(true)
	}
}

// report calls OnError if there is a failure, and ends the failure if it is over.
func (w *Writer) report(over bool) {
	if w.failure == nil {
		return
	}
	loss := &LossError{Silo: w.files.silo, Bytes: w.lost, Over: over, Err: w.failure}
	if over {
		w.failure, w.lost = nil, 0
	}
	if w.OnError != nil {
		w.OnError(loss)
	}
}
