//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// journal is the file in which stubs write their events: the harness looks at
// no port, and so takes no part in the race that it times.
type journal struct {
	path   string
	file   *os.File
	read   int64
	events []event
}

// event is one line of it.
type event struct {
	kind, name string
	pid        int
	mono       int64 // CLOCK_MONOTONIC, ns
	real       time.Time
}

func newJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return &journal{path: path, file: file}, err
}

func (j *journal) close() error { return j.file.Close() }

// poll is how often the journal is looked at: what counts is the time in it.
const poll = 2 * time.Millisecond

// await waits for count events of a kind and returns the last one.
func (j *journal) await(ctx context.Context, kind string, count int) (event, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if err := j.load(); err != nil {
			return event{}, err
		}
		got := j.of(kind)
		if len(got) >= count {
			last := got[0]
			for _, e := range got {
				if e.mono > last.mono {
					last = e
				}
			}
			return last, nil
		}
		if !pause(ctx, poll) {
			return event{}, fmt.Errorf("%d of %d stubs say %q", len(got), count, kind)
		}
	}
}

// of is all events of a kind so far.
func (j *journal) of(kind string) (list []event) {
	for _, e := range j.events {
		if e.kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// load takes in what has been written since.
func (j *journal) load() error {
	info, err := j.file.Stat()
	if err != nil || info.Size() == j.read {
		return err
	}
	text := make([]byte, info.Size()-j.read)
	if _, err := j.file.ReadAt(text, j.read); err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	j.read += int64(whole)
	for line := range bytes.Lines(text[:whole]) {
		e, err := parseEvent(line)
		if err != nil {
			return err
		}
		j.events = append(j.events, e)
	}
	return nil
}

func parseEvent(line []byte) (event, error) {
	fields := bytes.Fields(line)
	if len(fields) != 5 {
		return event{}, fmt.Errorf("no event: %q", line)
	}
	var numbers [3]int64
	for i, field := range fields[2:] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return event{}, fmt.Errorf("no event: %q", line)
		}
		numbers[i] = n
	}
	return event{
		kind: string(fields[0]), name: string(fields[1]), pid: int(numbers[0]), mono: numbers[1], real: time.Unix(0, numbers[2]),
	}, nil
}
