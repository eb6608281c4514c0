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

// A producer's lines, as native/stub.c writes them: lineSize bytes with the producer, the
// line number and a filler derived from both.
const (
	lineSize  = 100
	fillSize  = 85
	tableSize = 4096
	producers = 4
)

// generator produces the expected lines.
type generator struct{ table [tableSize + fillSize]byte }

func newGenerator() *generator {
	s := &generator{}
	x := uint32(1)
	for i := range s.table {
		x = x*1664525 + 1013904223
		s.table[i] = 'a' + byte((x>>16)%26)
	}
	return s
}

// line returns a producer's line with the given number, without its newline.
func (s *generator) line(at []byte, producer, number uint32) []byte {
	h := (number + producer*0x9E3779B9) * 2654435761
	h ^= h >> 15
	at = append(at[:0], 'P', "0123"[producer], ' ', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ' ')
	for i := 12; i >= 3; i-- {
		at[i] = '0' + byte(number%10)
		number /= 10
	}
	return append(at, s.table[h%tableSize:][:fillSize]...)
}

// checkRaw verifies that a reader yields exactly one producer's lines.
func (s *generator) checkRaw(from io.Reader, producer, lines int) error {
	r := bufio.NewReaderSize(from, 1<<20)
	want, got := make([]byte, 0, lineSize), make([]byte, lineSize)
	for i := range lines {
		if _, err := io.ReadFull(r, got); err != nil {
			return fmt.Errorf("raw file of producer %d: line %d: %w", producer, i, err)
		}
		if want = append(s.line(want, uint32(producer), uint32(i)), '\n'); !bytes.Equal(got, want) {
			return fmt.Errorf("raw file of producer %d: line %d is %q", producer, i, got)
		}
	}
	if rest, err := r.Peek(1); !errors.Is(err, io.EOF) {
		return fmt.Errorf("raw file of producer %d: extra bytes %q (%w)", producer, rest, err)
	}
	return nil
}

// counts is the content of the joined output.
type counts struct {
	whole      int // lines that are correct in every byte, after their producer's prefix
	other      int // all other lines
	misordered int // whole lines that do not follow their producer's previous line
	first      string
}

func (t counts) err(lines int) error {
	if t.whole == producers*lines && t.other == 0 && t.misordered == 0 {
		return nil
	}
	return fmt.Errorf("joined output: %d of %d lines whole, %d out of order, %d other lines, the first of them %q", t.whole, producers*lines, t.misordered, t.other, t.first)
}

// checkJoined counts the lines of joined output. A whole line follows a prefix that names
// its producer's silo and never changes.
func (s *generator) checkJoined(from io.Reader) (t counts, err error) {
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
			if t.other++; t.other == 1 {
				t.first = string(line)
			}
			continue
		}
		t.whole++
		if number != next[producer] {
			t.misordered++
		}
		next[producer] = number + 1
	}
}

// known reports whether a producer's prefix is unchanged.
func (*generator) known(had *string, prefix []byte, producer uint32) bool {
	if *had == "" && strings.Contains(string(prefix), siloName(int(producer))) {
		*had = string(prefix)
	}
	return *had == string(prefix) && *had != ""
}

// parseLine splits a joined line. It does not verify the content.
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
