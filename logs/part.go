package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// attempts bounds how often a reader looks again because rotation moved a file
// while it looked. Each costs some 50 µs; a rotation takes about as long.
const attempts = 1000

// part is one raw file, open for reading. It keeps its identity while rotation
// moves it: as long as it is open, no other file can be taken for it.
type part struct {
	file  *os.File
	info  os.FileInfo
	limit int64 // how far to read; -1 for as far as it goes
	times *os.File
	clock *clock // nil until somebody asks for a time
}

func (p *part) close() {
	_ = p.file.Close()
	p.forget()
}

// forget puts the clock away; when begins afresh.
func (p *part) forget() {
	if p.times != nil {
		_ = p.times.Close()
	}
	p.times, p.clock = nil, nil
}

// when gives the part's clock.
func (p *part) when(f files) *clock {
	if p.clock == nil {
		p.clock = &clock{fallback: p.info.ModTime(), fresh: true}
		if p.times = f.openTimes(p.info); p.times != nil {
			p.clock.file = p.times
		}
	}
	return p.clock
}

// open opens the raw file at place n.
func (f files) open(n int) (*part, error) {
	file, err := os.Open(f.raw(n))
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &part{file: file, info: info, limit: info.Size()}, nil
}

// newest opens the newest file; nil where there is none.
func (f files) newest() (*part, error) {
	return f.choose(nil, func(numbers []int, _ int) int { return numbers[0] })
}

// older opens the file before the one that info describes; nil where there is none.
func (f files) older(info os.FileInfo) (*part, error) {
	return f.choose(info, func(numbers []int, at int) int {
		for _, n := range numbers {
			if at >= 0 && n > at {
				return n
			}
		}
		return -1
	})
}

// newer opens the file after the given one; nil where there is none. Where that one
// has been dropped, it is the oldest that was written to later; after no file, it
// is the oldest of all.
func (f files) newer(last *part) (*part, error) {
	return f.choose(last.info, func(numbers []int, at int) int {
		next := -1
		for _, n := range numbers {
			// What is written now is later than any other, whatever the clock that
			// stamped the files was set to meanwhile.
			if at < 0 && (n == 0 || f.laterThan(n, last)) || n < at {
				next = n
			}
		}
		for n := at - 1; n > next; n-- { // one that the directory left out
			if _, err := os.Stat(f.raw(n)); err == nil {
				return n
			}
		}
		return next
	})
}

// laterThan tells whether place n was last written to no earlier than p was. It
// tells a file that rotation has dropped, which all others are later than, from
// one that somebody has removed.
func (f files) laterThan(n int, p *part) bool {
	if p.file == nil {
		return true
	}
	mine, err := p.file.Stat()
	if err != nil {
		return true
	}
	its, err := os.Stat(f.raw(n))
	return err == nil && !its.ModTime().Before(mine.ModTime())
}

// choose opens the file that pick chooses from the places that there are and the
// one that info's file holds, and makes sure that rotation did not move them
// meanwhile: it moves older files first, so if info's file is where it was, so
// was everything newer.
func (f files) choose(info os.FileInfo, pick func(numbers []int, at int) int) (*part, error) {
	for range attempts {
		at := f.locate(info)
		numbers := f.numbers()
		if len(numbers) == 0 {
			return nil, nil //nolint:nilnil // no file is an answer, not an error
		}
		n := pick(numbers, at)
		if n < 0 {
			if f.settled(info, at) {
				return nil, nil //nolint:nilnil // as above
			}
			continue
		}
		p, err := f.open(n)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if f.settled(info, at) && f.is(n, p.info) {
			return p, nil
		}
		p.close()
	}
	return nil, fmt.Errorf("read log of %s: rotated faster than it can be read", f.silo)
}

// settled tells whether info's file is still at the place where it was found.
func (f files) settled(info os.FileInfo, at int) bool {
	if at < 0 {
		return info == nil || f.locate(info) < 0
	}
	return f.is(at, info)
}
