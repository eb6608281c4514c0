package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func barPrefix(silo string) string { return silo + " | " }

// sink is a writer that can be stalled, slow or broken.
type sink struct {
	mu      sync.Mutex // guards all below
	text    bytes.Buffer
	delay   time.Duration // for each write
	stalled chan struct{} // if set, writes block until it is closed
	fail    error
	takes   int // bytes that a failing write accepts
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	delay, stalled, fail := s.delay, s.stalled, s.fail
	s.mu.Unlock()
	if delay > 0 {
		time.Sleep(delay)
	}
	if stalled != nil {
		<-stalled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if fail != nil {
		n := min(s.takes, len(p))
		s.text.Write(p[:n])
		return n, fail
	}
	return s.text.Write(p)
}

func (s *sink) set(change func(s *sink)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *sink) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.text.Reset()
	return s.text.String()
}

func writeText(t fataler, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
}

func flush(t fataler, m *Mux) {
	t.Helper()
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
}

func TestMuxJoinsWholeLines(t *testing.T) {
	t.Parallel()
	var out sink
	m := NewMux(&out, barPrefix)
	us, eu := m.Stream("us"), m.Stream("eu")
	writeText(t, us, "one\nhalf a ")
	writeText(t, eu, "two\n\nthr")
	writeText(t, us, "line\n")
	writeText(t, eu, "ee")
	flush(t, m)
	equal(t, "so far", out.take(), "us | one\neu | two\neu | \nus | half a line\n")
	if err := eu.Close(); err != nil {
		t.Fatal(err)
	}
	writeText(t, us, strings.Repeat("x", 2*maxLine+3)+"\n\xff\x00\r\x1b[0m\n")
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	long := "us | " + strings.Repeat("x", maxLine) + "\n"
	equal(t, "the rest", out.take(), "eu | three\n"+long+long+"us | xxx\nus | \xff\x00\r\x1b[0m\n")
	if _, err := us.Write([]byte("late\n")); !errors.Is(err, os.ErrClosed) {
		t.Fatalf("a write after Close: %v", err)
	}
}

// The result does not depend on how the output is split into writes.
func TestMuxAnySplit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		text := anyText().Draw(r, "text")
		var out sink
		m := NewMux(&out, barPrefix)
		s := m.Stream("us")
		for rest := text; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(r, "block")
			writeText(r, s, string(rest[:n]))
			rest = rest[n:]
		}
		if err := errors.Join(s.Close(), m.Close()); err != nil {
			r.Fatal(err)
		}
		var want strings.Builder
		for _, line := range lines(text) {
			want.WriteString("us | " + line.text + "\n")
		}
		if out.take() != want.String() {
			r.Fatalf("%q is not joined as expected", text)
		}
	})
}

func TestMuxKeepsLinesOfFourSilosInOrder(t *testing.T) {
	t.Parallel()
	var out sink
	m := NewMux(&out, barPrefix)
	const total = 6000
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s := m.Stream(strconv.Itoa(i))
			rng := rand.New(rand.NewPCG(uint64(i), 7))
			var text bytes.Buffer
			for n := range total {
				fmt.Fprintf(&text, "line %d %s\n", n, strings.Repeat("z", rng.IntN(100)))
			}
			for text.Len() > 0 {
				writeText(t, s, string(text.Next(1+rng.IntN(3000))))
			}
		})
	}
	wg.Wait()
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`^([0-3]) \| line (\d+) z*$`)
	var next [4]int
	for line := range strings.Lines(out.take()) {
		parts := whole.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if parts == nil {
			t.Fatalf("torn: %q", line)
		}
		silo, _ := strconv.Atoi(parts[1])
		if parts[2] != strconv.Itoa(next[silo]) {
			t.Fatalf("%q, want line %d", line, next[silo])
		}
		next[silo]++
	}
	equal(t, "lines", next, [4]int{total, total, total, total})
}

func TestMuxWaitsForASlowWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{delay: 900 * time.Millisecond}
		m := NewMux(&out, barPrefix)
		begin := time.Now()
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				s := m.Stream(strconv.Itoa(i))
				for range 1000 {
					writeText(t, s, strings.Repeat("x", 999)+"\n")
				}
			})
		}
		wg.Wait()
		flush(t, m)
		equal(t, "lines", strings.Count(out.take(), " | "+strings.Repeat("x", 999)+"\n"), 3000)
		if passed := time.Since(begin); passed < 40*time.Second {
			t.Errorf("3 MB took only %v, at 0.9 s per 64 KiB", passed)
		}
	})
}

func TestMuxDropsLinesForAStalledWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stalled := make(chan struct{})
		out := sink{stalled: stalled}
		m := NewMux(&out, barPrefix)
		us, eu := m.Stream("us"), m.Stream("eu")
		begin := time.Now()
		const total = 10000
		for n := range total {
			writeText(t, us, fmt.Sprintf("%-99d\n", n))
		}
		if passed := time.Since(begin); passed != stallTimeout {
			t.Errorf("the silo was blocked for %v, want %v once", passed, stallTimeout)
		}
		writeText(t, eu, "also dropped\n")
		if passed := time.Since(begin); passed != stallTimeout {
			t.Errorf("another silo was blocked too, %v in all", passed)
		}
		if err := m.Flush(); !errors.Is(err, ErrStalled) {
			t.Errorf("Flush = %v, want ErrStalled", err)
		}
		close(stalled)
		flush(t, m)
		writeText(t, us, "here again\n")
		flush(t, m)

		text := out.take()
		shown := strings.Count(text, "us | ") - 1
		for n := range shown {
			if !strings.Contains(text, fmt.Sprintf("us | %-99d\n", n)) {
				t.Fatalf("line %d is not among the first %d", n, shown)
			}
		}
		notice := fmt.Sprintf("\nsilo: %d lines are not shown here: the output is not being read (the log files have them)\nus | here again\n", total-shown+1)
		if shown < maxPending/200 || !strings.HasSuffix(text, notice) {
			t.Fatalf("%d lines, and at the end %q, want %q", shown, text[len(text)-200:], notice)
		}
	})
}

// A writer that is almost stalled blocks a silo once, not once per block.
func TestMuxWithAVerySlowWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := sink{delay: stallTimeout * 3 / 2}
		m := NewMux(&out, barPrefix)
		s := m.Stream("us")
		blocked := time.Duration(0)
		for n := range 5060 {
			begin := time.Now()
			writeText(t, s, strings.Repeat("x", 199)+"\n")
			blocked += time.Since(begin)
			if n > 5000 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		equal(t, "blocked for", blocked, stallTimeout)
		out.set(func(s *sink) { s.delay = 0 })
		time.Sleep(2 * stallTimeout)
		flush(t, m)
		shown, missing := 0, 0
		for line := range strings.Lines(out.take()) {
			if _, err := fmt.Sscanf(line, "silo: %d lines", &missing); err != nil {
				shown++
			}
		}
		equal(t, "lines shown and counted as missing", shown+missing, 5060)
	})
}

func TestMuxFreesLargeBuffers(t *testing.T) {
	t.Parallel()
	m := NewMux(io.Discard, barPrefix)
	s := &stream{mux: m}
	writeText(t, s, strings.Repeat("x", maxLine))
	if cap(s.held) < maxLine || cap(s.held) > 100_000 {
		t.Errorf("%d bytes for an unfinished line of %d", cap(s.held), maxLine)
	}
	writeText(t, s, "\n")
	if cap(s.held) > 4<<10 {
		t.Errorf("%d bytes are kept for an empty line", cap(s.held))
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestMuxWithAFailingWriter(t *testing.T) {
	t.Parallel()
	out := sink{fail: syscall.ENOSPC, takes: 10}
	m := NewMux(&out, barPrefix)
	s := m.Stream("us")
	for range 3 {
		writeText(t, s, "lost line\n")
		if err := m.Flush(); !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("Flush = %v", err)
		}
	}
	out.set(func(s *sink) { s.fail = nil; s.text.Reset() })
	writeText(t, s, "kept\n")
	if err := m.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("Close = %v, want the first error", err)
	}
	equal(t, "after it", out.take(), "\nsilo: 3 lines are not shown here: no space left on device (the log files have them)\nus | kept\n")
}

// Clean gets neither prefix nor newline.
func TestMuxClean(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	m := NewMux(&out, func(silo string) string { return "<" + silo + "> " })
	m.Clean = func(line []byte) []byte {
		switch string(line) {
		case "as it is":
			return line
		case "shorter":
			return line[1:3]
		case "same length":
			return []byte("SAME LENGTH")
		}
		return append(bytes.ToUpper(line), '!')
	}
	s := m.Stream("us")
	for _, piece := range []string{"as it", " is\nshorter\nsame length\n\nlon", "ger\nunfinished"} {
		if _, err := s.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(s.Close(), m.Close()); err != nil {
		t.Fatal(err)
	}
	equal(t, "out", out.String(), "<us> as it is\n<us> ho\n<us> SAME LENGTH\n<us> !\n<us> LONGER!\n<us> UNFINISHED!\n")
}

func TestGrepMatchesPlainText(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	w := open(t, dir, "us", Limits{})
	write(t, w, "a <b>bold</b> word\nanother\n")
	closeWriter(t, w)
	plain := func(line []byte) []byte {
		return bytes.ReplaceAll(bytes.ReplaceAll(line, []byte("<b>"), nil), []byte("</b>"), nil)
	}
	for _, n := range []int{-1, 1} {
		q := Query{N: n, Grep: regexp.MustCompile("^a bold"), Plain: plain}
		equal(t, "lines", texts(read(t, dir, q)), []string{"a <b>bold</b> word"})
	}
}
