package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// attempts bounds how often a reader retries because rotation moved a file in the meantime. An attempt
// takes about 50 µs, and so does a rotation.
const attempts = 1000

// rawFile is a raw file that is open for reading. Rotation may rename it, but while
// it is open no other file has its inode.
type rawFile struct {
	file   *os.File
	info   os.FileInfo
	begin  int64 // position of its first byte in a history
	limit  int64 // how far to read; -1: to its end, even if it grows
	times  *os.File
	stamps *timestampReader // nil until timestamps is called
}

func (r *rawFile) close() {
	_ = r.file.Close()
	r.closeTimes()
}

// closeTimes makes the next call to timestamps start at the beginning of the sidecar.
func (r *rawFile) closeTimes() {
	if r.times != nil {
		_ = r.times.Close()
	}
	r.times, r.stamps = nil, nil
}

// timestamps returns the reader of the file's sidecar.
func (r *rawFile) timestamps(f files) *timestampReader {
	if r.stamps == nil {
		r.stamps = &timestampReader{fallback: r.info.ModTime(), mayGrow: true}
		if r.times = f.openTimes(r.info); r.times != nil {
			r.stamps.file = r.times
		}
	}
	return r.stamps
}

func (f files) open(n int) (*rawFile, error) {
	file, err := os.Open(f.raw(n))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &rawFile{file: file, info: info, limit: info.Size()}, nil
}

// openAll opens all raw files, oldest first.
func (f files) openAll() (opened []*rawFile, err error) {
	for n := range f.all() {
		r, err := f.open(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue // moved: all will yield it again
		}
		if err != nil {
			for _, r := range opened {
				r.close()
			}
			return nil, err
		}
		if len(opened) > 0 && os.SameFile(r.info, opened[len(opened)-1].info) {
			r.close() // moved since it was opened
			continue
		}
		opened = append(opened, r)
	}
	slices.Reverse(opened)
	return opened, nil
}

// newer opens the file that follows last, or returns nil if there is none. If last has been
// dropped, it opens the oldest file written later; if last has no file, the oldest file.
func (f files) newer(last *rawFile) (*rawFile, error) {
	for range attempts {
		at := f.numberOf(last.info)
		next := -1
		for n := range f.all() {
			// Number 0 is the newest, even if the wall clock was set back meanwhile.
			if n < at || at < 0 && (n == 0 || f.writtenAfter(n, last)) {
				next = n
			}
		}
		var r *rawFile
		if next >= 0 {
			var err error
			if r, err = f.open(next); errors.Is(err, fs.ErrNotExist) {
				continue
			} else if err != nil {
				return nil, err
			}
		}
		// Rotation moves older files first: if last has not moved, nothing newer has.
		if f.hasNotMoved(last.info, at) && (r == nil || f.isAt(next, r.info)) {
			return r, nil
		}
		if r != nil {
			r.close()
		}
	}
	return nil, fmt.Errorf("read log of %s: rotated faster than it can be read", f.silo)
}

// writtenAfter reports whether file n was last written after last, or at the same time. If
// rotation has dropped last, all files were; if a user has removed it, older ones were
// not.
func (f files) writtenAfter(n int, last *rawFile) bool {
	if last.file == nil {
		return true
	}
	own, err := last.file.Stat()
	if err != nil {
		return true
	}
	other, err := os.Stat(f.raw(n))
	return err == nil && !other.ModTime().Before(own.ModTime())
}

// hasNotMoved reports whether a file still has the given number.
func (f files) hasNotMoved(info os.FileInfo, n int) bool {
	if n < 0 {
		return info == nil || f.numberOf(info) < 0
	}
	return f.isAt(n, info)
}
