package logs

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// followEvery is how often a reader that follows looks for more.
const followEvery = 50 * time.Millisecond

// Query says what to read.
type Query struct {
	Silos  []string       // all that have a log where empty
	N      int            // the last N lines of each silo that the rest of the query wants, across rotations; negative: all
	Since  time.Time      // only lines that were finished at or after, by the machine's clock as it was set then; zero: all
	Grep   *regexp.Regexp // only lines that match, judged by their first 64 KiB; nil: all
	Follow bool           // go on with what is still to come

	// Plain gives what of a line Grep is held against. It neither keeps nor changes
	// the line. Nil: all of it.
	Plain func(line []byte) []byte
}

// wants tells whether a line's beginning is what Grep asks for.
func (q Query) wants(text []byte) bool {
	if q.Grep == nil {
		return true
	}
	if q.Plain != nil {
		text = q.Plain(text)
	}
	return q.Grep.Match(text)
}

// Line is one line of one silo, or a piece of one.
type Line struct {
	Silo    string
	At      time.Time // when its last byte arrived, to the millisecond
	Text    []byte    // without its newline, at most 64 KiB; good only until emit returns
	Partial bool      // no newline ends it: the silo's next Line goes on with it, or it was unfinished when reading ended
}

// Read passes the lines that q asks for to emit, one at a time, several silos
// merged by the time of arrival. A line over 64 KiB comes in pieces, and counts
// as one. A silo that has no log has no lines.
//
// Without Follow it reads what was there when it began, and returns the context's
// error if that ends first. With Follow it goes on until the context ends, which
// is no error: with every line, across rotations and restarts, and with silos
// that get a log later, of which it then gives all. A line is held back until it
// is finished. Lines are only missed where a reader falls behind by all the files
// that are kept. It looks every 50 ms, and lines that several silos finish within
// one look may come in another order than they arrived in.
//
// An error of emit ends it and is returned as it is.
func Read(ctx context.Context, dir string, q Query, emit func(Line) error) error {
	r := &reader{dir: dir, query: q, sources: map[string]*source{}}
	defer r.close()
	if err := r.open(); err != nil {
		return err
	}
	if err := r.merge(ctx, emit); err != nil || !q.Follow {
		return err
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.look(); err != nil {
			return err
		}
		if err := r.merge(ctx, emit); err != nil {
			return err
		}
	}
}

// reader merges the sources of one Read.
type reader struct {
	dir     string
	query   Query
	sources map[string]*source
	order   []*source
}

func (r *reader) close() {
	for _, s := range r.order {
		s.close()
	}
}

func (r *reader) silos() []string {
	if len(r.query.Silos) > 0 {
		return r.query.Silos
	}
	return Silos(r.dir)
}

// open opens the log of every silo that there is no source for yet.
func (r *reader) open() error {
	for _, silo := range r.silos() {
		if r.sources[silo] != nil {
			continue
		}
		if err := checkName(silo); err != nil {
			return err
		}
		s, err := openSource(files{dir: r.dir, silo: silo}, r.query)
		if err != nil {
			return fmt.Errorf("read log of %s: %w", silo, err)
		}
		r.sources[silo] = s
		r.order = append(r.order, s)
	}
	return nil
}

// look readies the sources for another merge, and finds silos that are new: of
// those every line is new.
func (r *reader) look() error {
	for _, s := range r.order {
		s.skipped = false
	}
	if len(r.query.Silos) == 0 {
		r.query.N, r.query.Since = -1, time.Time{}
		return r.open()
	}
	return nil
}

// merge passes on all that is there. The pieces of one line stay together.
func (r *reader) merge(ctx context.Context, emit func(Line) error) error {
	var within *source
	for {
		if err := ctx.Err(); err != nil {
			if r.query.Follow {
				return nil
			}
			return err
		}
		s, err := r.first(within)
		if s == nil || err != nil {
			return err
		}
		line := s.pass()
		within = nil
		if line.Partial {
			within = s
		}
		if err := emit(line); err != nil {
			return err
		}
	}
}

// first is the source whose next line arrived first, or the one that is within a
// line; nil where none has a line.
func (r *reader) first(within *source) (*source, error) {
	var best *source
	for _, s := range r.order {
		if err := s.peek(); err != nil {
			return nil, fmt.Errorf("read log of %s: %w", s.files.silo, err)
		}
		if s.ready && (best == nil || s.line.At.Before(best.line.At)) {
			best = s
		}
	}
	if within != nil && within.ready {
		return within, nil
	}
	return best, nil
}

// Last gives the last n lines of one silo, oldest first, across rotations, the
// unfinished one included. A line over 64 KiB is cut there and ends in "…", so
// that memory is bounded. A silo that has no log has none; lines come with an
// error where reading broke off.
func Last(dir, silo string, n int) ([]string, error) {
	var lines []string
	within := false
	err := Read(context.Background(), dir, Query{Silos: []string{silo}, N: max(n, 0)}, func(line Line) error {
		if !within {
			lines = append(lines, string(line.Text))
		} else if last := &lines[len(lines)-1]; len(*last) == maxLine {
			*last += "…"
		}
		within = line.Partial
		return nil
	})
	return slices.Clip(lines), err
}
