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

// A wall clock that is set forwards and back while silos write costs no line: all
// are there, in the order in which they were written, each with the time that the
// clock showed, and --since goes by that.
func TestAClockThatIsSet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		dir := filepath.Join(t.TempDir(), "logs")
		w := open(r, dir, "us", Limits{})
		now := time.UnixMilli(1_700_000_000_000)
		var want []got
		for i := range rapid.IntRange(1, 40).Draw(r, "lines") {
			now = now.Add(time.Duration(rapid.OneOf(
				rapid.Int64Range(0, 5000), rapid.Int64Range(-90_000_000, 90_000_000), // a day
			).Draw(r, "set by")) * time.Millisecond)
			line := got{"us", now, fmt.Sprintf("line %d, which is not short enough for a sidecar to outgrow it", i), false}
			want = append(want, line)
			w.writeAt([]byte(line.text+"\n"), now)
		}
		shut(r, w)
		equal(r, "all", read(t, dir, Query{N: -1}), want)
		since := rapid.SampledFrom(want).Draw(r, "since").at.Add(time.Duration(rapid.IntRange(-1, 1).Draw(r, "beside")) * time.Millisecond)
		later := slices.DeleteFunc(slices.Clone(want), func(l got) bool { return l.at.Before(since) })
		have := read(t, dir, Query{N: -1, Since: since})
		equal(r, "since", texts(have), texts(later))
	})
}

// Across rotations nothing is missed of what came after the clock was last set.
func TestAClockThatIsSetBetweenFiles(t *testing.T) {
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
	shut(t, w)
	for back := range 20 { // "--since" so many seconds, as asked for by the clock as it is now
		have := texts(read(t, dir, Query{N: -1, Since: now.Add(-time.Duration(back) * time.Second)}))
		for i := 59 - back; i < 60; i++ {
			if !slices.Contains(have, fmt.Sprintf("line %d", i)) {
				t.Errorf("line %d is missing of the last %d seconds: %q", i, back, have)
			}
		}
	}
	equal(t, "all", len(read(t, dir, Query{N: -1})), 60)
}

// Neither what is looked at once a second nor the end of a trouble waits for a
// clock that was set back.
func TestATroubleEndsWhateverTheClockShows(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), "us", Limits{})
	defer shut(t, w)
	var told []LossError
	w.OnError = func(err error) {
		if loss, ok := errors.AsType[*LossError](err); ok {
			told = append(told, *loss)
		}
	}
	begin := time.Now()
	w.record(begin, 5, os.ErrPermission)
	w.writeAt([]byte("kept\n"), begin.Add(checkInterval)) // Add moves both clocks
	if len(told) != 2 || !told[1].Over {
		t.Errorf("told %v", told)
	}
}

// A file that was dropped while the clock was set back is followed by the newest.
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
		t.Fatalf("after the file that is gone comes %v, %v", next, err)
	}
	next.close()
}
