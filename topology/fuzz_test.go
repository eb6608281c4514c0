package topology_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"silo/topology"
)

// FuzzParse checks that any input gives the same result twice, without a panic, with
// positions inside the files, and consistent with go-toml.
func FuzzParse(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range archives {
		a := readArchive(&testing.T{}, file)
		f.Add(a.get(topology.FileName), a.get(topology.LocalFileName))
	}
	env := lookup(map[string]string{"HOME": "/home/ada", "SET": "set"})
	f.Fuzz(func(t *testing.T, data, local []byte) {
		read, err := topology.Parse("/nowhere/acme/silo.toml", data, local, env)
		again, errAgain := topology.Parse("/nowhere/acme/silo.toml", data, local, env)
		if diff := cmp.Diff(read, again); diff != "" {
			t.Fatalf("two results of one file:\n%s", diff)
		}
		if err == nil {
			if errAgain != nil || len(read.Regions) == 0 || read.Name == "" || read.Control.Name != "control" {
				t.Fatalf("incomplete: %+v, %v", read, errAgain)
			}
			positions(t, read.Warnings, data, local)
			return
		}
		var problems topology.Problems
		if !errors.As(err, &problems) || len(problems) == 0 || errAgain == nil || err.Error() != errAgain.Error() {
			t.Fatalf("got %v and then %v, want the same Problems", err, errAgain)
		}
		positions(t, problems, data, local)
		agree(t, problems, data)
	})
}

func positions(t *testing.T, problems []topology.Problem, data, local []byte) {
	t.Helper()
	for _, p := range problems {
		lines := strings.Split(strings.TrimPrefix(string(data), "\uFEFF"), "\n")
		if p.File == topology.LocalFileName {
			lines = strings.Split(strings.TrimPrefix(string(local), "\uFEFF"), "\n")
		}
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
			t.Fatalf("%v is outside the file", p)
		}
		if p.Key == "" || p.Text == "" || strings.ContainsAny(p.Key+p.Text+p.Hint, "\n\r") {
			t.Fatalf("%#v is not a problem of one line", p)
		}
	}
}

// agree compares with go-toml's own decoder: a file that it accepts must not be reported
// as invalid TOML, and a file that it rejects must have a problem.
func agree(t *testing.T, problems topology.Problems, data []byte) {
	t.Helper()
	var own topology.Problems
	for _, p := range problems {
		if p.Text == "the key is too long" || strings.HasPrefix(p.Text, "is larger than") {
			return
		}
		if p.File == topology.FileName {
			own = append(own, p)
		}
	}
	var document map[string]any
	err := toml.Unmarshal([]byte(strings.TrimPrefix(string(data), "\uFEFF")), &document)
	switch {
	case err == nil && slices.ContainsFunc(own, func(p topology.Problem) bool { return p.Key == "toml" && p.Text != "is not a known key" }):
		t.Fatalf("go-toml accepts the file, but it is reported as invalid: %v", problems)
	case err != nil && len(own) == 0:
		t.Fatalf("go-toml reports %v, but the problems are %v", err, problems)
	}
}

// TestHostileFiles checks that no file takes very long to parse. Each of these takes
// quadratic time in a naive parser.
func TestHostileFiles(t *testing.T) {
	t.Parallel()
	const size = 1 << 16
	fill := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (size-len(before)-len(after))/len(unit)) + after
	}
	for name, text := range map[string]string{
		"unknown keys on one line": "version = 1\ncontrol = {" + numbered("é", " = 1,", size/20) + "}",
		"unknown keys":             numbered("k", " = 1\n", size/10),
		"doubled headers":          fill("", "[region.us]\n", ""),
		"doubled keys":             fill("", "version = 1\n", ""),
		"arrays in arrays":         "x = " + strings.Repeat("[", 9000) + fill("", "{a = 1},", "") + strings.Repeat("]", 9000),
		"tables in tables":         strings.Repeat("x = {", 9000) + "y = 1" + strings.Repeat("}", 9000),
		"a long key":               fill("x", ".x", " = 1"),
		"variables":                fill(`name = "`, "${HOME}", `"`),
		"defaults in defaults":     fill(`name = "`, "${X:-", `"`),
		"escapes":                  fill(`name = "`, "$${", `"`),
		"a policy full of defaults": fill(
			`control.traffic_policy = "`, "${X:-", `"`,
		),
		"a long word": fill(`control.host_header = "`, "ä", `"`),
		"a long host": fill(`control.domain = "`, "a.", `"`),
		"comments":    fill("", "#\n", ""),
		"open braces": fill("x = ", "{a=", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if _, err := topology.Parse("/x/silo.toml", []byte(text), []byte(text), nil); err == nil {
				t.Error("accepted")
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}
