package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// block returns as much as a pipe holds: 64 KiB of 100-byte lines, cut at arbitrary
// points.
func block() []byte {
	line := strings.Repeat("x", 99) + "\n"
	return []byte(strings.Repeat(line, 700))[37 : 37+64<<10]
}

func cpu() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		return 0
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// benchmarkDrain keeps the blocks of four producers, joins them, or both.
func benchmarkDrain(b *testing.B, keep, join bool) {
	dir := b.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := out.Close(); err != nil {
			b.Error(err)
		}
	}()
	m := NewMux(out, barPrefix)
	p := block()
	const producers = 4
	perLine := float64(bytes.Count(p, []byte{'\n'}))
	begin := cpu()
	b.SetBytes(int64(len(p)))
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range producers {
		w := open(b, dir, fmt.Sprintf("region-%d", i), Limits{Max: 64 << 20, Keep: 2})
		wg.Go(func() {
			defer closeWriter(b, w)
			s := m.Stream(fmt.Sprintf("region-%d", i))
			for range (b.N + producers - 1) / producers {
				if keep {
					_, _ = w.Write(p)
				}
				if join {
					_, _ = s.Write(p)
				}
			}
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
	}
	wg.Wait()
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
	lines := float64(b.N) * perLine
	b.ReportMetric(lines/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric(float64(cpu()-begin)/lines/1000, "cpu-µs/line")
	b.StopTimer()
	if err := out.Truncate(0); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRawAndMux(b *testing.B) { benchmarkDrain(b, true, true) }
func BenchmarkRaw(b *testing.B)       { benchmarkDrain(b, true, false) }
func BenchmarkMux(b *testing.B)       { benchmarkDrain(b, false, true) }

// BenchmarkLines writes one line at a time.
func BenchmarkLines(b *testing.B) {
	dir := b.TempDir()
	w := open(b, dir, "us", Limits{})
	defer closeWriter(b, w)
	m := NewMux(io.Discard, barPrefix)
	s := m.Stream("us")
	line := []byte(strings.Repeat("x", 99) + "\n")
	for b.Loop() {
		_, _ = w.Write(line)
		_, _ = s.Write(line)
	}
	if err := m.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkRead(b *testing.B) {
	dir := b.TempDir()
	w := open(b, dir, "us", Limits{})
	p := block()
	for range 800 {
		write(b, w, string(p))
	}
	closeWriter(b, w)
	for _, n := range []int{-1, 20} {
		b.Run(fmt.Sprintf("N=%d", n), func(b *testing.B) {
			lines := 0
			for b.Loop() {
				err := Read(b.Context(), dir, Query{N: n}, func(Line) error { lines++; return nil })
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(lines)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
