package sentry

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// conf creates a sentry.conf.py in its own directory.
func conf(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sentry.conf.py")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// only fails the test if the directory of path contains other names than these.
func only(t *testing.T, path string, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(names, " ") {
		t.Errorf("next to %s: %q, want %q", path, got, names)
	}
}

func TestWriteAndRemove(t *testing.T) {
	t.Parallel()
	const first = "from sentry.conf.server import *\nDEBUG = True"
	path, acme, other := conf(t, first), block(t, "acme", 1), block(t, "other", 2)
	if diff, inStep, err := Diff(path, acme); err != nil || inStep || !strings.Contains(diff, "+SENTRY_CONTROL_ADDRESS") || !strings.Contains(diff, "-DEBUG = True\n\\ No newline") {
		t.Error(diff, inStep, err)
	}
	change, err := Write(t.Context(), path, acme)
	if want := (Change{Changed: true, Backup: path + ".before-silo"}); err != nil || change != want {
		t.Errorf("first: %+v, %v", change, err)
	}
	file, err := ReadFile(path)
	if err != nil || !file.HasBlock || file.Block != acme {
		t.Errorf("read back: %+v, %v", file, err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if change, err = Write(t.Context(), path, acme); err != nil || change != (Change{}) {
		t.Errorf("same again: %+v, %v", change, err)
	}
	if now, err := os.Stat(path); err != nil || !os.SameFile(before, now) || !now.ModTime().Equal(before.ModTime()) {
		t.Error("a file that was up to date was written")
	}
	if diff, inStep, err := Diff(path, acme); err != nil || !inStep || diff != "" {
		t.Error(diff, inStep, err)
	}
	change, err = Write(t.Context(), path, other)
	if want := (Change{Changed: true, Replaced: "acme"}); err != nil || change != want {
		t.Errorf("replaced: %+v, %v", change, err)
	}
	if removed, err := Remove(t.Context(), path); err != nil || !removed || read(t, path) != first {
		t.Errorf("removed: %v, %v, %q", removed, err, read(t, path))
	}
	if removed, err := Remove(t.Context(), path); err != nil || removed {
		t.Error("removed twice", err)
	}
	if change, err = Write(t.Context(), path, acme); err != nil || change.Backup != "" || read(t, path+".before-silo") != first {
		t.Error("the backup was not kept", change, err)
	}
	only(t, path, "sentry.conf.py", "sentry.conf.py.before-silo")
}

func TestWriteKeepsLinkModeAndOwner(t *testing.T) {
	t.Parallel()
	target := conf(t, "a = 1\n")
	link := filepath.Join(t.TempDir(), "sentry.conf.py")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(target, 0o440); err != nil {
		t.Fatal(err)
	}
	asRoot := os.Getuid() == 0
	if asRoot {
		if err := os.Chown(target, 1234, 4321); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	change, err := Write(t.Context(), link, block(t, "acme", 1))
	if err != nil || change.Backup != target+".before-silo" {
		t.Fatal(change, err)
	}
	if to, err := os.Readlink(link); err != nil || to != target {
		t.Error("the link was replaced", err)
	}
	for _, path := range []string{target, change.Backup} {
		now, err := os.Stat(path)
		if err != nil || now.Mode() != was.Mode() {
			t.Error(path, now.Mode(), err)
		}
		probe, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		if err := copyOwner(probe, now); err != nil {
			t.Error(err)
		}
		owned, err := probe.Stat()
		if err != nil || asRoot && owned.Sys() == nil {
			t.Error(err)
		}
		if got, want := owner(t, path), owner(t, probe.Name()); got != want || asRoot && got != "1234:4321" {
			t.Errorf("%s belongs to %s, want %s", path, got, want)
		}
		_ = probe.Close()
	}
	only(t, link, "sentry.conf.py")
}

func TestWriteRefuses(t *testing.T) {
	t.Parallel()
	b := block(t, "acme", 1)
	gone := filepath.Join(t.TempDir(), "sentry.conf.py")
	dangling := filepath.Join(t.TempDir(), "sentry.conf.py")
	if err := os.Symlink(gone, dangling); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{gone, dangling} {
		_, err := Write(t.Context(), path, b)
		_, readErr := ReadFile(path)
		_, _, diffErr := Diff(path, b)
		_, removeErr := Remove(t.Context(), path)
		for _, err := range []error{err, readErr, diffErr, removeErr} {
			if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), path) {
				t.Error(err)
			}
		}
	}
	if _, err := Write(t.Context(), t.TempDir(), b); err == nil {
		t.Error("Write replaced a directory")
	}
	broken := conf(t, "# <<< silo <<<\n")
	if _, err := Write(t.Context(), broken, b); !errors.Is(err, ErrMarkers) || !strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
	only(t, broken, "sentry.conf.py")
}

func TestWriteCleansUpAfterErrors(t *testing.T) {
	t.Parallel()
	path := conf(t, "a = 1\n")
	blocked := errors.New("disk full")
	e := fileEdit{path: path, backUp: true, change: func([]byte) ([]byte, error) { return nil, blocked }}
	if _, _, err := e.run(t.Context()); !errors.Is(err, blocked) {
		t.Error(err)
	}
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(path, was, []byte("b = 2\n"), func() error { return blocked }); !errors.Is(err, blocked) {
		t.Error(err)
	}
	if read(t, path) != "a = 1\n" {
		t.Error("the file changed")
	}
	only(t, path, "sentry.conf.py")
	if os.Getuid() != 0 { // root may write anywhere
		if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
			t.Fatal(err)
		}
		if _, err := Write(t.Context(), path, block(t, "acme", 1)); !errors.Is(err, fs.ErrPermission) {
			t.Error(err)
		}
		if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteRetriesAfterAnEdit(t *testing.T) {
	t.Parallel()
	for name, save := range map[string]func(path string) error{
		"in place": func(path string) error { return os.WriteFile(path, []byte("edited = 1\n"), 0o644) },
		"by a rename": func(path string) error {
			return errors.Join(os.WriteFile(path+"~", []byte("edited = 1\n"), 0o644), os.Rename(path+"~", path))
		},
	} {
		path, b, once := conf(t, "a = 1\n"), block(t, "acme", 1), sync.Once{}
		e := fileEdit{path: path, backUp: true, change: func(content []byte) ([]byte, error) { return insertBlock(content, b) }}
		e.beforeRename = func() {
			once.Do(func() {
				if err := save(path); err != nil {
					t.Error(err)
				}
			})
		}
		changed, backup, err := e.run(t.Context())
		if err != nil || !changed || read(t, path) != "edited = 1\n"+b.Marked() || read(t, backup) != "edited = 1\n" {
			t.Errorf("%s: %v, %v, %q", name, changed, err, read(t, path))
		}
		only(t, path, "sentry.conf.py", "sentry.conf.py.before-silo")
	}
}

func TestWriteGivesUpOnConstantEdits(t *testing.T) {
	t.Parallel()
	path, b, n := conf(t, ""), block(t, "acme", 1), 0
	e := fileEdit{path: path, backUp: true, change: func(content []byte) ([]byte, error) { return insertBlock(content, b) }}
	e.beforeRename = func() {
		n++
		if err := os.WriteFile(path, []byte(strings.Repeat("#", n)), 0o644); err != nil {
			t.Error(err)
		}
	}
	if _, _, err := e.run(t.Context()); !errors.Is(err, errChanged) {
		t.Error(err)
	}
	only(t, path, "sentry.conf.py")
}

func TestWriteWaitsForTheLock(t *testing.T) {
	t.Parallel()
	path := conf(t, "a = 1\n")
	held := flock.New(path, flock.SetFlag(os.O_RDONLY))
	if err := held.Lock(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*lockPoll)
	defer cancel()
	if _, err := Write(ctx, path, block(t, "acme", 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), path, block(t, "acme", 1)); err != nil {
		t.Error(err)
	}
}

func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	path, want := conf(t, "a = 1\n"), map[string]bool{}
	var all sync.WaitGroup
	for id := 1; id <= 8; id++ {
		b := block(t, strings.Repeat("x", id), id)
		want["a = 1\n"+b.Marked()] = true
		all.Go(func() {
			if _, err := Write(t.Context(), path, b); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := read(t, path); !want[got] {
		t.Errorf("mixed content: %q", got)
	}
	only(t, path, "sentry.conf.py", "sentry.conf.py.before-silo")
}

func BenchmarkChoose(b *testing.B) {
	dir := b.TempDir()
	writeTree(b, dir, map[string]string{
		"src/sentry/types/region.py": region2211, "src/sentry/conf/server.py": strings.Repeat("# settings\n", 20000), "setup.cfg": "version = 22.11.0",
	})
	for b.Loop() {
		if _, err := Choose(b.Context(), "auto", Finder{Dir: dir, Env: os.LookupEnv, Command: []string{"sentry"}}); err != nil {
			b.Fatal(err)
		}
	}
}
