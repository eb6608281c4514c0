package logs

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("LOGS_TEST_WRITE"); dir != "" {
		writeUntilKilled(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// fataler is implemented by testing.T and rapid.T.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func open(t fataler, dir, silo string, l Limits) *Writer {
	t.Helper()
	w, err := Open(dir, silo, l)
	if err != nil {
		t.Fatal(err)
	}
	w.OnError = func(err error) { t.Fatal(err) }
	return w
}

func write(t fataler, w *Writer, text string) {
	t.Helper()
	if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("Write = %d, %v; want %d and no error", n, err, len(text))
	}
}

func closeWriter(t fataler, w *Writer) {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// rawFiles returns the contents of the raw files of silo us, oldest first.
func rawFiles(t fataler, dir string) [][]byte {
	t.Helper()
	f := files{dir: dir, silo: "us"}
	numbers := f.rawNumbers()
	all := make([][]byte, len(numbers))
	for i, n := range numbers {
		if n != i {
			t.Fatalf("raw files are numbered %v", numbers)
		}
		text, err := os.ReadFile(f.raw(n))
		if err != nil {
			t.Fatal(err)
		}
		all[len(all)-1-i] = text
	}
	return all
}

// readLine is a Line that stays valid after emit.
type readLine struct {
	silo    string
	at      time.Time
	text    string
	partial bool
}

func read(t testing.TB, dir string, q Query) []readLine {
	t.Helper()
	var lines []readLine
	err := Read(t.Context(), dir, q, func(l Line) error {
		lines = append(lines, readLine{l.Silo, l.At, string(l.Text), l.Partial})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func texts(lines []readLine) []string {
	all := make([]string, len(lines))
	for i, l := range lines {
		all[i] = l.text
	}
	return all
}

func equal[T any](t fataler, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%s:\n got %.2000q\nwant %.2000q", what, fmt.Sprint(got), fmt.Sprint(want))
	}
}

func TestSilos(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	equal(t, "of an empty directory", Silos(dir), nil)
	equal(t, "of no directory", Silos(filepath.Join(dir, "none")), nil)
	for _, silo := range []string{"us-west", "control", "eu"} {
		w := open(t, dir, silo, Limits{})
		write(t, w, "a line\n")
		closeWriter(t, w)
	}
	for _, name := range []string{"silo.log.gz", "other.log.x", "other.log.01", "other.log.0", ".hidden.log", "a.b.log", "plain"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(dir, "eu.log"), filepath.Join(dir, "eu.log.3")); err != nil {
		t.Fatal(err)
	}
	equal(t, "silos", Silos(dir), []string{"control", "eu", "us-west"})
}

func TestInvalidNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "..", "a/b", "../us", ".us", "us.log", "a\x00b"} {
		if w, err := Open(t.TempDir(), name, Limits{}); err == nil {
			closeWriter(t, w)
			t.Errorf("Open(%q) succeeded", name)
		}
		err := Read(t.Context(), t.TempDir(), Query{Silos: []string{name}}, func(Line) error { return nil })
		if err == nil {
			t.Errorf("Read of %q succeeded", name)
		}
	}
}

func TestFileModes(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state", "logs")
	w := open(t, dir, "us", Limits{})
	defer closeWriter(t, w)
	write(t, w, "SECRET\n")
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, w.files.raw(0): 0o600, w.files.times(0): 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, path, info.Mode(), want)
	}
	visible, err := filepath.Glob(filepath.Join(dir, "us*"))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "visible files", visible, []string{w.files.raw(0)})
}

// lines is the reference for Read: the text between newlines, in pieces of maxLine.
func lines(text []byte) []readLine {
	var all []readLine
	for len(text) > 0 {
		line, rest, ended := bytes.Cut(text, []byte{'\n'})
		for len(line) > maxLine {
			all = append(all, readLine{text: string(line[:maxLine]), partial: true})
			line = line[maxLine:]
		}
		all = append(all, readLine{text: string(line), partial: !ended})
		text = rest
	}
	return all
}

// choose is the reference for Query: it returns the last n matching lines, each with all
// its pieces.
func choose(all []readLine, n int, grep *regexp.Regexp) []readLine {
	var chosen [][]readLine
	within := false
	wanted := false
	for _, l := range all {
		if !within {
			if wanted = grep == nil || grep.MatchString(l.text); wanted {
				chosen = append(chosen, nil)
			}
		}
		if wanted {
			chosen[len(chosen)-1] = append(chosen[len(chosen)-1], l)
		}
		within = l.partial
	}
	if n >= 0 {
		chosen = chosen[max(0, len(chosen)-n):]
	}
	var flat []readLine
	for _, line := range chosen {
		flat = append(flat, line...)
	}
	return flat
}

func TestArbitraryBytes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	raw := "nul \x00 invalid \xff\xfe colour \x1b[31mred\x1b[0m\rprogress 10%\rprogress 99%\r\n\n\n" +
		strings.Repeat("x", 10<<20) + "\nunfinished"
	w := open(t, dir, "us", Limits{Max: 64 << 20})
	write(t, w, raw)
	closeWriter(t, w)
	if text, err := os.ReadFile(filepath.Join(dir, "us.log")); err != nil || string(text) != raw {
		t.Fatalf("the raw file differs from what was written (%v)", err)
	}
	have := read(t, dir, Query{N: -1})
	want := lines([]byte(raw))
	if len(have) != len(want) {
		t.Fatalf("%d lines, want %d", len(have), len(want))
	}
	for i := range have {
		if have[i].text != want[i].text || have[i].partial != want[i].partial {
			t.Fatalf("line %d: %.80q (partial: %v), want %.80q (%v)", i, have[i].text, have[i].partial, want[i].text, want[i].partial)
		}
	}
	last, err := Last(dir, "us", 3)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "Last", last, []string{"", strings.Repeat("x", maxLine) + "…", "unfinished"})
}
