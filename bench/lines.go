//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// What a producer writes, as native/stub.c does: lines of lineSize bytes that
// hold producer, number and a fill that follows from both.
const (
	lineSize  = 100
	fillSize  = 85
	tableSize = 4096
	producers = 4
)

// scribe writes the lines that are expected.
type scribe struct{ table [tableSize + fillSize]byte }

func newScribe() *scribe {
	s := &scribe{}
	x := uint32(1)
	for i := range s.table {
		x = x*1664525 + 1013904223
		s.table[i] = 'a' + byte((x>>16)%26)
	}
	return s
}

// line is the number-th line of a producer, without its newline.
func (s *scribe) line(at []byte, producer, number uint32) []byte {
	h := (number + producer*0x9E3779B9) * 2654435761
	h ^= h >> 15
	at = append(at[:0], 'P', "0123"[producer], ' ', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ' ')
	for i := 12; i >= 3; i-- {
		at[i] = '0' + byte(number%10)
		number /= 10
	}
	return append(at, s.table[h%tableSize:][:fillSize]...)
}

// checkRaw reads one producer's bytes, which must be its lines and nothing else.
func (s *scribe) checkRaw(from io.Reader, producer, lines int) error {
	r := bufio.NewReaderSize(from, 1<<20)
	want, got := make([]byte, 0, lineSize), make([]byte, lineSize)
	for i := range lines {
		if _, err := io.ReadFull(r, got); err != nil {
			return fmt.Errorf("raw file of producer %d: line %d: %w", producer, i, err)
		}
		if want = append(s.line(want, uint32(producer), uint32(i)), '\n'); !bytes.Equal(got, want) { //nolint:gosec // G115: small and positive
			return fmt.Errorf("raw file of producer %d: line %d is %q", producer, i, got)
		}
	}
	if rest, err := r.Peek(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("raw file of producer %d: more than its lines: %q (%w)", producer, rest, err)
	}
	return nil
}

// tally is what the joined output holds.
type tally struct {
	whole    int // lines that are right in every byte, behind their producer's own prefix
	torn     int // anything else
	disorder int // lines that are whole and do not follow their producer's last
	first    string
}

func (t tally) err(lines int) error {
	if t.whole == producers*lines && t.torn == 0 && t.disorder == 0 {
		return nil
	}
	return fmt.Errorf("joined output: %d of %d lines whole, %d out of order, %d other lines, the first of them %q", t.whole, producers*lines, t.disorder, t.torn, t.first)
}

// checkJoined reads joined output: whole lines, each behind a prefix that names
// its producer's silo and is always the same, in each producer's order.
func (s *scribe) checkJoined(from io.Reader) (t tally, err error) {
	r := bufio.NewReaderSize(from, 1<<20)
	var next [producers]uint32
	var prefixes [producers]string
	want := make([]byte, 0, lineSize)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return t, nil
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			return t, err
		}
		producer, number, prefix, ok := parseLine(line)
		if ok {
			want = append(s.line(want, producer, number), '\n')
			ok = bytes.Equal(line[len(prefix):], want) && s.known(&prefixes[producer], prefix, producer)
		}
		if !ok {
			if t.torn++; t.torn == 1 {
				t.first = string(line)
			}
			continue
		}
		t.whole++
		if number != next[producer] {
			t.disorder++
		}
		next[producer] = number + 1
	}
}

// known tells whether a producer's prefix is the one it has always had.
func (*scribe) known(had *string, prefix []byte, producer uint32) bool {
	if *had == "" && strings.Contains(string(prefix), siloName(int(producer))) {
		*had = string(prefix)
	}
	return *had == string(prefix) && *had != ""
}

// parseLine takes a joined line apart; its content is not judged.
func parseLine(line []byte) (producer, number uint32, prefix []byte, ok bool) {
	if len(line) <= lineSize {
		return 0, 0, nil, false
	}
	prefix, body := line[:len(line)-lineSize], line[len(line)-lineSize:]
	producer = uint32(body[1]) - '0'
	for _, digit := range body[3:13] {
		number = number*10 + uint32(digit) - '0'
	}
	return producer, number, prefix, body[0] == 'P' && producer < producers
}
