package logs

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"slices"
	"time"
)

// history is the output of one silo up to when it was opened, as one byte sequence across all
// its files.
type history struct {
	files files
	raw   []*rawFile // oldest first
	size  int64
	err   error // the first read error

	window []byte // the block that lineStarts read last
	at     int64  // position of its first byte
}

func openHistory(f files) (*history, error) {
	raw, err := f.openAll()
	if err != nil {
		return nil, err
	}
	h := &history{files: f, raw: raw}
	for _, r := range raw {
		r.begin = h.size
		h.size += r.limit
	}
	return h, nil
}

func (h *history) close() {
	for _, r := range h.raw {
		r.close()
	}
}

// read fills b from pos on.
func (h *history) read(b []byte, pos int64) bool {
	for _, r := range h.raw {
		end := r.begin + r.limit
		if pos >= end || len(b) == 0 {
			continue
		}
		part := b[:min(int64(len(b)), end-pos)]
		n, err := r.file.ReadAt(part, pos-r.begin)
		if n < len(part) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // the file has been truncated
			}
			h.err = errors.Join(h.err, err)
			return false
		}
		b, pos = b[n:], pos+int64(n)
	}
	return len(b) == 0
}

// lineStarts yields the line starts up to from, last first.
func (h *history) lineStarts(from int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for pos := from; pos > 0; pos = h.at {
			if h.window == nil {
				h.window = make([]byte, maxLine)
			}
			h.at = max(0, pos-maxLine)
			h.window = h.window[:pos-h.at]
			if !h.read(h.window, h.at) {
				return
			}
			for end := len(h.window); ; {
				end = bytes.LastIndexByte(h.window[:end], '\n')
				if end < 0 {
					break
				}
				if !yield(h.at + int64(end) + 1) {
					return
				}
			}
		}
		yield(0)
	}
}

// lineStart returns the start of the line that ends at pos or contains it.
func (h *history) lineStart(pos int64) int64 {
	for start := range h.lineStarts(pos) {
		return start
	}
	return pos
}

// text returns up to maxLine bytes of a line, without its newline. buf has room for one more byte.
func (h *history) text(start, end int64, buf []byte) []byte {
	end = min(end, start+maxLine+1)
	var line []byte
	if start >= h.at && end <= h.at+int64(len(h.window)) {
		line = h.window[start-h.at : end-h.at]
	} else if line = buf[:end-start]; !h.read(line, start) {
		return nil
	}
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return line[:min(len(line), maxLine)]
}

// since returns the start of the first line that was not complete before t.
func (h *history) since(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	for _, r := range slices.Backward(h.raw) {
		first, found := r.timestamps(h.files).seek(t)
		r.closeTimes()
		if found && first == 0 {
			continue // all of this file, and perhaps the end of the previous one
		}
		if !found {
			first = r.limit
		}
		return h.lineStart(r.begin + min(first, r.limit))
	}
	return 0
}

// start returns the position where reading begins for q.
func (h *history) start(q Query) int64 {
	low := h.since(q.Since)
	if q.N < 0 {
		return low
	}
	if q.N == 0 && q.Follow {
		return h.lineStart(h.size) // the unfinished line counts as a line
	}
	wanted, end := 0, h.size
	var buf []byte
	if q.Grep != nil {
		buf = make([]byte, maxLine+1)
	}
	for start := range h.lineStarts(h.size) {
		if start < low {
			return end
		}
		if start == end {
			continue // the final newline
		}
		if wanted == q.N {
			return end
		}
		if q.Grep == nil || q.wants(h.text(start, end, buf)) {
			wanted++
		}
		end = start
	}
	return end
}
