package logs

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// source reads one silo's lines forwards, from file to file.
type source struct {
	files  files
	follow bool
	query  Query

	parts []*part // still to be read, oldest first; the first is being read
	off   int64   // of the next byte to read in it
	moved bool    // rotation has renamed it: what it holds now is all it will

	buf     []byte // read and not yet passed on is buf[r:w]
	r, w    int
	scanned int // of that, how much is known to hold no newline

	line    Line
	ready   bool // line is waiting to be passed on
	within  bool // the next piece goes on with a line that was begun
	wanted  bool // that line's first piece was wanted
	skipped bool // nothing more is there for now
}

// openSource opens a silo's log where q begins to read.
func openSource(f files, q Query) (*source, error) {
	s := &source{files: f, follow: q.Follow, query: q, line: Line{Silo: f.silo}}
	h, err := openHistory(f)
	if err != nil {
		return nil, err
	}
	begin := h.start(q)
	if h.err != nil {
		h.close()
		return nil, h.err
	}
	for i, p := range h.parts {
		end := int64(0)
		for _, newer := range h.parts[:i] {
			end -= newer.limit
		}
		switch {
		case end < begin || end == begin && i > 0:
			p.close()
			continue
		case end-p.limit <= begin:
			s.off = begin - (end - p.limit)
		}
		s.parts = append([]*part{p}, s.parts...)
	}
	if s.follow && len(s.parts) > 0 {
		s.parts[len(s.parts)-1].limit = -1
	}
	return s, nil
}

func (s *source) close() {
	for _, p := range s.parts {
		p.close()
	}
	s.parts = nil
}

// peek makes the next line that is wanted ready, if one is there. Its text is
// good until the next call after pass.
func (s *source) peek() error {
	for !s.ready && !s.skipped {
		if s.take() {
			continue
		}
		more, err := s.fill()
		if err != nil {
			return err
		}
		if !more {
			s.skipped = true
			if !s.follow && s.w > s.r {
				s.emit(s.w-s.r, 0, true)
			}
		}
	}
	return nil
}

// pass gives the line that is ready.
func (s *source) pass() Line {
	s.ready = false
	return s.line
}

// take cuts the next line or piece out of the buffer.
func (s *source) take() bool {
	window := s.buf[s.r:s.w]
	window = window[:min(len(window), maxLine+1)]
	if i := bytes.IndexByte(window[s.scanned:], '\n'); i >= 0 {
		s.emit(s.scanned+i, 1, false)
		return true
	}
	if len(window) > maxLine {
		s.emit(maxLine, 0, true)
		return true
	}
	s.scanned = len(window)
	return false
}

// emit takes n bytes of text and end bytes of newline out of the buffer, and
// makes a line of them if it is wanted.
func (s *source) emit(n, end int, partial bool) {
	text := s.buf[s.r : s.r+n : s.r+n]
	s.r += n + end
	s.scanned = 0
	last := s.off - int64(s.w-s.r) - 1
	at := s.parts[0].when(s.files).at(max(last, 0))
	if !s.within {
		s.wanted = !at.Before(s.query.Since) && s.query.wants(text)
	}
	s.within = partial
	if s.wanted {
		s.line.At, s.line.Text, s.line.Partial, s.ready = at, text, partial, true
	}
}

// fill reads more, from the next file where one has been read to its end. False:
// nothing more is there for now.
func (s *source) fill() (bool, error) {
	if len(s.parts) == 0 {
		if !s.follow {
			return false, nil
		}
		return s.next(&part{})
	}
	if s.buf == nil {
		s.buf = make([]byte, 2*maxLine)
	}
	s.w = copy(s.buf, s.buf[s.r:s.w])
	s.r = 0
	p := s.parts[0]
	room := s.buf[s.w:]
	if p.limit >= 0 {
		room = room[:min(int64(len(room)), p.limit-s.off)]
	}
	n, err := p.file.ReadAt(room, s.off)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if n > 0 {
		s.w += n
		s.off += int64(n)
		if p.clock != nil {
			p.clock.fresh = true
		}
		return true, nil
	}
	return s.turn()
}

// turn is at the end of a file and finds what follows it.
func (s *source) turn() (bool, error) {
	p := s.parts[0]
	if len(s.parts) > 1 {
		p.close()
		s.parts, s.off = s.parts[1:], 0
		return true, nil
	}
	if !s.follow {
		return false, nil
	}
	if s.moved {
		return s.next(p)
	}
	now, err := os.Stat(s.files.raw(0))
	if err == nil && os.SameFile(now, p.info) {
		emptied := now.Size() < s.off
		if emptied { // by somebody else: a new beginning
			s.off = 0
			p.forget()
		}
		return emptied, nil
	}
	// Nothing is added to it any more: read it to its end once again, and go on.
	s.moved = true
	return true, nil
}

// next goes on with the file after the given one.
func (s *source) next(last *part) (bool, error) {
	p, err := s.files.newer(last)
	if p == nil {
		return false, err
	}
	p.limit = -1
	s.close()
	s.parts, s.off, s.moved = []*part{p}, 0, false
	return true, nil
}
