package logs

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// timestampSize is the length of one record of a sidecar: 6 bytes of offset in the raw file and 6
// bytes of milliseconds since 1970, both big endian. All records have the same length, so that only
// the last one can be torn.
const timestampSize = 12

// timestamp records when the bytes from off up to the next record's offset arrived.
type timestamp struct{ off, ms int64 }

func (t timestamp) encode() [timestampSize]byte {
	var b [timestampSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(t.off<<16|t.ms>>32&0xffff)) //nolint:gosec // both are 48 bits, never negative
	binary.BigEndian.PutUint32(b[8:], uint32(t.ms&0xffffffff))
	return b
}

func decodeTimestamp(b []byte) timestamp {
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint32(b[8:timestampSize])
	return timestamp{
		off: int64(high >> 16),
		ms:  int64((high&0xffff)<<32 | uint64(low)), //nolint:gosec // 48 bits
	}
}

// timestampWriter writes one sidecar. It writes a record before the bytes that the
// record is for, so that a reader that has the bytes finds their time. If the
// supervisor is killed in between, the next record replaces this one.
type timestampWriter struct {
	file *os.File
	n    int64 // complete records in the file
	last timestamp
}

// openTimestamps opens the sidecar of a raw file of the given size, and removes records
// for bytes beyond it.
func openTimestamps(path string, size int64) (*timestampWriter, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	w := &timestampWriter{file: file}
	if err := w.trim(size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return w, nil
}

func (w *timestampWriter) trim(size int64) error {
	info, err := w.file.Stat()
	if err != nil {
		return err
	}
	for w.n = info.Size() / timestampSize; w.n > 0; w.n-- {
		if w.last, err = w.read(w.n - 1); err != nil {
			return err
		}
		if w.last.off <= size {
			break
		}
	}
	return w.file.Truncate(w.n * timestampSize)
}

func (w *timestampWriter) read(i int64) (timestamp, error) {
	var b [timestampSize]byte
	if _, err := w.file.ReadAt(b[:], i*timestampSize); err != nil {
		return timestamp{}, err
	}
	return decodeTimestamp(b[:]), nil
}

// add records that the bytes at off arrive now. It writes nothing if the last record has the same
// time. If output comes in tiny pieces, it writes one record a second, so that the sidecar stays
// smaller than the output.
func (w *timestampWriter) add(off int64, now time.Time) error {
	next := timestamp{off: off, ms: now.UnixMilli()}
	i := w.n
	if i > 0 {
		passed := next.ms - w.last.ms
		if passed == 0 || passed > 0 && passed < 1000 && w.n*timestampSize > off+maxLine {
			return nil
		}
		if w.last.off == off {
			i-- // the last record's bytes were never written
		}
	}
	b := next.encode()
	// Do not append: overwrite a torn record.
	if _, err := w.file.WriteAt(b[:], i*timestampSize); err != nil {
		return err
	}
	w.n, w.last = i+1, next
	return nil
}

// timestampReader reads one sidecar forwards. It accepts any content and skips torn and invalid
// records.
type timestampReader struct {
	file     io.ReaderAt // nil if there is no sidecar
	fallback time.Time   // time of bytes without a record

	pos     int64 // of the next record to read
	buf     []byte
	mayGrow bool // the file may have grown since it was last read to its end

	current, next       timestamp
	hasCurrent, hasNext bool
}

// at returns when the byte at off arrived. Offsets must not decrease from call to
// call.
func (r *timestampReader) at(off int64) time.Time {
	for r.hasNext || r.readNext() {
		if r.next.off > off && r.hasCurrent {
			break
		}
		r.advance()
	}
	if !r.hasCurrent {
		return r.fallback
	}
	return time.UnixMilli(r.current.ms)
}

// seek skips everything that arrived before t, and returns the offset of the first byte that did
// not. It returns false if all arrived earlier.
func (r *timestampReader) seek(t time.Time) (int64, bool) {
	for r.hasNext || r.readNext() {
		if r.next.ms >= t.UnixMilli() {
			return r.next.off, true
		}
		r.advance()
	}
	return 0, !r.hasCurrent && !r.fallback.Before(t)
}

func (r *timestampReader) advance() {
	r.current, r.hasCurrent, r.hasNext = r.next, true, false
}

// readNext finds the next valid record.
func (r *timestampReader) readNext() bool {
	for {
		if len(r.buf) < timestampSize && !r.load() {
			return false
		}
		t := decodeTimestamp(r.buf)
		r.buf = r.buf[timestampSize:]
		if t.ms == 0 || r.hasCurrent && t.off < r.current.off {
			continue
		}
		r.next, r.hasNext = t, true
		return true
	}
}

func (r *timestampReader) load() bool {
	if r.file == nil || !r.mayGrow {
		return false
	}
	buf := make([]byte, 256*timestampSize)
	n, err := r.file.ReadAt(buf, r.pos)
	n -= n % timestampSize
	r.buf, r.pos = buf[:n], r.pos+int64(n)
	r.mayGrow = err == nil
	return n > 0
}

// openTimes opens the sidecar of the raw file that info describes, whatever its current number. It
// returns nil without a sidecar.
func (f files) openTimes(info os.FileInfo) *os.File {
	for range attempts {
		n := f.numberOf(info)
		if n < 0 {
			return nil
		}
		file, err := os.Open(f.times(n))
		// Between the two renames of a rotation the sidecar still has the old number.
		between := errors.Is(err, fs.ErrNotExist) && n > 0 && !exists(f.raw(n-1))
		if between {
			file, err = os.Open(f.times(n - 1))
		}
		unmoved := f.isAt(n, info) && (!between || !exists(f.times(n)))
		if err == nil && unmoved {
			return file
		}
		if err == nil {
			_ = file.Close()
		} else if unmoved && !exists(f.times(n)) {
			return nil
		}
	}
	return nil
}
