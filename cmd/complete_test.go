package cmd

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"silo/state"
)

// appWithTopology returns an app and a directory that holds the topology.
func appWithTopology(t *testing.T, topology string) (*app, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "silo.toml"), []byte(topology), 0o600); err != nil {
		t.Fatal(err)
	}
	return &app{env: map[string]string{"SILO_STATE_DIR": filepath.Join(dir, "state"), "HOME": dir}}, dir
}

// completionLine returns a completion as one line.
func completionLine(c completion) string {
	words := []string{c.kind}
	for _, w := range c.words {
		words = append(words, w.text)
	}
	return strings.Join(words, " ")
}

const twoRegions = "version = 1\n[region.us]\nid = 1\n[region.eu]\nid = 2\n"

func TestComplete(t *testing.T) {
	t.Parallel()
	a, dir := appWithTopology(t, twoRegions)
	// The word at the cursor follows the last space.
	for line, want := range map[string]string{
		"st":                              "words start stop status",
		"--co":                            "words --color",
		"-v":                              "words",
		"--v":                             "words --version",
		"status --v":                      "words",
		"up --de":                         "words --detach --demo",
		"up --detach --de":                "words --demo",
		"up -d --supervi":                 "words",
		"up -d":                           "words -d",
		"-C DIR up ":                      "words control us eu",
		"up -C DIR us ":                   "words control eu",
		"up --mode ":                      "words silos monolith",
		"up --mode=m":                     "words --mode=monolith",
		"up --timeout ":                   "words",
		"tunnels --format ngrok-":         "words ngrok-v2 ngrok-v3",
		"up --no-such-flag -C DIR u":      "words us",
		"--color a":                       "words auto always",
		"--color=a":                       "words --color=auto --color=always",
		"--file ":                         "files",
		"status --file=x":                 "files",
		"logs -C ":                        "dirs",
		"logs -f -C DIR ":                 "words control us eu",
		"-C ~ logs e":                     "words", // the test sets HOME to another directory
		"-C ~/ logs e":                    "words eu",
		"-C DIR logs -- e":                "words eu",
		"logs -- -":                       "words",
		"-C DIR env us ":                  "words",
		"-f DIR/none.toml logs ":          "words",
		"up --demo ":                      "words control us-west eu-central",
		"config ":                         "words print check write remove rotate dialects",
		"config print ":                   "words",
		"db ":                             "words status repair create migrate drop",
		"-C DIR db drop eu ":              "words control us",
		"db drop --":                      "words --help --all --yes --file --directory --json --quiet --color --log-level",
		"-C DIR run ":                     "words control us eu",
		"run us ":                         "words --",
		"run us l":                        "command 2",
		"run us -- ls --col":              "command 3",
		"exec -":                          "words --help --timeout --mode --demo --file --directory --json --quiet --color --log-level --",
		"exec --demo l":                   "command 2",
		"exec --timeout 3s -- ls --color": "command 4",
		"completion ":                     "words bash zsh fish",
		"completion zsh ":                 "words",
		"devserver --":                    "words",
		"-C DIR request ":                 "words control us eu",
		"request us P":                    "words POST PUT PATCH",
		"request us GET ":                 "words",
		"request --via=":                  "words --via=address --via=direct",
		"request -i --si":                 "words --sign",
		"config print --dialect tuple-t":  "words tuple-template",
		"config print --dialect=cells-s":  "words --dialect=cells-strict",
		"request -H a -H b --h":           "words --help --header",
		"-C DIR request us / --as ":       "words control us eu",
		"-C DIR proxy --as=e":             "words --as=eu",
		"-C DIR requests ":                "words control us eu",
		"-C DIR requests --from ":         "words control us eu",
		"-C DIR requests us --silo=":      "words --silo=control --silo=us --silo=eu",
		"requests --st":                   "words --status",
		"replay --":                       "words --help --to --include --file --directory --json --quiet --color --log-level",
		"-C DIR replay 7 --to e":          "words eu",
		"nosuch ":                         "words",
		"__comp":                          "words",
	} {
		words := strings.Split(strings.ReplaceAll(line, "DIR", dir), " ")
		if got := completionLine(a.complete(a.program(), words)); got != want {
			t.Errorf("%q: got %q, want %q", line, got, want)
		}
	}
}

// TestCompleteFromLastSnapshot completes the names of silos when the topology cannot be
// parsed.
func TestCompleteFromLastSnapshot(t *testing.T) {
	t.Parallel()
	a, dir := appWithTopology(t, "version = ")
	words := []string{"-C", dir, "logs", ""}
	if got := completionLine(a.complete(a.program(), words)); got != "words" {
		t.Errorf("before the first run: %q", got)
	}
	place, err := state.DirFor(a.lookup, filepath.Join(dir, "silo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := place.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	last := &state.Snapshot{SchemaVersion: state.SchemaVersion, Silos: []state.Silo{{Name: "control", Mode: state.Control}, {Name: "gone", Mode: state.Region, RegionID: new(7)}}}
	if err := place.Save(last); err != nil {
		t.Fatal(err)
	}
	if err := place.Release(); err != nil {
		t.Fatal(err)
	}
	got := a.complete(a.program(), words)
	if want := []candidate{{"control", "the control silo"}, {"gone", "region 7"}}; !slices.Equal(got.words, want) {
		t.Errorf("got %v, want %v", got.words, want)
	}
}

// TestFlagValues sets each flag to an invalid value and compares the values in the error
// with those of completion.
func TestFlagValues(t *testing.T) {
	for of, list := range flagValues {
		verb, name, _ := strings.Cut(of, " ")
		args := []string{"--" + name + "=?", "version"}
		if verb != "" {
			args = []string{verb, "--" + name + "=?", "--", "true"}
			if verb != "exec" {
				args = args[:2]
			}
		}
		var stderr bytes.Buffer
		code := Main(t.Context(), Invocation{Args: args, Stdout: &bytes.Buffer{}, Stderr: &stderr})
		if code != exitUsage || !strings.Contains(stderr.String(), "use one of "+strings.Join(list, ", ")+"\n") {
			t.Errorf("%v: exit %d, %s", args, code, &stderr)
		}
	}
}
