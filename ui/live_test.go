package ui_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"silo/state"
	"silo/ui"
)

// writes records each Write.
type writes struct{ all []string }

func (w *writes) Write(b []byte) (int, error) {
	w.all = append(w.all, string(b))
	return len(b), nil
}

func terminal(w *writes, columns, rows *int, now *time.Time) *ui.Printer {
	return ui.New(w, ui.Options{
		Color: "never",
		Env:   func(string) (string, bool) { return "", false },
		Size:  func() (int, int, bool) { return *columns, *rows, true },
		Now:   func() time.Time { return *now },
	})
}

func anySnapshot(t *rapid.T) state.Snapshot {
	phases := []state.Phase{
		state.Planned, state.Starting, state.Ready, state.Unready, state.Backoff, state.Stopping, state.Stopped, state.Failed,
	}
	s := state.Snapshot{Name: "acme", State: state.InstanceStarting, Provider: "local"}
	for i := range rapid.IntRange(0, 40).Draw(t, "silos") {
		silo := state.Silo{
			Name:  fmt.Sprint("region-", i),
			Mode:  state.Region,
			State: rapid.SampledFrom(phases).Draw(t, "phase"),
			URL:   rapid.SampledFrom([]string{"", "http://127.0.0.1:41000", "https://" + strings.Repeat("long.", 20) + "app"}).Draw(t, "url"),
		}
		if rapid.Bool().Draw(t, "has a reason") {
			reason := rapid.String().Draw(t, "reason")
			silo.Reason = &reason
		}
		s.Silos = append(s.Silos, silo)
	}
	return s
}

// After any sequence of frames and window sizes the screen shows one frame, and
// after Done nothing.
func TestProgressErasesItsBlock(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		columns, rows, now := rapid.IntRange(20, 130).Draw(t, "columns"), rapid.IntRange(4, 50).Draw(t, "rows"), time.Unix(1e9, 0)
		var w writes
		p := terminal(&w, &columns, &rows, &now)
		// No program can erase lines that a narrower window has pushed off its top, so the
		// screen is taller than the printer's.
		show := newScreen(columns, 3*rows)
		progress := p.Progress()
		for range rapid.IntRange(1, 8).Draw(t, "frames") {
			if narrower := rapid.IntRange(max(8, (columns+1)/2), columns).Draw(t, "narrower"); rapid.Bool().Draw(t, "resize") {
				columns = narrower
				show.narrow(columns)
			}
			now = now.Add(100 * time.Millisecond)
			before := len(w.all)
			progress.Update(anySnapshot(t), map[string]string{"region-0": stranger(t)})
			if len(w.all) > before+1 {
				t.Fatalf("%d writes for one frame", len(w.all)-before)
			}
			show.write(strings.Join(w.all, ""))
			w.all = nil
			if shown := show.String(); strings.Count("\n"+shown, "\nac") != 1 {
				t.Fatalf("the screen shows\n%s", shown)
			}
			if height := len(show.lines); height > rows {
				t.Fatalf("%d lines in a window of %d", height, rows)
			}
		}
		progress.Done()
		progress.Done()
		show.write(strings.Join(w.all, ""))
		if got := show.String(); got != "" {
			t.Fatalf("Done leaves\n%s", got)
		}
	})
}

func stranger(t *rapid.T) string {
	return rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\x1b[]mKJ\r\n日👩\u200d👧 ")))).Draw(t, "line")
}

func TestUnchangedFrameIsNotWritten(t *testing.T) {
	t.Parallel()
	columns, rows, now := 80, 24, time.Unix(1e9, 0)
	var w writes
	progress := terminal(&w, &columns, &rows, &now).Progress()
	s := state.Snapshot{Name: "acme", State: state.InstanceStarting, Silos: []state.Silo{{Name: "control", State: state.Starting}}}
	progress.Update(s, nil)
	progress.Update(s, nil)
	if len(w.all) != 1 {
		t.Errorf("written: %q", w.all)
	}
}

func TestProgressOnADumbTerminalIsPlainLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := ui.New(&out, ui.Options{
		Env:  func(name string) (string, bool) { return map[string]string{"TERM": "dumb"}[name], true },
		Size: func() (int, int, bool) { return 80, 24, true },
	})
	progress := p.Progress()
	progress.Update(state.Snapshot{Silos: []state.Silo{{Name: "control", State: state.Starting}}}, nil)
	progress.Done()
	if got, want := out.String(), "control  starting\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	first := state.Snapshot{Name: "acme", State: state.InstanceReady, Silos: []state.Silo{{Name: "control", State: state.Ready}}}
	busier, worse := first, first
	busier.Silos = []state.Silo{{Name: "control", State: state.Ready, CPUPercent: new(float64)}}
	worse.Silos = []state.Silo{{Name: "control", State: state.Failed}}
	t.Run("a pipe gets a table for each change", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		watch := surrounding{}.printer(&out, nil).Watch()
		for _, s := range []state.Snapshot{first, first, busier, worse} {
			watch.Update(s)
		}
		if got := strings.Count(out.String(), "SILO"); got != 2 {
			t.Errorf("%d tables in\n%s", got, out.String())
		}
	})
	t.Run("a terminal is redrawn in place", func(t *testing.T) {
		t.Parallel()
		columns, rows, now := 80, 8, time.Unix(1e9, 0)
		var w writes
		watch := terminal(&w, &columns, &rows, &now).Watch()
		for _, s := range []state.Snapshot{first, busier, worse} {
			watch.Update(s)
		}
		show := newScreen(columns, rows)
		show.write(strings.Join(w.all, ""))
		if got := show.String(); strings.Count(got, "SILO") != 1 || !strings.Contains(got, "hint: silo logs control") {
			t.Errorf("the screen shows\n%s", got)
		}
	})
	t.Run("times are updated only on a terminal", func(t *testing.T) {
		t.Parallel()
		columns, rows, now := 80, 8, time.Unix(1e9, 0)
		runs := first
		runs.StartedAt = new(now)
		var w writes
		watch := terminal(&w, &columns, &rows, &now).Watch()
		watch.Redraw()
		watch.Update(runs)
		now = now.Add(7 * time.Second)
		watch.Redraw()
		watch.Redraw()
		show := newScreen(columns, rows)
		show.write(strings.Join(w.all, ""))
		if len(w.all) != 2 || !strings.Contains(show.String(), "up 7.0s") {
			t.Errorf("%d frames; the screen shows\n%s", len(w.all), show)
		}
		var out bytes.Buffer
		piped := surrounding{}.printer(&out, nil).Watch()
		piped.Update(runs)
		if before := out.String(); piped.NeedsRedraw() {
			t.Errorf("NeedsRedraw in a pipe after\n%s", before)
		}
		runs.State = state.InstanceStopped
		if watch.Update(runs); watch.NeedsRedraw() {
			t.Error("NeedsRedraw for a stopped instance")
		}
	})
	t.Run("columns never get narrower", func(t *testing.T) {
		t.Parallel()
		columns, rows, now := 120, 8, time.Unix(1e9, 0)
		var w writes
		watch := terminal(&w, &columns, &rows, &now).Watch()
		wide, narrow := first, first
		wide.Silos = []state.Silo{{Name: "control", State: state.Stopping, URL: "http://control.test:8000", Port: 8000, PID: new(4711), RSSBytes: new(int64(115e6))}}
		narrow.Silos = []state.Silo{{Name: "control", State: state.Ready, URL: "http://c:1", Port: 8000}}
		var heads []string
		for _, s := range []state.Snapshot{wide, narrow} {
			watch.Update(s)
			show := newScreen(columns, rows)
			show.write(strings.Join(w.all, ""))
			heads = append(heads, strings.Split(show.String(), "\n")[2])
		}
		if heads[0] != heads[1] || !strings.Contains(heads[0], "PID") {
			t.Errorf("from\n%s\nto\n%s", heads[0], heads[1])
		}
	})
}
