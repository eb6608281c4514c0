package state

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lockWait is how long to wait for a lock, because isLocked takes it briefly.
const lockWait = 300 * time.Millisecond

// lockFile creates and locks a file until Unlock or the end of the process. It returns nil
// if another process has the lock.
func lockFile(ctx context.Context, path string) (*flock.Flock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		lock := flock.New(path, flock.SetPermissions(0o600))
		held, err := lock.TryLockContext(ctx, 10*time.Millisecond)
		switch {
		case err != nil && !errors.Is(err, context.DeadlineExceeded):
			return lock, err
		case !held:
			return nil, nil
		case isAt(lock, path):
			return lock, nil
		}
		// Forget removed the file after it was opened, so the lock is on a file that no
		// other process can find.
		if err := errors.Join(lock.Unlock(), os.MkdirAll(filepath.Dir(path), 0o700)); err != nil {
			return nil, err
		}
	}
}

// isAt reports whether the locked file is still the one at path.
func isAt(lock *flock.Flock, path string) bool {
	locked, err := lock.Stat()
	if err != nil {
		return false
	}
	current, err := os.Stat(path)
	return err == nil && os.SameFile(locked, current)
}

// isLocked reports whether a process has locked a file. It does not create the file.
func isLocked(path string) (bool, error) {
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	free, err := lock.TryRLock()
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if free {
		err = lock.Unlock()
	}
	return !free && err == nil, err
}
