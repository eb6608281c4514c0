package topology_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"silo/topology"
)

var update = topology.Update

// lookup returns the environment of a map.
func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, set := env[name]
		return value, set
	}
}

// TestGolden loads every archive in testdata. Its files are written to a directory
// acme, "env" is the environment (HOME is next to acme), and "want" is the result, in
// which $TMP is the parent directory. Values that are equal to those of valid-minimal
// are left out.
func TestGolden(t *testing.T) {
	t.Parallel()
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(archives) < 75 {
		t.Fatalf("found only %d archives in testdata", len(archives))
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			golden(t, file)
		})
	}
}

func golden(t *testing.T, file string) {
	a := readArchive(t, file)
	tmp, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"HOME": filepath.Join(tmp, "home")}
	for line := range strings.Lines(string(a.get("env"))) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		env[name] = strings.ReplaceAll(value, "$TMP", tmp)
	}
	for _, e := range a.files {
		if e.name != "env" && e.name != "want" {
			write(t, filepath.Join(tmp, "acme", e.name), e.data)
		}
	}
	read, err := topology.Load(filepath.Join(tmp, "acme", topology.FileName), lookup(env))
	got := format(t, read, err, strings.TrimSuffix(filepath.Base(file), ".txtar") == "valid-minimal")
	got = strings.ReplaceAll(got, tmp, "$TMP")
	if *update {
		a.set("want", got)
		write(t, file, a.bytes())
		return
	}
	if diff := cmp.Diff(string(a.get("want")), got); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

func write(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// format formats a topology or its problems. Unless all is set, it leaves out the
// values of the minimal topology.
func format(t *testing.T, read *topology.Topology, err error, all bool) string {
	t.Helper()
	var problems topology.Problems
	switch {
	case errors.As(err, &problems):
		return formatProblems(problems)
	case err != nil:
		t.Fatalf("got %v, want Problems", err)
	}
	var out bytes.Buffer
	warnings := formatProblems(read.Warnings)
	read.Warnings = nil
	least := map[string]bool{}
	if !all {
		least = plain(t, filepath.Dir(read.Dir))
	}
	for line := range flat("", reflect.ValueOf(*read)) {
		if !least[anyRegion.ReplaceAllString(line, "Regions[0]")] {
			fmt.Fprintln(&out, line)
		}
	}
	if warnings != "" {
		fmt.Fprintf(&out, "\nwarnings:\n%s", warnings)
	}
	return out.String()
}

var anyRegion = regexp.MustCompile(`^Regions\[\d+\]`)

// plain returns the lines of the minimal topology in the directory acme of tmp.
func plain(t *testing.T, tmp string) map[string]bool {
	t.Helper()
	env := lookup(map[string]string{"HOME": filepath.Join(tmp, "home")})
	least, err := topology.Parse(filepath.Join(tmp, "acme", topology.FileName), []byte("version = 1\nregion.us.id = 1"), nil, env)
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for line := range flat("", reflect.ValueOf(*least)) {
		lines[line] = true
	}
	return lines
}

func formatProblems(problems []topology.Problem) string {
	var out strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&out, p)
		if p.Hint != "" {
			fmt.Fprintln(&out, "hint:", p.Hint)
		}
	}
	return out.String()
}

// flat returns a value as lines "path = value", without zero and empty values.
func flat(path string, v reflect.Value) func(func(string) bool) {
	return func(yield func(string) bool) {
		all := func(within string, v reflect.Value) {
			for line := range flat(strings.TrimPrefix(path+within, "."), v) {
				yield(line)
			}
		}
		switch {
		case v.Type() == reflect.TypeFor[time.Duration]():
			yield(fmt.Sprintf("%s = %s", path, v.Interface()))
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				all("."+v.Type().Field(i).Name, v.Field(i))
			}
		case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct:
			for i := range v.Len() {
				all(fmt.Sprintf("[%d]", i), v.Index(i))
			}
		case v.Kind() == reflect.Slice:
			if v.Len() > 0 {
				yield(fmt.Sprintf("%s = %q", path, v.Interface()))
			}
		case v.Kind() == reflect.Map:
			entries, _ := reflect.TypeAssert[map[string]string](v)
			for _, name := range slices.Sorted(maps.Keys(entries)) {
				yield(fmt.Sprintf("%s[%s] = %q", path, name, entries[name]))
			}
		case v.Kind() == reflect.String:
			yield(fmt.Sprintf("%s = %q", path, v.Interface()))
		default:
			yield(fmt.Sprintf("%s = %v", path, v.Interface()))
		}
	}
}
