// Package logs keeps the output of silos: the exact bytes of each silo in rotated raw
// files, with arrival times in sidecars. It joins the output of several silos into
// whole lines, and reads and follows what was kept.
//
// It must not know about processes, Sentry, the meaning of the text or how a line is displayed: it
// receives bytes, names and a prefix.
//
// The files of one silo in a directory:
//
//	us.log, us.log.1 … us.log.7      raw bytes; the one without a number is the newest
//	.us.times, .us.times.1 …         arrival times, one sidecar for each raw file
//
// The sidecars are hidden, so that `grep x *` and `tail -f *` match only text.
package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxLine bounds the part of a line that is held in memory, in bytes. A longer
// line is passed on in pieces.
const maxLine = 64 << 10

// Silos returns the names of the silos that have a log in dir, sorted. It returns none if the
// directory cannot be read.
func Silos(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		silo, end, ok := strings.Cut(entry.Name(), ".log")
		if !ok || checkName(silo) != nil || !entry.Type().IsRegular() {
			continue
		}
		if _, ok := rotationNumber(end); ok {
			names = append(names, silo)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Known returns the given names in their order, followed by those of other silos
// that have a log in dir: logs remain when their topology changes.
func Known(dir string, names []string) []string {
	known := slices.Clone(names)
	for _, name := range Silos(dir) {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	return known
}

// checkName rejects a name that would leave the directory or look like a sidecar.
func checkName(silo string) error {
	if silo == "" || strings.ContainsAny(silo, "./\\\x00") {
		return fmt.Errorf("log of silo %q: not a valid file name", silo)
	}
	return nil
}

// rotationNumber parses the end of a file's name: "" is 0, the newest; ".1" is 1.
func rotationNumber(end string) (int, bool) {
	if end == "" {
		return 0, true
	}
	n, err := strconv.Atoi(strings.TrimPrefix(end, "."))
	return n, err == nil && n > 0 && end == suffix(n)
}

func suffix(n int) string {
	if n == 0 {
		return ""
	}
	return "." + strconv.Itoa(n)
}

// files locates the files of one silo. Their numbers count rotations.
type files struct{ dir, silo string }

func (f files) raw(n int) string    { return filepath.Join(f.dir, f.silo+".log"+suffix(n)) }
func (f files) times(n int) string  { return filepath.Join(f.dir, "."+f.silo+".times"+suffix(n)) }
func (f files) rawNumbers() []int   { return f.list(f.silo + ".log") }
func (f files) timesNumbers() []int { return f.list("." + f.silo + ".times") }

// list returns the numbers of the files whose names begin with stem, ascending.
func (f files) list(stem string) []int {
	entries, _ := os.ReadDir(f.dir) // a directory that cannot be read counts as empty
	var found []int
	for _, entry := range entries {
		if end, ok := strings.CutPrefix(entry.Name(), stem); ok {
			if n, ok := rotationNumber(end); ok {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	return found
}

// all yields the numbers of the raw files in ascending order. Rotation only moves files to higher
// numbers, so a file that moves meanwhile is not missed, but may be yielded twice.
func (f files) all() iter.Seq2[int, os.FileInfo] {
	return func(yield func(int, os.FileInfo) bool) {
		last := 0
		if numbers := f.rawNumbers(); len(numbers) > 0 {
			last = numbers[len(numbers)-1]
		}
		// A listing may omit files that are renamed meanwhile, so last is a lower
		// bound. Rotation makes one gap at a time.
		for n, gap := 0, 0; n <= last || gap < 3; n++ {
			info, err := os.Stat(f.raw(n))
			if err != nil {
				gap++
				continue
			}
			if gap = 0; !yield(n, info) {
				return
			}
		}
	}
}

// isAt reports whether number n belongs to the file that info describes.
func (f files) isAt(n int, info os.FileInfo) bool {
	now, err := os.Stat(f.raw(n))
	return err == nil && os.SameFile(now, info)
}

// numberOf returns the current number of a file, or -1.
func (f files) numberOf(info os.FileInfo) int {
	if info != nil {
		for n, now := range f.all() {
			if os.SameFile(now, info) {
				return n
			}
		}
	}
	return -1
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// rename renames a file. A missing file is not an error.
func rename(from, to string) error {
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// remove removes a file. A missing file is not an error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
