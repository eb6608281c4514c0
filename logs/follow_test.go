package logs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"silo/wait/waittest"
)

// following is a Read with Follow in a synctest bubble. stop stops it.
type following struct {
	mu    sync.Mutex // guards lines
	lines []readLine
	stop  func()
}

func follow(t *testing.T, dir string, q Query) *following {
	t.Helper()
	q.Follow = true
	f := &following{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Read(ctx, dir, q, func(l Line) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.lines = append(f.lines, readLine{l.Silo, l.At, string(l.Text), l.Partial})
			return nil
		})
	}()
	f.stop = func() {
		cancel()
		if err := waittest.Receive(t, done, "the end of Read"); err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	return f
}

// next lets the reader poll once more, and returns the lines that it has emitted since.
func (f *following) next() []string {
	time.Sleep(2 * followInterval)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	all := texts(f.lines)
	f.lines = nil
	return all
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		limits := Limits{Max: 64, Keep: 4}
		us := open(t, dir, "us", limits)
		write(t, us, "old 1\nold 2\nold 3\nbegun ")
		f := follow(t, dir, Query{N: 2})
		defer f.stop()
		equal(t, "history without the unfinished line", f.next(), []string{"old 3"})
		write(t, us, "and finished\nnext")
		equal(t, "the line that was unfinished", f.next(), []string{"begun and finished"})
		write(t, us, strings.Repeat("x", 60)+"\n"+strings.Repeat("y", 60)+"\n")
		equal(t, "across rotations", f.next(), []string{"next" + strings.Repeat("x", 60), strings.Repeat("y", 60)})
		closeWriter(t, us)
		us = open(t, dir, "us", limits)
		write(t, us, "restarted\n")
		equal(t, "across a restart", f.next(), []string{"restarted"})

		eu := open(t, dir, "eu", limits)
		write(t, eu, "hello\n")
		time.Sleep(time.Millisecond)
		write(t, us, "welcome\n")
		equal(t, "a silo that is new", f.next(), []string{"hello", "welcome"})
		equal(t, "nothing new", f.next(), []string{})
		closeWriter(t, us)
		closeWriter(t, eu)
	})
}

func TestFollowNamedSiloWithoutALog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "logs")
		f := follow(t, dir, Query{N: 0, Silos: []string{"us"}, Grep: regexp.MustCompile("ERROR")})
		defer f.stop()
		equal(t, "nothing yet", f.next(), []string{})
		us := open(t, dir, "us", Limits{})
		write(t, us, "ERROR one\nINFO two\nERROR three\n")
		other := open(t, dir, "eu", Limits{})
		write(t, other, "ERROR elsewhere\n")
		equal(t, "what matches", f.next(), []string{"ERROR one", "ERROR three"})
		closeWriter(t, us)
		closeWriter(t, other)
	})
}

func TestFollowFromTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		us := open(t, dir, "us", Limits{})
		defer closeWriter(t, us)
		write(t, us, "old\nbegun ")
		f := follow(t, dir, Query{N: 0})
		defer f.stop()
		write(t, us, "before\nafter\n")
		equal(t, "whole lines", f.next(), []string{"begun before", "after"})
	})
}

func TestFollowTruncatedAndRemovedFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		us := open(t, dir, "us", Limits{Max: 30, Keep: 3})
		defer func() { closeWriter(t, us) }()
		write(t, us, "in the first file, rotated\n")
		time.Sleep(20 * time.Millisecond)
		write(t, us, "in the second\n")
		f := follow(t, dir, Query{N: 1})
		defer f.stop()
		equal(t, "history", f.next(), []string{"in the second"})
		if err := os.Truncate(filepath.Join(dir, "us.log"), 0); err != nil {
			t.Fatal(err)
		}
		equal(t, "truncated", f.next(), []string{})
		time.Sleep(2 * time.Second)
		write(t, us, "again\n")
		equal(t, "continues", f.next(), []string{"again"})
		if err := os.Remove(filepath.Join(dir, "us.log")); err != nil {
			t.Fatal(err)
		}
		equal(t, "removed, and not read again", f.next(), []string{})
		time.Sleep(2 * time.Second)
		write(t, us, "once more\n")
		equal(t, "continues in a new file", f.next(), []string{"once more"})
	})
}

// The writer rotates continuously.
func TestFollowMissesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const total = 8000
	w := open(t, dir, "us", Limits{Max: 4000, Keep: total})
	write(t, w, "line 0\n")
	var wg sync.WaitGroup
	wg.Go(func() {
		defer closeWriter(t, w)
		for i := 1; i < total; i += 40 {
			var block strings.Builder
			for n := i; n < min(i+40, total); n++ {
				fmt.Fprintf(&block, "line %d\n", n)
			}
			text := block.String()
			write(t, w, text[:i%len(text)])
			write(t, w, text[i%len(text):])
		}
	})
	defer wg.Wait()
	n, enough := 0, errors.New("enough")
	last := time.Time{}
	err := Read(t.Context(), dir, Query{N: -1, Follow: true}, func(l Line) error {
		if want := fmt.Sprintf("line %d", n); string(l.Text) != want || l.Partial {
			return fmt.Errorf("%q, want %q", l.Text, want)
		}
		if l.At.Before(last) || time.Since(l.At) > time.Minute {
			return fmt.Errorf("%q arrived at %v, the one before at %v", l.Text, l.At, last)
		}
		last = l.At
		if n++; n == total {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Fatalf("after %d lines: %v", n, err)
	}
}

// Without Follow, Read ends although a writer continues, and rotations cause no gap.
func TestReadOfALiveLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{Max: 1000, Keep: 20})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer closeWriter(t, w)
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
				write(t, w, fmt.Sprintf("%d\n", n))
			}
		}
	})
	defer wg.Wait()
	defer close(stop)
	for round := range 30 {
		var previous int
		for i, line := range read(t, dir, Query{N: 10 * round}) {
			var n int
			if _, err := fmt.Sscanf(line.text, "%d", &n); err != nil || i > 0 && n != previous+1 {
				t.Fatalf("%q after %d (%v)", line.text, previous, err)
			}
			previous = n
		}
	}
}

func TestReadEndsWithContextOrEmit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{})
	write(t, w, strings.Repeat("line\n", 100))
	closeWriter(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := Read(ctx, dir, Query{N: -1}, func(Line) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 10 {
		t.Errorf("%v after %d lines, want the context's error after 10", err, n)
	}
	full := errors.New("full")
	if err := Read(t.Context(), dir, Query{N: -1}, func(Line) error { return full }); !errors.Is(err, full) {
		t.Errorf("%v, want emit's error", err)
	}
}

func TestPiecesOfALineAreConsecutive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		us, eu := open(t, dir, "us", Limits{}), open(t, dir, "eu", Limits{})
		write(t, us, strings.Repeat("x", maxLine))
		time.Sleep(time.Second)
		write(t, eu, "between\n")
		time.Sleep(time.Second)
		write(t, us, "yes\n")
		closeWriter(t, us)
		closeWriter(t, eu)
		var silos []string
		for _, line := range read(t, dir, Query{N: -1}) {
			silos = append(silos, line.silo)
		}
		equal(t, "silos", silos, []string{"us", "us", "eu"})
	})
}

// Bytes may be written between the reader's last read and the rotation.
func TestFollowReadsARotatedFileToItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{Max: 30})
	defer closeWriter(t, w)
	write(t, w, "seen\n")
	s, err := openSource(files{dir: dir, silo: "us"}, Query{N: 0, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if more, err := s.fill(); more || err != nil {
		t.Fatalf("fill at the end = %v, %v", more, err)
	}
	write(t, w, "just before rotation\n")
	write(t, w, "just after it, in a new file\n")
	equal(t, "files", len(rawFiles(t, dir)), 2)
	if more, err := s.nextFile(); !more || err != nil {
		t.Fatalf("turn = %v, %v", more, err)
	}
	for _, want := range []string{"just before rotation", "just after it, in a new file"} {
		if err := s.peek(); err != nil || !s.ready {
			t.Fatalf("no line (%v), want %q", err, want)
		}
		equal(t, "line", string(s.next().Text), want)
	}
}
