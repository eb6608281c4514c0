package logs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// If the wall clock is set while silos write, all lines remain, in the order in which they
// were written and with the clock's time, and Since uses that time.
func TestWallClockIsSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		dir := filepath.Join(t.TempDir(), "logs")
		w := open(r, dir, "us", Limits{})
		now := time.UnixMilli(1_700_000_000_000)
		var want []readLine
		for i := range rapid.IntRange(1, 40).Draw(r, "lines") {
			now = now.Add(time.Duration(rapid.OneOf(
				rapid.Int64Range(0, 5000), rapid.Int64Range(-90_000_000, 90_000_000), // a day
			).Draw(r, "step")) * time.Millisecond)
			line := readLine{"us", now, fmt.Sprintf("line %d, which is not short enough for a sidecar to outgrow it", i), false}
			want = append(want, line)
			w.writeAt([]byte(line.text+"\n"), now)
		}
		closeWriter(r, w)
		equal(r, "all", read(t, dir, Query{N: -1}), want)
		since := rapid.SampledFrom(want).Draw(r, "since").at.Add(time.Duration(rapid.IntRange(-1, 1).Draw(r, "offset")) * time.Millisecond)
		later := slices.DeleteFunc(slices.Clone(want), func(l readLine) bool { return l.at.Before(since) })
		have := read(t, dir, Query{N: -1, Since: since})
		equal(r, "since", texts(have), texts(later))
	})
}

// Across rotations, Since finds all lines that came after the clock was last set.
func TestWallClockIsSetBetweenFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{Max: 64, Keep: 100})
	now := time.UnixMilli(1_700_000_000_000)
	for i := range 60 {
		if i == 20 {
			now = now.Add(24 * time.Hour)
		}
		if i == 40 {
			now = now.Add(-25 * time.Hour)
		}
		now = now.Add(time.Second)
		w.writeAt(fmt.Appendf(nil, "line %d\n", i), now)
	}
	closeWriter(t, w)
	for back := range 20 { // Since that many seconds ago, by the current clock
		have := texts(read(t, dir, Query{N: -1, Since: now.Add(-time.Duration(back) * time.Second)}))
		for i := 59 - back; i < 60; i++ {
			if !slices.Contains(have, fmt.Sprintf("line %d", i)) {
				t.Errorf("line %d is missing from the last %d seconds: %q", i, back, have)
			}
		}
	}
	equal(t, "all", len(read(t, dir, Query{N: -1})), 60)
}

// Intervals do not depend on the wall clock.
func TestFailureEndsByTheMonotonicClock(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), "us", Limits{})
	defer closeWriter(t, w)
	var reports []LossError
	w.OnError = func(err error) {
		if loss, ok := errors.AsType[*LossError](err); ok {
			reports = append(reports, *loss)
		}
	}
	begin := time.Now()
	w.record(begin, 5, os.ErrPermission)
	w.writeAt([]byte("kept\n"), begin.Add(checkInterval)) // Add moves both clocks
	if len(reports) != 2 || !reports[1].Over {
		t.Errorf("reports %v, want two", reports)
	}
}

// After a dropped file, the newest one is read, even if the clock was set back.
func TestFollowAfterTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	f := files{dir: t.TempDir(), silo: "us"}
	if err := os.WriteFile(f.raw(0), []byte("one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	last, err := f.open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer last.close()
	if err := errors.Join(os.Remove(f.raw(0)), os.WriteFile(f.raw(0), []byte("two\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	back := time.Now().Add(-time.Hour)
	if err := os.Chtimes(f.raw(0), back, back); err != nil {
		t.Fatal(err)
	}
	next, err := f.newer(last)
	if err != nil || next == nil {
		t.Fatalf("newer = %v, %v; want the newest file", next, err)
	}
	next.close()
}
