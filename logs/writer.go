package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"time"
)

// What Limits are taken for where they say nothing.
const (
	DefaultMax  = 64 << 20
	DefaultKeep = 8
)

// lookEvery is how often a Writer that writes looks whether its file is still
// the one that it opened, and how long writing must have gone well before a
// trouble counts as over.
const lookEvery = time.Second

// Limits bound what is kept of one silo.
type Limits struct {
	Max  int64 // bytes of one raw file; DefaultMax where not positive
	Keep int   // files of a silo, the current one included; DefaultKeep where not positive
}

// A Writer keeps one silo's output. Its methods are for one goroutine, but for
// Tail. It has no goroutine, no timer and no buffer of its own: once Write has
// returned, the bytes are the kernel's and outlive this process.
type Writer struct {
	// OnError, if set before the first Write, is told when output can no longer
	// be kept, once, and when it is kept again: both times with a *LossError. It
	// is called from Write and Close and must not call back.
	OnError func(error)

	files  files
	limits Limits
	closed bool

	file      *os.File // nil where it could not be opened
	info      os.FileInfo
	size      int64
	lineStart bool    // what is written next begins a line
	stamps    *stamps // nil until something is written
	looked    time.Time

	trouble   error // why output is being lost; nil when all is well
	unstamped error // why the block being written has no arrival time
	failed    time.Time
	lost      int64 // bytes, of this trouble
	gap       bool  // bytes were lost since the last that were kept
}

// LossError says that some of a silo's output is not in its log.
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

// Open opens the log of a silo for appending, creating it where need be (0600),
// and ends a rotation that was interrupted. There must be one Writer at a time for
// a silo, and none since the directory was looked at.
func (d Directory) Open(silo string, l Limits) (*Writer, error) {
	if err := checkName(silo); err != nil {
		return nil, err
	}
	if l.Max <= 0 {
		l.Max = DefaultMax
	}
	if l.Keep <= 0 {
		l.Keep = DefaultKeep
	}
	w := &Writer{files: files{dir: d.path, silo: silo}, limits: l}
	if err := errors.Join(w.files.repairKnown(d.names, l.Keep), w.open()); err != nil {
		return nil, errors.Join(fmt.Errorf("open log of %s: %w", silo, err), w.shut())
	}
	return w, nil
}

// Write appends p to the raw file, rotating it where it is full: after a line
// where one ends near the bound, else within a line. It never fails before
// Close: output that cannot be kept is counted and told to OnError, so that the
// silo is drained whatever becomes of the disk. Where bytes are missing, one
// newline stands in the raw file for them, lest two halves look like one line.
func (w *Writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, os.ErrClosed
	}
	w.take(p, time.Now())
	return len(p), nil
}

// take is Write at a given time. Its wall clock, which may be set forwards and
// back, goes into the sidecar alone; what is told apart by time in here goes by
// the monotonic clock that time.Now adds.
func (w *Writer) take(p []byte, now time.Time) {
	err := w.look(now)
	kept := 0
	if err == nil {
		kept, err = w.keep(p, now)
	}
	w.note(now, int64(len(p)-kept), errors.Join(err, w.unstamped))
	w.unstamped = nil
}

// Close closes the files. A trouble that was not over is told to OnError as final.
func (w *Writer) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.tell(true)
	if err := w.shut(); err != nil {
		return fmt.Errorf("close log of %s: %w", w.files.silo, err)
	}
	return nil
}

// Tail is Last for this Writer's silo; any goroutine may call it at any time.
// What cannot be read is left out.
func (w *Writer) Tail(n int) []string {
	lines, _ := Last(w.files.dir, w.files.silo, n)
	return lines
}

func (w *Writer) open() error {
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
	w.file, w.info, w.size, w.lineStart = file, info, info.Size(), last[0] == '\n'
	return nil
}

func (w *Writer) shut() error {
	var err error
	if w.file != nil {
		err = w.file.Close()
	}
	if w.stamps != nil {
		err = errors.Join(err, w.stamps.file.Close())
	}
	w.file, w.stamps = nil, nil
	return err
}

// look opens the file afresh where there is none, and where somebody has
// removed, replaced or emptied it, which it looks for now and then.
func (w *Writer) look(now time.Time) error {
	if w.file != nil {
		if age := now.Sub(w.looked); age >= 0 && age < lookEvery {
			return nil
		}
		info, err := os.Stat(w.files.raw(0))
		if err == nil && os.SameFile(info, w.info) && info.Size() == w.size {
			w.looked = now
			return nil
		}
		if err := w.shut(); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(w.files.dir, 0o700); err != nil {
		return err
	}
	if err := w.open(); err != nil {
		return err
	}
	w.looked = now
	return nil
}

// keep writes p and says how much of it is in the raw file.
func (w *Writer) keep(p []byte, now time.Time) (int, error) {
	if w.gap && !w.lineStart {
		if _, err := w.append([]byte{'\n'}, now); err != nil {
			return 0, err
		}
	}
	kept := 0
	for kept < len(p) {
		n, full := w.cut(p[kept:])
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

// cut says how much of p belongs into the file as it is, and whether it is full
// with that. Near the bound it ends at a line, at the bound anywhere.
func (w *Writer) cut(p []byte) (n int, full bool) {
	near := w.limits.Max - min(w.limits.Max/8, maxLine)
	room := max(w.limits.Max-w.size, 0)
	if w.size+int64(len(p)) <= near {
		return len(p), false
	}
	fits := p[:min(int64(len(p)), room)]
	if i := bytes.LastIndexByte(fits, '\n'); i >= 0 && w.size+int64(i) >= near {
		return i + 1, i+1 < len(p)
	}
	if w.lineStart && w.size > 0 && w.size >= near {
		return 0, true
	}
	return len(fits), len(fits) < len(p)
}

// append writes p to the file as it is. That its time cannot be kept is a
// trouble, but costs no output.
func (w *Writer) append(p []byte, now time.Time) (int, error) {
	if err := w.stamp(now); err != nil {
		w.unstamped = fmt.Errorf("keep arrival times: %w", err)
	}
	n, err := w.file.Write(p)
	if n > 0 {
		w.size += int64(n)
		w.lineStart = bytes.HasSuffix(p[:n], []byte{'\n'})
		w.gap = false
	}
	return n, err
}

func (w *Writer) stamp(now time.Time) error {
	if w.stamps == nil {
		s, err := openStamps(w.files.times(0), w.size)
		if err != nil {
			return err
		}
		w.stamps = s
	}
	return w.stamps.mark(w.size, now)
}

func (w *Writer) rotate() error {
	err := errors.Join(w.shut(), w.files.shift(w.limits.Keep))
	return errors.Join(err, w.open())
}

// note keeps the account of what is lost. A trouble is told when it begins and
// when it is over, which a single block that finds room does not make it.
func (w *Writer) note(now time.Time, lost int64, err error) {
	if err != nil {
		w.failed, w.lost = now, w.lost+lost
		w.gap = w.gap || lost > 0
		if w.trouble == nil {
			w.trouble = err
			w.tell(false)
		}
		return
	}
	if w.trouble != nil && now.Sub(w.failed) >= lookEvery {
		w.tell(true)
	}
}

func (w *Writer) tell(over bool) {
	if w.trouble == nil {
		return
	}
	report := &LossError{Silo: w.files.silo, Bytes: w.lost, Over: over, Err: w.trouble}
	if over {
		w.trouble, w.lost = nil, 0
	}
	if w.OnError != nil {
		w.OnError(report)
	}
}
