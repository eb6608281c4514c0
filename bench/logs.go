//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// logs measures log throughput: four producers write as fast as they can, and the
// supervisor joins their lines into one file and keeps each producer's bytes in a raw file.
func (b *bench) logs(ctx context.Context) error {
	for _, lines := range b.lines {
		result, err := b.rounds(ctx, fmt.Sprintf("logs, %d × %d lines", producers, lines), func(c contender) (sample, error) { return b.logsOf(ctx, c, lines) })
		if err != nil {
			return err
		}
		result.print(
			b.out, fmt.Sprintf("### Logs, %d × %d lines of %d bytes, joined and raw", producers, lines, lineSize),
			figure{name: "lines", unit: "M/s", digits: 2, ratio: true},
			figure{name: "CPU", unit: "ns/line", ratio: true},
			figure{name: "highest RSS", unit: "MB", digits: 1},
		)
	}
	fmt.Fprintln(b.out, "\nAll lines of every run were verified: whole and in order, joined and raw. hivemind keeps no raw files.")
	return nil
}

func (b *bench) logsOf(ctx context.Context, c contender, lines int) (sample, error) {
	t, err := b.launch(ctx, c, producers, lines)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.clear() }() // the measurement is complete
	if _, err := t.eventLog.await(ctx, "waits", producers); err != nil {
		return nil, t.fail(err.Error())
	}
	from, _, err := t.settled(ctx, nil) // skip the supervisor's own first lines
	if err != nil {
		return nil, err
	}
	before, err := usageOf(t)
	if err != nil {
		return nil, err
	}
	begin := now()
	start, err := os.OpenFile(filepath.Join(t.dir, "go"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = start.Close() }() // the producers have started
	to, end, err := t.settled(ctx, t.allWritten)
	if err != nil {
		return nil, err
	}
	after, err := usageOf(t)
	if err != nil {
		return nil, err
	}
	if err := t.checkLogs(from, to); err != nil {
		return nil, err
	}
	if _, _, err := t.stop(ctx); err != nil {
		return nil, err
	}
	all := float64(producers * lines)
	return sample{
		"lines": all / float64(end-begin) * 1e3, "CPU": float64(after.cpu-before.cpu) / all, "highest RSS": float64(after.peak) / 1e6,
	}, nil
}

// allWritten reports whether all producers have written their lines.
func (t *trial) allWritten() bool {
	return t.eventLog.load() == nil && len(t.eventLog.of("written")) == producers
}

// settled waits until the joined file stops growing and done, if given, reports true. It
// returns the file's size and the time when it reached that size.
func (t *trial) settled(ctx context.Context, done func() bool) (size, at int64, err error) {
	const still = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	size, at = -1, now()
	for {
		info, err := t.sink.Stat()
		if err != nil {
			return 0, 0, err
		}
		if moment := now(); info.Size() != size {
			size, at = info.Size(), moment
		} else if moment-at > int64(still) && (done == nil || done()) {
			return size, at, nil
		}
		if !pause(ctx, poll) {
			return 0, 0, t.fail("output did not end")
		}
	}
}

// checkLogs verifies a range of the joined file, and all raw files.
func (t *trial) checkLogs(from, to int64) error {
	s := newGenerator()
	joined, err := os.Open(t.sink.Name())
	if err != nil {
		return err
	}
	defer func() { _ = joined.Close() }() // read-only
	got, err := s.checkJoined(io.NewSectionReader(joined, from, to-from))
	if err != nil {
		return err
	}
	if err := got.err(t.lines); err != nil {
		return err
	}
	if t.raw == nil {
		return nil
	}
	for i := range producers {
		if err := t.checkRaw(s, i); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) checkRaw(s *generator, producer int) error {
	files, err := t.raw(t, siloName(producer))
	if err != nil {
		return err
	}
	var all []io.Reader
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // read-only
		all = append(all, file)
	}
	return s.checkRaw(io.MultiReader(all...), producer, t.lines)
}
