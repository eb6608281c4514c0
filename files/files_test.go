package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func TestRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	regular, fifo := filepath.Join(dir, "regular"), filepath.Join(dir, "fifo")
	if err := errors.Join(os.WriteFile(regular, []byte("12345"), 0o600), unix.Mkfifo(fifo, 0o600), os.Symlink(fifo, filepath.Join(dir, "link"))); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(regular); string(data) != "12345" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	if data, err := ReadUpTo(regular, 3); string(data) != "123" || err != nil {
		t.Errorf("got %q, %v", data, err)
	}
	for _, path := range []string{fifo, filepath.Join(dir, "link"), dir, "/dev/null"} {
		if _, err := Read(path); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := ReadUpTo(path, 1); !errors.Is(err, ErrNotRegular) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestWithinLeavesAHungReadBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		began := time.Now()
		_, err := Within("silo.toml", func() (int, error) { <-hung; return 1, nil })
		if !errors.Is(err, ErrNoAnswer) || err.Error() != "silo.toml: the file system does not answer within 3s" || time.Since(began) != timeout {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		close(hung)
	})
}
