package state

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func TestForget(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	d := dirOf(t, root, filepath.Join(root, "silo.toml"))
	if err := d.Forget(t.Context()); err != nil {
		t.Error("nothing to forget:", err)
	}
	running := dirOf(t, root, filepath.Join(root, "silo.toml"))
	if err := errors.Join(running.Acquire(t.Context()), running.SavePorts(map[string]int{"us": 1}), os.MkdirAll(filepath.Join(root, ".forgotten-x", "y"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget(t.Context()); !errors.Is(err, ErrRunning) {
		t.Error("forgot a running instance:", err)
	}
	if err := running.Release(); err != nil {
		t.Fatal(err)
	}
	if err := d.Forget(t.Context()); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(d.Path), "*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

// TestForgetRacesWithAcquire checks that a lock is never held on a file that Forget has
// removed, which would let two supervisors run.
func TestForgetRacesWithAcquire(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, "silo.toml")
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for range 25 {
				d := dirOf(t, root, file)
				if d.Acquire(t.Context()) != nil {
					continue // another worker has the lock
				}
				if !dirOf(t, root, file).Running() {
					t.Error("the lock is held, but not at its path")
				}
				_ = d.Release()
				_ = dirOf(t, root, file).Forget(t.Context())
			}
		})
	}
	workers.Wait()
}
