package ui_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"silo/state"
	"silo/ui"
)

func TestColor(t *testing.T) {
	t.Parallel()
	const none, fixed, themed = "", "\x1b[38;5;", "\x1b[3"
	for _, c := range []struct {
		name     string
		terminal bool
		color    string
		env      string
		want     string
	}{
		{"a terminal", true, "", "TERM=xterm-256color", fixed},
		{"a terminal, auto", true, "auto", "TERM=xterm-256color", fixed},
		{"a true-colour terminal", true, "", "TERM=xterm COLORTERM=truecolor", fixed},
		{"a 16-colour terminal", true, "", "TERM=linux", themed},
		{"an unknown terminal", true, "", "", themed},
		{"a dumb terminal", true, "", "TERM=dumb", none},
		{"a terminal in CI", true, "", "TERM=xterm-256color CI=true", fixed},
		{"a pipe", false, "", "TERM=xterm-256color", none},
		{"NO_COLOR", true, "", "TERM=xterm-256color NO_COLOR=1", none},
		{"empty NO_COLOR", true, "", "TERM=xterm-256color NO_COLOR=", fixed},
		{"NO_COLOR overrides CLICOLOR_FORCE", true, "", "TERM=xterm-256color NO_COLOR=1 CLICOLOR_FORCE=1", none},
		{"CLICOLOR_FORCE in a pipe", false, "", "TERM=xterm-256color CLICOLOR_FORCE=1", fixed},
		{"CLICOLOR_FORCE in a pipe without TERM", false, "", "CLICOLOR_FORCE=1", themed},
		{"CLICOLOR_FORCE=0", false, "", "TERM=xterm-256color CLICOLOR_FORCE=0", none},
		{"CLICOLOR=0", true, "", "TERM=xterm-256color CLICOLOR=0", none},
		{"always, in a pipe", false, "always", "TERM=xterm-256color", fixed},
		{"always overrides NO_COLOR", false, "always", "TERM=xterm-256color NO_COLOR=1", fixed},
		{"never overrides CLICOLOR_FORCE", true, "never", "TERM=xterm-256color CLICOLOR_FORCE=1", none},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p := ui.New(&out, ui.Options{Color: c.color, Env: variables(c.env), Size: func() (int, int, bool) { return 80, 24, c.terminal }})
			p.Diff("+ a")
			if p.Terminal() != c.terminal {
				t.Errorf("Terminal() = %v", p.Terminal())
			}
			got := out.String()
			if c.want == none && got != "+ a\n" || !strings.HasPrefix(got, c.want) || c.want == themed && strings.HasPrefix(got, fixed) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func variables(text string) func(string) (string, bool) {
	env := map[string]string{}
	for pair := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestGlyphsFollowTheLocale(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"":                         "● ready",
		"LANG=de_DE.UTF-8":         "● ready",
		"LC_CTYPE=UTF-8":           "● ready",
		"LANG=C.utf8":              "● ready",
		"LANG=C":                   "* ready",
		"LC_ALL=C LANG=C.UTF-8":    "* ready",
		"LC_ALL= LANG=en_GB.UTF-8": "● ready",
	} {
		var out bytes.Buffer
		p := ui.New(&out, ui.Options{Color: "never", Env: variables(env), Size: func() (int, int, bool) { return 80, 24, true }})
		p.Status(state.Snapshot{Name: "acme", State: state.InstanceReady})
		if got := out.String(); !strings.Contains(got, want) {
			t.Errorf("%q: got %q", env, got)
		}
	}
}

func TestWidthOfATerminalWithoutASize(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]int{"": 80, "COLUMNS=40": 40, "COLUMNS=none": 80} {
		var out bytes.Buffer
		p := ui.New(&out, ui.Options{Color: "never", Env: variables(env), Size: func() (int, int, bool) { return 0, 0, true }})
		p.Plan(ui.Plan{Notes: []string{strings.Repeat("word ", 60)}})
		longest := 0
		for line := range strings.Lines(out.String()) {
			if strings.HasPrefix(line, "word") {
				longest = max(longest, len(line)-1)
			}
		}
		if longest > want || longest < want-5 {
			t.Errorf("%q: lines of %d cells", env, longest)
		}
	}
}

// At any width each silo keeps its name, state and whole address, and only lines with
// addresses or names exceed the terminal's width.
func TestStatusFitsAnyWidth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		columns, rows, now := rapid.IntRange(1, 200).Draw(t, "columns"), 24, time.Unix(1e9, 0)
		s := anySnapshot(t)
		var w writes
		terminal(&w, &columns, &rows, &now).Status(s)
		table := strings.Join(w.all, "")
		lines := strings.Split(table, "\n")
		for i, silo := range s.Silos {
			row := lines[3+i]
			if stacked := len(strings.Fields(lines[4])) == 1; stacked && len(s.Silos) > 0 {
				row = lines[3+2*i] + lines[4+2*i]
			}
			for _, part := range []string{silo.Name, string(silo.State), silo.URL} {
				if !strings.Contains(row, part) {
					t.Fatalf("row %q lacks %q in\n%s", row, part, table)
				}
			}
			if columns >= 30 && len([]rune(lines[3+i])) > columns && !strings.Contains(lines[3+i], "http") {
				t.Fatalf("%q in %d columns", lines[3+i], columns)
			}
		}
	})
}

// Scripts rely on the columns of a pipe.
func TestPipeHasEveryColumnInEachRow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := anySnapshot(t)
		var out bytes.Buffer
		surrounding{}.printer(&out, nil).Status(s)
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 1+len(s.Silos) {
			t.Fatalf("%d lines for %d silos", len(lines), len(s.Silos))
		}
		if got, want := strings.Join(strings.Fields(lines[0]), " "), "SILO MODE ID STATE URL PORT PID UPTIME CPU MEM RESTARTS TUNNEL REASON"; got != want {
			t.Fatalf("heads %q", got)
		}
		for i, silo := range s.Silos {
			fields := strings.Fields(lines[1+i])
			if fields[0] != silo.Name || fields[3] != string(silo.State) || silo.URL != "" && fields[4] != silo.URL || fields[10] != "0" {
				t.Fatalf("row %q", lines[1+i])
			}
		}
	})
}

func TestPrefixColor(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	p := surrounding{columns: 80}.printer(&out, nil)
	all := p.Prefix("eu", []string{"control", "us-west", "eu"})
	if got := p.Prefix("eu", []string{"us-west", "eu"}); got != all {
		t.Errorf("without control %q, with it %q", got, all)
	}
	if got := p.Prefix("us-west", []string{"control", "us-west", "eu"}); got[:12] == all[:12] {
		t.Errorf("neighbours look the same: %q, %q", got, all)
	}
}

func BenchmarkStatusOfAHundredSilos(b *testing.B) {
	started := time.Unix(1e9, 0)
	s := multiply(state.Snapshot{Name: "acme", State: state.InstanceReady, Silos: []state.Silo{{
		Name: "x", Mode: state.Region, State: state.Ready, StartedAt: &started, CPUPercent: new(float64), RSSBytes: new(int64),
	}}}, 100)
	var out bytes.Buffer
	for b.Loop() {
		out.Reset()
		surrounding{columns: 120}.printer(&out, nil).Status(s)
	}
}

func BenchmarkFrameOfAHundredSilos(b *testing.B) {
	started := time.Unix(1e9, 0)
	s := multiply(state.Snapshot{Name: "acme", Silos: []state.Silo{{Name: "x", State: state.Ready, StartedAt: &started}}}, 100)
	var out bytes.Buffer
	now := started
	progress := surrounding{columns: 120}.printer(&out, func() time.Time { return now }).Progress()
	for b.Loop() {
		out.Reset()
		now = now.Add(time.Second)
		progress.Update(s, map[string]string{"region-007": "\x1b[32mrunning\x1b[0m migrations"})
	}
}
