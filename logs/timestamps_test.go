package logs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"testing/synctest"
	"time"
)

func TestArrivalTimes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		begin := time.Now()
		w := open(t, dir, "us", Limits{Max: 100, Keep: 10})
		writeLater := func(text string) {
			time.Sleep(time.Second)
			write(t, w, text)
		}
		writeLater("one\n")
		writeLater("two, ")
		writeLater("which takes its time\nthree\nfour, unfin")
		closeWriter(t, w)
		w = open(t, dir, "us", Limits{Max: 100, Keep: 10})
		writeLater("ished\n")
		for i := range 10 {
			writeLater(fmt.Sprintf("a line that makes it rotate %d\n", i))
		}
		writeLater("the end")
		closeWriter(t, w)

		want := []readLine{
			{"us", begin.Add(1 * time.Second), "one", false},
			{"us", begin.Add(3 * time.Second), "two, which takes its time", false},
			{"us", begin.Add(3 * time.Second), "three", false},
			{"us", begin.Add(4 * time.Second), "four, unfinished", false},
		}
		for i := range 10 {
			want = append(want, readLine{"us", begin.Add(time.Duration(5+i) * time.Second), fmt.Sprintf("a line that makes it rotate %d", i), false})
		}
		want = append(want, readLine{"us", begin.Add(15 * time.Second), "the end", true})
		check := func(q Query, want []readLine) {
			t.Helper()
			have := read(t, dir, q)
			for i := range have {
				have[i].at = have[i].at.In(begin.Location())
			}
			equal(t, fmt.Sprintf("%+v", q), have, want)
		}
		check(Query{N: -1}, want)
		for i := range 17 {
			since := begin.Add(time.Duration(i) * time.Second)
			var later []readLine
			for _, line := range want {
				if !line.at.Before(since) {
					later = append(later, line)
				}
			}
			check(Query{N: -1, Since: since}, later)
			check(Query{N: 3, Since: since}, later[max(0, len(later)-3):])
			check(Query{N: 2, Since: since, Grep: regexp.MustCompile("^a line")}, choose(choose(later, -1, regexp.MustCompile("^a line")), 2, nil))
		}
	})
}

func TestSilosAreMergedByArrivalTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		silos := []string{"control", "eu", "us"}
		var writers []*Writer
		for _, silo := range silos {
			writers = append(writers, open(t, dir, silo, Limits{Max: 50}))
		}
		var want []string
		for i := range 30 {
			time.Sleep(time.Millisecond)
			n := i * i % 7 % 3
			text := fmt.Sprintf("%s line %d", silos[n], i)
			want = append(want, text)
			write(t, writers[n], text+"\n")
		}
		for _, w := range writers {
			closeWriter(t, w)
		}
		equal(t, "all", texts(read(t, dir, Query{N: -1})), want)
		equal(t, "two", texts(read(t, dir, Query{N: 1, Silos: []string{"us", "control"}})), []string{"us line 25", "control line 28"})
		equal(t, "none", read(t, dir, Query{N: 0}), nil)
		equal(t, "no such silo", read(t, dir, Query{N: -1, Silos: []string{"mars"}}), nil)
	})
}

// A supervisor may be killed while it writes a record.
func TestTornSidecar(t *testing.T) {
	t.Parallel()
	for cut := range 2 * timestampSize {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			begin := time.Now()
			w := open(t, dir, "us", Limits{})
			for _, text := range []string{"one\n", "two\n", "three\n"} {
				time.Sleep(time.Second)
				write(t, w, text)
			}
			closeWriter(t, w)
			if err := os.Truncate(w.files.times(0), int64(3*timestampSize-cut)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			w = open(t, dir, "us", Limits{})
			write(t, w, "four\n")
			closeWriter(t, w)
			var after []time.Duration
			for _, line := range read(t, dir, Query{N: -1}) {
				after = append(after, line.at.Sub(begin)/time.Second)
			}
			two, three := time.Duration(2), time.Duration(3)
			if cut > 0 { // a line without a record has the time of the previous record
				three = two
			}
			if cut > timestampSize {
				two, three = 1, 1
			}
			equal(t, fmt.Sprintf("times with %d bytes cut", cut), after, []time.Duration{1, two, three, 4})
		})
	}
}

func TestNoSidecar(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{})
	write(t, w, "one\ntwo\n")
	closeWriter(t, w)
	when := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	if err := os.Remove(w.files.times(0)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(w.files.raw(0), when, when); err != nil {
		t.Fatal(err)
	}
	have := read(t, dir, Query{N: -1})
	if len(have) != 2 || !have[0].at.Equal(when) {
		t.Fatalf("%v, want two lines at the file's own time", have)
	}
	equal(t, "since before", len(read(t, dir, Query{N: -1, Since: when.Add(-time.Second)})), 2)
	equal(t, "since after", len(read(t, dir, Query{N: -1, Since: when.Add(time.Second)})), 0)
}

// Each record has twelve bytes, so output in single bytes must share records.
func TestSidecarStaysSmall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, dir, "us", Limits{})
		defer closeWriter(t, w)
		for range 20000 {
			time.Sleep(10 * time.Millisecond)
			write(t, w, ".")
		}
		info, err := os.Stat(w.files.times(0))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 20000+maxLine+200*timestampSize {
			t.Fatalf("the sidecar of 20000 bytes has %d bytes", info.Size())
		}
		equal(t, "the last byte's time, within a second", time.Since(read(t, dir, Query{N: -1})[0].at) < time.Second, true)
	})
}

// Reading any sidecar terminates, and returns the time of a valid record or the fallback.
func FuzzTimestampReader(f *testing.F) {
	var valid []byte
	for i := range int64(5) {
		b := timestamp{off: i * 100, ms: 1_700_000_000_000 + i}.encode()
		valid = append(valid, b[:]...)
	}
	f.Add(valid, int64(0), int64(50), int64(7))
	f.Add(valid[:len(valid)-5], int64(99), int64(1), int64(1<<40))
	f.Add(make([]byte, 100), int64(1), int64(1), int64(1))
	f.Add(bytes.Repeat([]byte{0xff}, 50), int64(1), int64(1), int64(1))
	f.Fuzz(func(t *testing.T, b []byte, first, second, third int64) {
		fallback := time.UnixMilli(42)
		c := timestampReader{file: bytes.NewReader(b), fallback: fallback, mayGrow: true}
		off := int64(0)
		for _, step := range []int64{first, second, third} {
			off += step & (1<<44 - 1)
			if have, want := c.at(off), referenceTime(b, off, fallback); !have.Equal(want) {
				t.Fatalf("the byte at %d arrived at %v, want %v", off, have, want)
			}
		}
		again := timestampReader{file: bytes.NewReader(b), fallback: fallback, mayGrow: true}
		if at, found := again.seek(time.UnixMilli(1_700_000_000_002)); found && at < 0 {
			t.Fatalf("seek found %d", at)
		}
	})
}

// referenceTime returns the time of the last valid record up to off, or of the first.
func referenceTime(b []byte, off int64, none time.Time) time.Time {
	at := none
	high := int64(-1)
	for ; len(b) >= timestampSize; b = b[timestampSize:] {
		s := decodeTimestamp(b)
		if s.ms == 0 || s.off < high {
			continue
		}
		if high >= 0 && s.off > off {
			break
		}
		high, at = s.off, time.UnixMilli(s.ms)
	}
	return at
}

func TestTimestampEncoding(t *testing.T) {
	t.Parallel()
	for _, s := range []timestamp{{}, {1, 1}, {1<<48 - 1, 1<<48 - 1}, {64 << 20, time.Date(2200, 1, 2, 3, 4, 5, 0, time.UTC).UnixMilli()}} {
		b := s.encode()
		equal(t, "timestamp", decodeTimestamp(b[:]), s)
	}
}

// Records for bytes that the raw file does not contain are removed.
func TestOpenTimestampsTrims(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "times")
	begin := time.UnixMilli(1_700_000_000_000)
	w, err := openTimestamps(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(4) {
		if err := w.add(i*100, begin.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ size, records int64 }{{1000, 4}, {300, 4}, {299, 3}, {100, 2}, {0, 1}} {
		if err := w.file.Close(); err != nil {
			t.Fatal(err)
		}
		if w, err = openTimestamps(path, test.size); err != nil {
			t.Fatal(err)
		}
		info, err := w.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprintf("records, last record and bytes for size %d", test.size),
			[]int64{w.n, w.last.off, info.Size()},
			[]int64{test.records, (test.records - 1) * 100, test.records * timestampSize})
	}
	if err := w.file.Close(); err != nil {
		t.Fatal(err)
	}
}
