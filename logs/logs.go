// Package logs keeps what silos write: each one's bytes, exactly as they came,
// in raw files that are rotated, with the time at which they arrived beside
// them. It joins the output of several silos into whole lines, and reads back
// and follows what was kept.
//
// It must not know what a process is, what the text means, what Sentry is, or
// how a line is drawn: it is given bytes and names, and a prefix as text.
//
// The files of one silo in a directory:
//
//	us.log, us.log.1 … us.log.7      raw bytes; the one without a number is the newest
//	.us.times, .us.times.1 …         arrival times, one sidecar for each raw file
//
// The sidecars are hidden, so that `grep x *` and `tail -f *` meet text alone.
package logs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxLine bounds the piece of a line that is held in memory, in bytes. A longer
// line is passed on in pieces.
const maxLine = 64 << 10

// Silos names the silos that have a log in dir, sorted by name. A directory that
// cannot be read has none.
func Silos(dir string) []string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, entry := range entries {
		silo, rest, ok := strings.Cut(entry.Name(), ".log")
		if !ok || checkName(silo) != nil || !entry.Type().IsRegular() {
			continue
		}
		if _, ok := number(rest); ok {
			names = append(names, silo)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Known are the given names, in their order, and those of other silos that have a
// log in dir: logs stay when their topology changes.
func Known(dir string, names []string) []string {
	known := slices.Clone(names)
	for _, name := range Silos(dir) {
		if !slices.Contains(known, name) {
			known = append(known, name)
		}
	}
	return known
}

// checkName refuses a name that would leave the directory or hide among the sidecars.
func checkName(silo string) error {
	if silo == "" || strings.ContainsAny(silo, "./\\\x00") {
		return fmt.Errorf("log of silo %q: not a name for a file", silo)
	}
	return nil
}

// number is the place in the rotation that the end of a file's name says: "" is
// 0, the newest; ".1" is 1.
func number(end string) (int, bool) {
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

// Directory is where logs are kept, and what was in it when it was looked at.
type Directory struct {
	path  string
	names []string // never nil
}

// In looks at a directory once, for all the logs that are to be opened in it. It is
// made (0700) where it is missing.
func In(dir string) (Directory, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil { //nolint:gosec // the caller says where
		return Directory{}, fmt.Errorf("make the directory of logs: %w", err)
	}
	return Directory{dir, namesIn(dir)}, nil
}

// namesIn are the names in a directory, and not nil, also where it cannot be read.
func namesIn(dir string) []string {
	entries, _ := os.ReadDir(dir) // what cannot be read has nothing to be found
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// files knows where one silo's files are.
type files struct {
	dir, silo string
	names     []string // what is in dir; nil: look
}

func (f files) rawStem() string     { return f.silo + ".log" }
func (f files) timesStem() string   { return "." + f.silo + ".times" }
func (f files) raw(n int) string    { return filepath.Join(f.dir, f.rawStem()+suffix(n)) }
func (f files) times(n int) string  { return filepath.Join(f.dir, f.timesStem()+suffix(n)) }
func (f files) exists(n int) bool   { _, err := os.Lstat(f.raw(n)); return err == nil }
func (f files) numbers() []int      { return f.list(f.rawStem()) }
func (f files) timesNumbers() []int { return f.list(f.timesStem()) }

// list finds which places of the rotation are there, in ascending order.
func (f files) list(stem string) []int {
	names := f.names
	if names == nil {
		names = namesIn(f.dir)
	}
	var found []int
	for _, name := range names {
		if end, ok := strings.CutPrefix(name, stem); ok {
			if n, ok := number(end); ok {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	return found
}

// is tells whether place n is held by the file that info describes.
func (f files) is(n int, info os.FileInfo) bool {
	now, err := os.Stat(f.raw(n))
	return err == nil && os.SameFile(now, info)
}

// locate finds the place that a file holds now, or -1. Files only move to higher
// places, so looking upwards does not miss one that moves meanwhile.
func (f files) locate(info os.FileInfo) int {
	if info == nil {
		return -1
	}
	bound := 0
	if numbers := f.numbers(); len(numbers) > 0 {
		bound = numbers[len(numbers)-1]
	}
	// A directory that is read while files in it are renamed may leave some out, so
	// its word is only the least that is looked at. Rotation makes one gap at a time.
	for n, gap := 0, 0; n <= bound || gap < 3; n++ {
		now, err := os.Stat(f.raw(n))
		switch {
		case err != nil:
			gap++
		case os.SameFile(now, info):
			return n
		default:
			gap = 0
		}
	}
	return -1
}

// move renames one file; that there is none is no error.
func move(from, to string) error {
	if err := os.Rename(from, to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// remove deletes one file; that there is none is no error.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
