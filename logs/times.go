package logs

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"sort"
	"time"
)

// stampSize is the length of one record of a sidecar: 6 bytes of offset in the
// raw file and 6 bytes of milliseconds since 1970, both big endian. Records have
// one length, so that a torn one is only ever a short end.
const stampSize = 12

// stamp says when the bytes from off on arrived, up to the next stamp's offset.
type stamp struct{ off, ms int64 }

func (s stamp) encode() [stampSize]byte {
	var b [stampSize]byte
	binary.BigEndian.PutUint64(b[:8], uint64(s.off<<16|s.ms>>32&0xffff)) //nolint:gosec // both are 48 bits, never negative
	binary.BigEndian.PutUint32(b[8:], uint32(s.ms&0xffffffff))
	return b
}

func decodeStamp(b []byte) stamp {
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint32(b[8:stampSize])
	return stamp{
		off: int64(high >> 16),
		ms:  int64((high&0xffff)<<32 | uint64(low)), //nolint:gosec // 48 bits
	}
}

// stamps writes one sidecar. A stamp is written before the bytes it is for: a
// reader that has the bytes then always finds their time, and a supervisor that
// is killed in between leaves a stamp that the next one replaces.
type stamps struct {
	file *os.File
	n    int64 // whole records in the file
	last stamp
}

// openStamps opens the sidecar of a raw file of size bytes and forgets records
// that speak of bytes beyond it.
func openStamps(path string, size int64) (*stamps, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &stamps{file: file}
	if err := s.trim(size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func (s *stamps) trim(size int64) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	whole := int(info.Size() / stampSize)
	s.n = int64(sort.Search(whole, func(i int) bool {
		at, readErr := s.read(int64(i))
		err = errors.Join(err, readErr)
		return at.off > size
	}))
	if err == nil && s.n > 0 {
		s.last, err = s.read(s.n - 1)
	}
	if err != nil {
		return err
	}
	return s.file.Truncate(s.n * stampSize)
}

func (s *stamps) read(i int64) (stamp, error) {
	var b [stampSize]byte
	if _, err := s.file.ReadAt(b[:], i*stampSize); err != nil {
		return stamp{}, err
	}
	return decodeStamp(b[:]), nil
}

// mark notes that what is written at off arrives now. It writes nothing where
// the last stamp says the same. Output in tiny pieces is stamped once a second
// when its sidecar would outgrow it.
func (s *stamps) mark(off int64, now time.Time) error {
	next := stamp{off: off, ms: now.UnixMilli()}
	i := s.n
	if i > 0 {
		passed := next.ms - s.last.ms
		if passed == 0 || passed > 0 && passed < 1000 && s.n*stampSize > off+maxLine {
			return nil
		}
		if s.last.off == off {
			i-- // nothing was written under the last one
		}
	}
	b := next.encode()
	// At a place, not appended: a record that was torn is written over.
	if _, err := s.file.WriteAt(b[:], i*stampSize); err != nil {
		return err
	}
	s.n, s.last = i+1, next
	return nil
}

// clock reads one sidecar forwards. It stands any content: what is torn or
// impossible is passed over.
type clock struct {
	file     io.ReaderAt // nil where there is no sidecar
	fallback time.Time   // for bytes of which no stamp tells

	pos   int64 // of the next record to read
	buf   []byte
	fresh bool // the file may have grown since it was last read to its end
	cur   stamp
	next  stamp
	begun bool // cur is set
	ahead bool // next is set
}

// at is when the byte at off arrived. Offsets must not decrease from call to call.
func (c *clock) at(off int64) time.Time {
	for c.ahead || c.advance() {
		if c.next.off > off && c.begun {
			break
		}
		c.cur, c.begun, c.ahead = c.next, true, false
	}
	if !c.begun {
		return c.fallback
	}
	return time.UnixMilli(c.cur.ms)
}

// seek passes over all that arrived before t, and gives the offset of the first
// byte that did not, or false where all did.
func (c *clock) seek(t time.Time) (int64, bool) {
	seen := false
	for c.ahead || c.advance() {
		seen = true
		if c.next.ms >= t.UnixMilli() {
			return c.next.off, true
		}
		c.cur, c.begun, c.ahead = c.next, true, false
	}
	return 0, !seen && !c.fallback.Before(t)
}

// advance finds the next sound record.
func (c *clock) advance() bool {
	for {
		if len(c.buf) < stampSize && !c.load() {
			return false
		}
		s := decodeStamp(c.buf)
		c.buf = c.buf[stampSize:]
		if s.ms == 0 || c.begun && s.off < c.cur.off {
			continue
		}
		c.next, c.ahead = s, true
		return true
	}
}

func (c *clock) load() bool {
	if c.file == nil || !c.fresh {
		return false
	}
	buf := make([]byte, 256*stampSize)
	n, err := c.file.ReadAt(buf, c.pos)
	n -= n % stampSize
	c.buf, c.pos = buf[:n], c.pos+int64(n)
	c.fresh = err == nil
	return n > 0
}

// openTimes opens the sidecar of the raw file that info describes, wherever
// rotation has brought it; nil where there is none.
func (f files) openTimes(info os.FileInfo) *os.File {
	for range attempts {
		n := f.locate(info)
		if n < 0 {
			return nil
		}
		file, err := os.Open(f.times(n))
		between := errors.Is(err, fs.ErrNotExist) && n > 0 && !f.exists(n-1)
		if between { // the raw file has moved and its sidecar perhaps not yet
			file, err = os.Open(f.times(n - 1))
		}
		stays := f.is(n, info) && (!between || !f.hasTimes(n))
		if err == nil && stays {
			return file
		}
		if err == nil {
			_ = file.Close()
		} else if stays && !f.hasTimes(n) {
			return nil
		}
	}
	return nil
}

func (f files) hasTimes(n int) bool { _, err := os.Lstat(f.times(n)); return err == nil }
