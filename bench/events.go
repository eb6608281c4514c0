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

// eventLog is the file to which stubs append their events. The harness polls no port, so
// it does not disturb what it times.
type eventLog struct {
	path   string
	file   *os.File
	read   int64
	events []event
}

// event is one line of the log.
type event struct {
	kind, name string
	pid        int
	mono       int64 // CLOCK_MONOTONIC, ns
	real       time.Time
}

func newEventLog(path string) (*eventLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	return &eventLog{path: path, file: file}, err
}

func (j *eventLog) close() error { return j.file.Close() }

// poll is the interval between reads. The events carry their own times.
const poll = 2 * time.Millisecond

// await waits for count events of a kind and returns the last one.
func (j *eventLog) await(ctx context.Context, kind string, count int) (event, error) {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
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
			return event{}, fmt.Errorf("%d of %d stubs reported %q", len(got), count, kind)
		}
	}
}

// of returns all events of a kind so far.
func (j *eventLog) of(kind string) (list []event) {
	for _, e := range j.events {
		if e.kind == kind {
			list = append(list, e)
		}
	}
	return list
}

// load reads the events that were appended since the last call.
func (j *eventLog) load() error {
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
		return event{}, fmt.Errorf("invalid event: %q", line)
	}
	var numbers [3]int64
	for i, field := range fields[2:] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return event{}, fmt.Errorf("invalid event: %q", line)
		}
		numbers[i] = n
	}
	return event{
		kind: string(fields[0]), name: string(fields[1]), pid: int(numbers[0]), mono: numbers[1], real: time.Unix(0, numbers[2]),
	}, nil
}
