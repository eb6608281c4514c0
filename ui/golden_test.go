package ui_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"silo/state"
	"silo/topology"
	"silo/traffic"
	"silo/ui"
)

var update = flag.Bool("update", false, "write the output of the views to the golden files")

// golden is the input of one golden file: a view and its data.
type golden struct {
	View      string             `json:"view"`
	Now       time.Time          `json:"now"`
	Snapshot  state.Snapshot     `json:"snapshot"`
	Many      int                `json:"many"` // how often to repeat the last silo
	Snapshots []state.Snapshot   `json:"snapshots"`
	Problems  []topology.Problem `json:"problems"`
	Plan      ui.Plan            `json:"plan"`
	Check     ui.CheckReport     `json:"check"`
	Unmanaged []ui.UnmanagedSilo `json:"unmanaged"`
	Checks    []ui.DoctorCheck   `json:"checks"`
	Requests  []traffic.Exchange `json:"requests"`
	Text      string             `json:"text"`
	Hints     []string           `json:"hints"`
	Names     []string           `json:"names"`
	Frames    []frame            `json:"frames"`
}

// frame is one Update of a Progress or a Watch.
type frame struct {
	Now      time.Time           `json:"now"`
	Silos    []state.Silo        `json:"silos"` // instead of the snapshot's
	State    state.InstanceState `json:"state"`
	LastLine map[string]string   `json:"last_line"`
}

// surroundings are the writers to which each view is printed.
func surroundings() []surrounding {
	return []surrounding{
		{name: "pipe"},
		{name: "terminal 80", columns: 80},
		{name: "terminal 120", columns: 120},
		{name: "terminal 80 NO_COLOR", columns: 80, env: map[string]string{"NO_COLOR": "1"}},
	}
}

type surrounding struct {
	name    string
	columns int // 0: a pipe
	env     map[string]string
}

func (s surrounding) printer(w *bytes.Buffer, now func() time.Time) *ui.Printer {
	env := map[string]string{"TERM": "xterm-256color", "LANG": "C.UTF-8"}
	maps.Copy(env, s.env)
	return ui.New(w, ui.Options{
		Env:  func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Size: func() (int, int, bool) { return s.columns, 24, s.columns > 0 },
		Now:  now,
	})
}

func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) < 10 {
		t.Fatalf("golden files: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			head, rest, _ := strings.Cut(string(text), "-- input.json --\n")
			input, _, _ := strings.Cut(rest, "\n-- ")
			got := head + "-- input.json --\n" + strings.TrimSuffix(input, "\n") + "\n"
			for _, s := range surroundings() {
				view := visible(render(t, []byte(input), s))
				got += "-- " + s.name + " --\n" + view
				checkLines(t, s, view)
			}
			compare(t, file, got)
		})
	}
}

// compare compares output with a file, or writes it there.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -update writes it):\n%s", file, diff)
	}
}

// checkLines checks rules that all output must follow.
func checkLines(t *testing.T, s surrounding, text string) {
	t.Helper()
	if colorless := s.columns == 0 || s.env["NO_COLOR"] != ""; colorless && strings.Contains(text, "␛") {
		t.Errorf("%s: escape sequences in\n%s", s.name, text)
	}
	for line := range strings.Lines(text) {
		if strings.HasSuffix(line, " \n") {
			t.Errorf("%s: trailing space in %q", s.name, line)
		}
	}
}

// visible makes the escape character readable.
func visible(text string) string { return strings.ReplaceAll(text, "\x1b", "␛") }

func render(t *testing.T, input []byte, s surrounding) string {
	t.Helper()
	var g golden
	decoder := json.NewDecoder(bytes.NewReader(input))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&g); err != nil {
		t.Fatal(err)
	}
	now := g.Now
	var out bytes.Buffer
	p := s.printer(&out, func() time.Time { return now })
	snapshot := multiply(g.Snapshot, g.Many)
	switch g.View {
	case "status":
		p.Status(snapshot)
	case "ready":
		p.Ready(snapshot, "silo", false)
	case "tunnels":
		p.Tunnels(snapshot)
	case "instances":
		p.Instances(g.Snapshots, nil)
	case "problems":
		p.Problems(g.Problems)
	case "warnings":
		p.Warnings(g.Problems)
	case "check":
		p.CheckReport(g.Check)
	case "requests":
		p.Requests(g.Requests)
	case "live-requests":
		table := p.LiveRequests(g.Names)
		for _, e := range g.Requests {
			table.Add(e)
		}
	case "exchange":
		for _, e := range g.Requests {
			p.Exchange(e)
		}
	case "unmanaged":
		p.UnmanagedSilos(g.Unmanaged)
	case "plan":
		p.Plan(g.Plan)
	case "doctor":
		for _, check := range g.Checks {
			p.DoctorCheck(check, 9)
		}
		p.DoctorSummary(g.Checks)
	case "diff":
		p.Diff(g.Text)
	case "messages":
		p.Error(g.Text, g.Hints...)
		p.Warn(g.Text, g.Hints...)
		p.Note(g.Text)
	case "prefix":
		for _, name := range g.Names {
			fmt.Fprintf(&out, "%sa line of %s\n", p.Prefix(name, g.Names), name)
		}
	case "progress":
		progress(g, s, p, &out, &now)
	default:
		t.Fatalf("no view %q", g.View)
	}
	return out.String()
}

// progress plays the frames. For a terminal it records the screen after each.
func progress(g golden, s surrounding, p *ui.Printer, out *bytes.Buffer, now *time.Time) {
	var screens strings.Builder
	show := newScreen(s.columns, 24)
	*now = g.Frames[0].Now
	view := p.Progress(g.Names...)
	after := func(what string) {
		if s.columns > 0 {
			show.write(out.String())
			out.Reset()
			fmt.Fprintf(&screens, "[%s]\n%s", what, show)
		}
	}
	for i, f := range g.Frames {
		*now = f.Now
		snapshot := g.Snapshot
		snapshot.Silos, snapshot.State = f.Silos, f.State
		view.Update(multiply(snapshot, g.Many), f.LastLine)
		after(fmt.Sprint("frame ", i+1))
	}
	view.Done()
	after("done")
	out.WriteString(screens.String())
}

// multiply repeats the last silo of a snapshot as region-001 and so on. Some of
// them are not ready.
func multiply(s state.Snapshot, n int) state.Snapshot {
	if n == 0 || len(s.Silos) == 0 {
		return s
	}
	model := s.Silos[len(s.Silos)-1]
	s.Silos = s.Silos[: len(s.Silos)-1 : len(s.Silos)-1]
	for i := 1; i <= n; i++ {
		silo, id, pid := model, i, 5000+i
		silo.Name, silo.RegionID, silo.PID = fmt.Sprintf("region-%03d", i), &id, &pid
		silo.Port = 8000 + 2*i
		silo.URL = fmt.Sprintf("http://127.0.0.1:%d", 41000+i)
		started := silo.StartedAt.Add(time.Duration(i) * 10 * time.Millisecond)
		silo.StartedAt = &started
		switch {
		case i%41 == 0:
			silo.State, silo.PID, silo.ReadyAt = state.Failed, nil, nil
			reason := "exited with code 1"
			silo.Reason = &reason
		case i%7 == 0:
			silo.State, silo.ReadyAt = state.Starting, nil
		}
		s.Silos = append(s.Silos, silo)
	}
	return s
}
