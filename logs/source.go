package logs

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// source reads one silo's lines forwards, from file to file.
type source struct {
	files files
	query Query

	raw     []*rawFile // files still to read, oldest first; the first is being read
	off     int64      // offset in raw[0] of the next byte to read
	rotated bool       // raw[0] has been renamed and will not grow

	buf        []byte // buf[start:end] has been read and not yet passed on
	start, end int
	scanned    int // how much of that is known to contain no newline

	line      Line
	ready     bool // line is ready for next
	continues bool // the next piece continues a line
	wanted    bool // that line matches the query
	exhausted bool // nothing more to read at the moment
}

// openSource opens a silo's log at the position where q begins.
func openSource(f files, q Query) (*source, error) {
	h, err := openHistory(f)
	if err != nil {
		return nil, err
	}
	begin := h.start(q)
	if h.err != nil {
		h.close()
		return nil, h.err
	}
	s := &source{files: f, query: q, line: Line{Silo: f.silo}}
	for i, r := range h.raw {
		newest := i == len(h.raw)-1
		if r.begin+r.limit <= begin && !newest {
			r.close()
			continue
		}
		if begin > r.begin {
			s.off = begin - r.begin
		}
		if newest && q.Follow {
			r.limit = -1
		}
		s.raw = append(s.raw, r)
	}
	return s, nil
}

func (s *source) close() {
	for _, r := range s.raw {
		r.close()
	}
	s.raw = nil
}

// peek prepares the next matching line, if any. Its text is valid until the next peek after next.
func (s *source) peek() error {
	for !s.ready && !s.exhausted {
		if s.scan() {
			continue
		}
		more, err := s.fill()
		if err != nil {
			return err
		}
		if !more {
			s.exhausted = true
			if !s.query.Follow && s.end > s.start {
				s.emit(s.end-s.start, 0, true)
			}
		}
	}
	return nil
}

// next returns the line that is ready.
func (s *source) next() Line {
	s.ready = false
	return s.line
}

// scan takes the next line or piece from the buffer.
func (s *source) scan() bool {
	text := s.buf[s.start:s.end]
	text = text[:min(len(text), maxLine+1)]
	if i := bytes.IndexByte(text[s.scanned:], '\n'); i >= 0 {
		s.emit(s.scanned+i, 1, false)
		return true
	}
	if len(text) > maxLine {
		s.emit(maxLine, 0, true)
		return true
	}
	s.scanned = len(text)
	return false
}

// emit takes n bytes of text and a newline of the given length from the buffer, and makes them the
// next line if it matches the query.
func (s *source) emit(n, newline int, partial bool) {
	text := s.buf[s.start : s.start+n : s.start+n]
	s.start += n + newline
	s.scanned = 0
	last := s.off - int64(s.end-s.start) - 1
	at := s.raw[0].timestamps(s.files).at(max(last, 0))
	if !s.continues {
		s.wanted = !at.Before(s.query.Since) && s.query.wants(text)
	}
	s.continues = partial
	if s.wanted {
		s.line.At, s.line.Text, s.line.Partial, s.ready = at, text, partial, true
	}
}

// fill reads more, if necessary from the next file. It reports false if there is nothing
// more for now.
func (s *source) fill() (bool, error) {
	if len(s.raw) == 0 {
		if !s.query.Follow {
			return false, nil
		}
		return s.openNewer(&rawFile{})
	}
	if s.buf == nil {
		s.buf = make([]byte, 2*maxLine)
	}
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	r := s.raw[0]
	room := s.buf[s.end:]
	if r.limit >= 0 {
		room = room[:min(int64(len(room)), r.limit-s.off)]
	}
	n, err := r.file.ReadAt(room, s.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if n > 0 {
		s.end += n
		s.off += int64(n)
		if r.stamps != nil {
			r.stamps.mayGrow = true
		}
		return true, nil
	}
	return s.nextFile()
}

// nextFile opens the file after the current one.
func (s *source) nextFile() (bool, error) {
	r := s.raw[0]
	if len(s.raw) > 1 {
		r.close()
		s.raw, s.off = s.raw[1:], 0
		return true, nil
	}
	if !s.query.Follow {
		return false, nil
	}
	if s.rotated {
		return s.openNewer(r)
	}
	now, err := os.Stat(s.files.raw(0))
	if err == nil && os.SameFile(now, r.info) {
		truncated := now.Size() < s.off
		if truncated {
			s.off = 0
			r.closeTimes()
		}
		return truncated, nil
	}
	// More may have been written just before the rotation: read to the end again.
	s.rotated = true
	return true, nil
}

// openNewer continues with the file that follows last.
func (s *source) openNewer(last *rawFile) (bool, error) {
	r, err := s.files.newer(last)
	if r == nil {
		return false, err
	}
	r.limit = -1
	s.close()
	s.raw, s.off, s.rotated = []*rawFile{r}, 0, false
	return true, nil
}
