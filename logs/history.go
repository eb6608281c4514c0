package logs

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"math"
	"time"
)

// history is what one silo has written up to the moment at which it was opened,
// as one run of bytes over all its files. Places in it are counted from its end:
// 0 is the end, -1 the last byte. Older files are opened only when they are asked
// for, which moves no place.
type history struct {
	files files
	parts []*part // newest first
	reach int64   // bytes in parts
	all   bool    // there is nothing older
	err   error   // the first that a read met

	window []byte // what was read last when going backwards
	at     int64  // place of its first byte
}

func openHistory(f files) (*history, error) {
	h := &history{files: f}
	p, err := f.newest()
	if err != nil {
		return nil, err
	}
	if p == nil {
		h.all = true
		return h, nil
	}
	h.add(p)
	return h, nil
}

func (h *history) add(p *part) {
	h.parts = append(h.parts, p)
	h.reach += p.limit
}

func (h *history) close() {
	for _, p := range h.parts {
		p.close()
	}
	h.parts = nil
}

// extend takes in the next older file.
func (h *history) extend() bool {
	if h.all || h.err != nil {
		return false
	}
	p, err := h.files.older(h.parts[len(h.parts)-1].info)
	h.err = err
	if p == nil {
		h.all = true
		return false
	}
	h.add(p)
	return true
}

// covers takes in files until the byte at pos is in one.
func (h *history) covers(pos int64) bool {
	for pos < -h.reach {
		if !h.extend() {
			return false
		}
	}
	return true
}

// find gives the part that holds the byte at pos, and the place of its beginning.
func (h *history) find(pos int64) (*part, int64) {
	begin := int64(0)
	for _, p := range h.parts {
		begin -= p.limit
		if pos >= begin {
			return p, begin
		}
	}
	return nil, begin
}

// read fills b from pos on.
func (h *history) read(b []byte, pos int64) bool {
	for len(b) > 0 {
		p, begin := h.find(pos)
		if p == nil {
			return false
		}
		n, err := p.file.ReadAt(b[:min(int64(len(b)), begin+p.limit-pos)], pos-begin)
		if n == 0 {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // somebody has emptied the file
			}
			h.err = errors.Join(h.err, err)
			return false
		}
		b, pos = b[n:], pos+int64(n)
	}
	return true
}

// starts gives the places up to from at which a line starts, the last one first.
func (h *history) starts(from int64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for pos := from; h.covers(pos - 1); pos = h.at {
			_, begin := h.find(pos - 1)
			if h.window == nil {
				h.window = make([]byte, maxLine)
			}
			h.at = max(begin, pos-int64(cap(h.window)))
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
		if h.err == nil {
			yield(-h.reach)
		}
	}
}

// lineStart is where the line begins that holds the byte at pos.
func (h *history) lineStart(pos int64) int64 {
	for start := range h.starts(pos) {
		return start
	}
	return pos
}

// text gives the beginning of a line, up to maxLine bytes of it, without its newline.
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

// since is where the first line begins that was not whole before t.
func (h *history) since(t time.Time) int64 {
	if t.IsZero() || len(h.parts) == 0 {
		return math.MinInt64
	}
	for {
		p := h.parts[len(h.parts)-1]
		first, found := p.when(h.files).seek(t)
		p.forget()
		if !found {
			first = p.limit
		}
		if found && first == 0 && h.extend() {
			continue
		}
		return h.lineStart(-h.reach + min(first, p.limit))
	}
}

// start is where reading begins for q: at its last N lines that it wants.
func (h *history) start(q Query) int64 {
	low := h.since(q.Since)
	if q.N < 0 {
		h.covers(low)
		return max(low, -h.reach)
	}
	if q.N == 0 && q.Follow {
		return h.lineStart(0) // what is unfinished now will be a whole line
	}
	wanted, end := 0, int64(0)
	var buf []byte
	for start := range h.starts(0) {
		if start < low {
			return end
		}
		if start == end {
			continue // the newline at the very end
		}
		if wanted == q.N {
			return end
		}
		if q.Grep != nil && buf == nil {
			buf = make([]byte, maxLine+1)
		}
		if q.Grep == nil || q.wants(h.text(start, end, buf)) {
			wanted++
		}
		end = start
	}
	return end
}
