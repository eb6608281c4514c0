package ui_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"silo/ui"
)

// work is three migrations, in two frames.
func work(at time.Time) [][]ui.Task {
	return [][]ui.Task{
		{{Name: "control", State: "migrating", Began: at.Add(-5 * time.Second), Line: "Applying\x1b[2J sentry.0001"}, {Name: "us-west", State: "migrating", Began: at}, {Name: "eu"}},
		{{Name: "control", State: "migrated", Began: at, Took: 62 * time.Second}, {Name: "us-west", State: "failed", Failed: true, Began: at, Took: time.Second, Line: "no more"}, {Name: "eu", State: "migrating", Began: at}},
	}
}

func TestTasksInAPipe(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	at := time.Unix(1000, 0)
	view := ui.New(&out, ui.Options{Now: func() time.Time { return at }}).Tasks()
	for _, all := range work(at) {
		view.Update(all)
		view.Update(all) // must print nothing twice
	}
	view.Done()
	want := "control  migrating\nus-west  migrating\ncontrol  migrated after 1m2s\nus-west  failed after 1.0s\neu       migrating\n"
	if got := out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestTasksOnATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	at := time.Unix(1000, 0)
	view := ui.New(&out, ui.Options{
		Color: "never", Env: variables("TERM=xterm"), Now: func() time.Time { return at },
		Size: func() (int, int, bool) { return 60, 24, true },
	}).Tasks()
	frames := work(at)
	view.Update(frames[0])
	first := out.String()
	for _, want := range []string{"control  migrating   5.0s  Applying sentry.0001", "eu       waiting"} {
		if !strings.Contains(first, want) {
			t.Errorf("the first frame lacks %q: %q", want, first)
		}
	}
	out.Reset()
	view.Update(frames[1])
	if got := out.String(); !strings.Contains(got, "us-west  failed      1.0s") || strings.Contains(got, "no more") || !strings.HasPrefix(got, "\x1b[3A") {
		t.Errorf("the second frame is %q", got)
	}
	out.Reset()
	view.Done()
	view.Done()
	if got := out.String(); strings.Count(got, "\x1b[J") != 1 {
		t.Errorf("Done writes %q", got)
	}
}
