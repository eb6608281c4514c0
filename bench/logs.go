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

// logs measures the fan-in: four producers write as fast as they can, their
// lines are joined into one file, and each one's bytes are kept in its raw file.
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
	fmt.Fprintln(b.out, "\nEvery run was checked: all lines whole and in order, joined and raw.")
	return nil
}

func (b *bench) logsOf(ctx context.Context, c contender, lines int) (sample, error) {
	t, err := b.launch(ctx, c, producers, lines)
	if err != nil {
		return nil, err
	}
	defer func() { _ = t.clear() }() // the figures are in
	if _, err := t.journal.await(ctx, "waits", producers); err != nil {
		return nil, t.trouble(err.Error())
	}
	from, _, err := t.settled(ctx, nil) // what silo itself has to say at the start
	if err != nil {
		return nil, err
	}
	before, err := useOf(t)
	if err != nil {
		return nil, err
	}
	begin := now()
	gun, err := os.OpenFile(filepath.Join(t.dir, "go"), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = gun.Close() }() // it has been heard
	to, end, err := t.settled(ctx, t.written)
	if err != nil {
		return nil, err
	}
	after, err := useOf(t)
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

// written tells whether all producers have got rid of their lines.
func (t *trial) written() bool {
	return t.journal.load() == nil && len(t.journal.of("written")) == producers
}

// settled waits until the joined file has not grown for a while, and over, if
// given, is true; it returns the size, and when it was first seen.
func (t *trial) settled(ctx context.Context, over func() bool) (size, at int64, err error) {
	const still = 300 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	size, at = -1, now()
	for {
		info, err := t.sink.Stat()
		if err != nil {
			return 0, 0, err
		}
		if moment := now(); info.Size() != size {
			size, at = info.Size(), moment
		} else if moment-at > int64(still) && (over == nil || over()) {
			return size, at, nil
		}
		if !pause(ctx, poll) {
			return 0, 0, t.trouble("its output never came to an end")
		}
	}
}

// checkLogs judges the joined file between two places, and all raw files.
func (t *trial) checkLogs(from, to int64) error {
	s := newScribe()
	joined, err := os.Open(t.sink.Name())
	if err != nil {
		return err
	}
	defer func() { _ = joined.Close() }() // only read
	got, err := s.checkJoined(io.NewSectionReader(joined, from, to-from))
	if err != nil {
		return err
	}
	if err := got.err(t.lines); err != nil {
		return err
	}
	for i := range producers {
		if err := t.checkRaw(s, i); err != nil {
			return err
		}
	}
	return nil
}

func (t *trial) checkRaw(s *scribe, producer int) error {
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
		defer func() { _ = file.Close() }() // only read
		all = append(all, file)
	}
	return s.checkRaw(io.MultiReader(all...), producer, t.lines)
}
