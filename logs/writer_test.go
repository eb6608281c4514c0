package logs

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// anyText generates short and long output, with and without newlines.
func anyText() *rapid.Generator[[]byte] {
	piece := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 40),
		rapid.SliceOfN(rapid.SampledFrom([]byte("ab\n")), 0, 200),
		rapid.Map(rapid.IntRange(0, 300), func(n int) []byte { return append(bytes.Repeat([]byte{'x'}, n), '\n') }),
		rapid.Map(rapid.IntRange(maxLine-3, 2*maxLine+3), func(n int) []byte { return bytes.Repeat([]byte{'y'}, n) }),
	)
	return rapid.Map(rapid.SliceOfN(piece, 0, 7), func(pieces [][]byte) []byte { return bytes.Join(pieces, nil) })
}

func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		dir := filepath.Join(t.TempDir(), "logs")
		text := anyText().Draw(r, "text")
		least := int64(len(text)/10 + 1)
		limits := Limits{Max: rapid.Int64Range(least, 4*least+1000).Draw(r, "max"), Keep: rapid.IntRange(1, 14).Draw(r, "keep")}
		w := open(r, dir, "us", limits)
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(r, "block")
			write(r, w, string(rest[:n]))
			rest = rest[n:]
			if rapid.IntRange(0, 9).Draw(r, "restart") == 0 {
				closeWriter(r, w)
				w = open(r, dir, "us", limits)
			}
		}
		closeWriter(r, w)

		raw := rawFiles(r, dir)
		whole := bytes.Join(raw, nil)
		if len(raw) > limits.Keep || len(raw) < limits.Keep && len(whole) != len(text) || !bytes.HasSuffix(text, whole) {
			r.Fatalf("%d files of %d bytes from %d bytes with %+v", len(raw), len(whole), len(text), limits)
		}
		for i, file := range raw {
			if int64(len(file)) > limits.Max {
				r.Fatalf("file %d has %d bytes, over %d", i, len(file), limits.Max)
			}
		}
		for _, n := range (files{dir: dir, silo: "us"}).timesNumbers() {
			if n >= len(raw) {
				r.Fatalf("sidecar %d has no raw file", n)
			}
		}
		compareQueries(t, r, dir, whole)
	})
}

// compareQueries compares Read to the reference.
func compareQueries(t *testing.T, r *rapid.T, dir string, whole []byte) {
	all := lines(whole)
	for _, grep := range []*regexp.Regexp{nil, regexp.MustCompile("b"), regexp.MustCompile("^x"), regexp.MustCompile("^$")} {
		n := rapid.IntRange(-1, 8).Draw(r, "n")
		have := read(t, dir, Query{N: n, Grep: grep})
		want := choose(all, n, grep)
		for i := range have {
			have[i] = readLine{text: have[i].text, partial: have[i].partial}
		}
		if !slices.Equal(have, want) {
			r.Fatalf("the last %d lines with %v: %d lines, want %d", n, grep, len(have), len(want))
		}
	}
}

func TestRotationAfterALine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{Max: 4096, Keep: 5})
	var want []string
	for i := range 1000 {
		line := fmt.Sprintf("line %d %s", i, strings.Repeat("z", i%70))
		want = append(want, line)
		write(t, w, line[:i%len(line)])
		write(t, w, line[i%len(line):]+"\n")
	}
	closeWriter(t, w)
	raw := rawFiles(t, dir)
	if len(raw) != 5 {
		t.Fatalf("%d files, want 5", len(raw))
	}
	for i, file := range raw {
		if file[len(file)-1] != '\n' || len(file) > 4096 || i < 4 && len(file) < 3584 {
			t.Errorf("file %d: %d bytes, ends in %q", i, len(file), file[len(file)-1])
		}
	}
	lines, err := Last(dir, "us", 100)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "last lines across rotations", lines, want[900:])
	equal(t, "more than there are", w.Tail(5000), want[1000-len(w.Tail(5000)):])
}

// A rotation is interrupted after each of its steps. The next Open must lose nothing, and
// each file must keep its own times.
func TestInterruptedRotation(t *testing.T) {
	t.Parallel()
	const keep = 4
	f := files{silo: "us"}
	steps := []func(f files) error{
		func(files) error { return nil },
		func(f files) error { return remove(f.raw(keep - 1)) },
		func(f files) error { return remove(f.times(keep - 1)) },
	}
	for n := keep - 2; n >= 0; n-- {
		steps = append(steps,
			func(f files) error { return rename(f.raw(n), f.raw(n+1)) },
			func(f files) error { return rename(f.times(n), f.times(n+1)) })
	}
	for stop := range steps {
		synctest.Test(t, func(t *testing.T) {
			f.dir = t.TempDir()
			begin := time.Now()
			w := open(t, f.dir, "us", Limits{Max: 16, Keep: keep})
			for i := range 4 {
				time.Sleep(time.Minute)
				write(t, w, fmt.Sprintf("fifteen bytes %d\n", i))
			}
			closeWriter(t, w)
			for _, step := range steps[:stop+1] {
				if err := step(f); err != nil {
					t.Fatal(err)
				}
			}
			check := func(when string) {
				lines := read(t, f.dir, Query{N: -1})
				if dropped := 4 - len(lines); dropped > 1 || stop == 0 && dropped > 0 {
					t.Fatalf("step %d, %s: %v", stop, when, texts(lines))
				}
				for i, line := range lines {
					n := i + 4 - len(lines)
					equal(t, fmt.Sprintf("step %d, %s: text", stop, when), line.text, fmt.Sprintf("fifteen bytes %d", n))
					equal(t, fmt.Sprintf("step %d, %s: time", stop, when), line.at.Sub(begin), time.Duration(n+1)*time.Minute)
				}
			}
			check("interrupted")
			w = open(t, f.dir, "us", Limits{Max: 16, Keep: keep})
			closeWriter(t, w)
			check("repaired")
		})
	}
}

func TestOpenDropsFilesBeyondKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{Max: 8, Keep: 6})
	for i := range 6 {
		write(t, w, fmt.Sprintf("line  %d\n", i))
	}
	closeWriter(t, w)
	if err := os.Remove(filepath.Join(dir, "us.log.1")); err != nil {
		t.Fatal(err)
	}
	closeWriter(t, open(t, dir, "us", Limits{Max: 8, Keep: 3}))
	equal(t, "left", string(bytes.Join(rawFiles(t, dir), nil)), "line  2\nline  3\nline  5\n")
}

// Users truncate and remove logs.
func TestWriterAfterTruncateAndRemove(t *testing.T) {
	t.Parallel()
	damage := map[string]func(path string) error{
		"removed":   os.Remove,
		"truncated": func(path string) error { return os.Truncate(path, 0) },
		"directory": func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
	}
	for name, damage := range damage {
		synctest.Test(t, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "logs")
			w := open(t, dir, "us", Limits{})
			defer closeWriter(t, w)
			write(t, w, "before\n")
			if err := damage(filepath.Join(dir, "us.log")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			write(t, w, "after\n")
			have := read(t, dir, Query{N: -1})
			equal(t, name, texts(have), []string{"after"})
			equal(t, name, have[0].at.Equal(time.Now()), true)
		})
	}
}

// /dev/full replaces the raw file.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full, which only Linux has")
	}
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "us.log")
		if err := os.Symlink("/dev/full", path); err != nil {
			t.Fatal(err)
		}
		w := open(t, dir, "us", Limits{Max: 1000})
		var reports []LossError
		w.OnError = func(err error) {
			var loss *LossError
			if !errors.As(err, &loss) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("unexpected %v", err)
			}
			reports = append(reports, *loss)
		}
		for range 100 {
			write(t, w, "lost...\n")
			time.Sleep(time.Millisecond)
		}
		if len(reports) != 1 || reports[0].Over {
			t.Fatalf("reports %v, want one", reports)
		}
		if info, err := os.Stat(w.files.times(0)); err != nil || info.Size() != timestampSize {
			t.Fatalf("a time must be written before its bytes, and replaced by the next one: %v, %v", info, err)
		}
		if err := os.Remove(path); err != nil { // there is free space again
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		write(t, w, "kept\n")
		if len(reports) != 2 || !reports[1].Over || reports[1].Bytes != 800 {
			t.Fatalf("reports %+v, want a second one with 800 bytes", reports)
		}
		equal(t, "log", w.Tail(10), []string{"kept"})
		closeWriter(t, w)
		if len(reports) != 2 {
			t.Fatalf("Close reports %+v", reports[2:])
		}
	})
}

// On a full disk, a short block sometimes succeeds.
func TestIntermittentFailureIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, t.TempDir(), "us", Limits{})
		defer closeWriter(t, w)
		var reports []string
		w.OnError = func(err error) { reports = append(reports, err.Error()) }
		for range 100 {
			w.record(time.Now(), 5, syscall.ENOSPC)
			time.Sleep(100 * time.Millisecond)
			write(t, w, "succeeds\n")
		}
		time.Sleep(checkInterval)
		write(t, w, "over\n")
		equal(t, "reports", reports, []string{
			"log of us: output is not being kept: no space left on device",
			"log of us: 500 bytes were lost: no space left on device",
		})
	})
}

// The two parts around a gap must not look like one line.
func TestGapEndsTheLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{})
	write(t, w, "first half")
	w.OnError = nil
	w.record(time.Now(), 5, syscall.ENOSPC)
	write(t, w, "second half\n")
	write(t, w, "whole\n")
	closeWriter(t, w)
	equal(t, "log", string(rawFiles(t, dir)[0]), "first half\nsecond half\nwhole\n")
}

func TestWriteAfterClose(t *testing.T) {
	t.Parallel()
	w := open(t, t.TempDir(), "us", Limits{})
	closeWriter(t, w)
	closeWriter(t, w)
	if n, err := w.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

func TestIdleSilosNeedLittleMemoryAndNoGoroutine(t *testing.T) {
	dir := t.TempDir()
	mux := NewMux(os.Stderr, func(silo string) string { return silo + " | " })
	const silos = 200
	all := make([]any, 0, 2*silos)
	goroutines := runtime.NumGoroutine()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range silos {
		w := open(t, dir, "region-"+strconv.Itoa(i), Limits{})
		defer closeWriter(t, w)
		all = append(all, w, mux.Stream("region-"+strconv.Itoa(i)))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / silos; each > 4<<10 {
		t.Errorf("an idle silo needs %d bytes", each)
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	runtime.KeepAlive(all)
}

// writeUntilKilled writes lines, and prints the number of each line that was accepted.
func writeUntilKilled(dir string) {
	w, err := Open(dir, "us", Limits{Max: 2000, Keep: 1000})
	if err != nil {
		panic(err)
	}
	for i := 0; ; i++ {
		if _, err := fmt.Fprintf(w, "line %d\n", i); err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stdout, i)
	}
}

// A process is killed while it writes and rotates.
func TestKilledWriterLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	accepted := -1
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "LOGS_TEST_WRITE="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in := bufio.NewScanner(out)
		for n := 0; in.Scan(); n++ {
			if n == 300+77*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if accepted, err = strconv.Atoi(in.Text()); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Wait()
		left, err := Last(dir, "us", 1)
		if err != nil {
			t.Fatal(err)
		}
		w := open(t, dir, "us", Limits{Max: 2000, Keep: 1000})
		equal(t, "the last line before and after repair", w.Tail(1), left)
		closeWriter(t, w)
		whole := string(bytes.Join(rawFiles(t, dir), nil))
		run := whole[strings.LastIndex("\n"+whole, "\nline 0\n"):]
		have := strings.Count(run, "\n") - 1
		if have < accepted || have > accepted+1 {
			t.Fatalf("round %d: line %d was accepted, the log ends with %d", round, accepted, have)
		}
	}
}
