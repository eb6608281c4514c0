package ui_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"

	"silo/state"
	"silo/ui"
)

func TestDoctorWrapsBetweenWords(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("no Sentry was found in the directory ", 6)
	for columns := 40; columns <= 130; columns++ {
		var out bytes.Buffer
		p := surrounding{columns: columns, env: map[string]string{"NO_COLOR": "1"}}.printer(&out, nil)
		p.DoctorCheck(ui.DoctorCheck{Name: "sentry", State: "fail", Found: []string{text}, Hints: []string{text}}, 9)
		for line := range strings.Lines(out.String()) {
			if width := ansi.StringWidth(strings.TrimSuffix(line, "\n")); width > columns {
				t.Errorf("a line of %d cells on a terminal of %d: %q", width, columns, line)
			}
		}
	}
}

func TestWatchCutsNoColumn(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	silo := state.Silo{
		Name: "control", Mode: state.Control, State: state.Ready, URL: "http://127.0.0.1:41000", Port: 8000,
		PID: new(4250), StartedAt: &now, Tunnel: state.Tunnel{State: state.TunnelOnline},
	}
	for columns := 40; columns <= 130; columns++ {
		rows := 24
		var w writes
		terminal(&w, &columns, &rows, &now).Watch().Update(state.Snapshot{Name: "acme", State: state.InstanceReady, Silos: []state.Silo{silo}})
		if got := strings.Join(w.all, ""); strings.Contains(got, "…") {
			t.Errorf("a line is cut in %d columns:\n%s", columns, got)
		}
	}
}
