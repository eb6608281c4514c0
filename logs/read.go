package logs

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// followInterval is how often a following reader polls.
const followInterval = 50 * time.Millisecond

// Query selects what to read.
type Query struct {
	Silos  []string       // empty: all silos that have a log
	N      int            // only the last N matching lines of each silo, across rotations; negative: all
	Since  time.Time      // only lines completed at or after this wall-clock time; zero: all
	Grep   *regexp.Regexp // only lines whose first 64 KiB match; nil: all
	Follow bool           // continue with new lines

	// Plain returns the text of a line that Grep is matched against, for example
	// without colors. It must not keep or change the line. Nil: the whole line.
	Plain func(line []byte) []byte
}

// wants reports whether the beginning of a line matches Grep.
func (q Query) wants(text []byte) bool {
	if q.Grep == nil {
		return true
	}
	if q.Plain != nil {
		text = q.Plain(text)
	}
	return q.Grep.Match(text)
}

// Line is one line of a silo's output, or a piece of one.
type Line struct {
	Silo    string
	At      time.Time // when its last byte arrived, in milliseconds
	Text    []byte    // without its newline, at most 64 KiB; valid until emit returns
	Partial bool      // no newline ends it: the silo's next Line continues it, or it was unfinished when reading ended
}

// Read calls emit with each line that matches q; lines of several silos are merged by arrival time.
// A line over 64 KiB comes in pieces and counts as one. A silo without a log has no lines.
//
// Without Follow it reads what was there when it began, and returns the context's error if it ends
// first. With Follow it continues until the context ends, which is not an error. It then emits
// every line, across rotations and restarts, and all lines of silos whose log is created later. A
// line is held back until it is finished. Lines are missed only if the reader falls behind by all
// the files that are kept. It polls every 50 ms; lines of several silos that are finished within
// one interval may come out of order.
//
// An error from emit ends the read and is returned unchanged.
func Read(ctx context.Context, dir string, q Query, emit func(Line) error) error {
	r := &reader{dir: dir, query: q, sources: map[string]*source{}}
	defer r.close()
	if err := r.open(); err != nil {
		return err
	}
	if err := r.merge(ctx, emit); err != nil || !q.Follow {
		return err
	}
	tick := time.NewTicker(followInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := r.refresh(); err != nil {
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

// open opens the logs that are not open yet.
func (r *reader) open() error {
	silos := r.query.Silos
	if len(silos) == 0 {
		silos = Silos(r.dir)
	}
	for _, silo := range silos {
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

// refresh prepares the sources for another merge, and adds new silos with all their lines.
func (r *reader) refresh() error {
	for _, s := range r.order {
		s.exhausted = false
	}
	if len(r.query.Silos) == 0 {
		r.query.N, r.query.Since = -1, time.Time{}
		return r.open()
	}
	return nil
}

// merge emits everything that is available. The pieces of one line stay together.
func (r *reader) merge(ctx context.Context, emit func(Line) error) error {
	var unfinished *source
	for {
		if err := ctx.Err(); err != nil {
			if r.query.Follow {
				return nil
			}
			return err
		}
		s, err := r.earliest(unfinished)
		if s == nil || err != nil {
			return err
		}
		line := s.next()
		unfinished = nil
		if line.Partial {
			unfinished = s
		}
		if err := emit(line); err != nil {
			return err
		}
	}
}

// earliest returns the source whose next line arrived first, or nil if none has a
// line. The source with an unfinished line goes first.
func (r *reader) earliest(unfinished *source) (*source, error) {
	var best *source
	for _, s := range r.order {
		if err := s.peek(); err != nil {
			return nil, fmt.Errorf("read log of %s: %w", s.files.silo, err)
		}
		if s.ready && (best == nil || s.line.At.Before(best.line.At)) {
			best = s
		}
	}
	if unfinished != nil && unfinished.ready {
		return unfinished, nil
	}
	return best, nil
}

// Last returns the last n lines of one silo, oldest first, across rotations and
// including an unfinished one. To bound memory, a line over 64 KiB is truncated and
// ends in "…". A silo without a log has no lines. If a read fails, the lines read so
// far are returned with the error.
func Last(dir, silo string, n int) ([]string, error) {
	var lines []string
	continues := false
	err := Read(context.Background(), dir, Query{Silos: []string{silo}, N: max(n, 0)}, func(line Line) error {
		if !continues {
			lines = append(lines, string(line.Text))
		} else if last := &lines[len(lines)-1]; len(*last) == maxLine {
			*last += "…"
		}
		continues = line.Partial
		return nil
	})
	return slices.Clip(lines), err
}
