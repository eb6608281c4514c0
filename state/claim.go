package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// Claim is one running instance's hold on a file that two instances must not
// write at once: the region config's.
type Claim struct {
	lock *flock.Flock
}

// ClaimedError says that a running instance holds the file.
type ClaimedError struct {
	File   string // what was to be claimed
	Holder string // the topology file of the instance that holds it
}

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("%s belongs to the running instance of %s", e.File, e.Holder)
}

// Claim takes a file, named by its resolved path, for this instance until
// Release or the end of the process. Another live claim is a *ClaimedError.
func (d *Dir) Claim(ctx context.Context, file string) (*Claim, error) {
	path := d.claimPath(file)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of claims: %w", err)
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	held, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	if !held {
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("claim %s: %w", file, err)
		}
		return nil, claimed(path, file)
	}
	if err := os.WriteFile(path, []byte(d.Topology+"\n"), 0o600); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("claim %s: %w", file, err)
	}
	return &Claim{lock: lock}, nil
}

// CheckClaim is a *ClaimedError where Claim would fail with one now; other errors are
// of the file system. It leaves nothing behind.
func (d *Dir) CheckClaim(file string) error {
	path := d.claimPath(file)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil // nobody has ever claimed it
	}
	lock := flock.New(path, flock.SetPermissions(0o600))
	free, err := lock.TryRLock()
	switch {
	case err != nil:
		return fmt.Errorf("look who has claimed %s: %w", file, err)
	case !free:
		return claimed(path, file)
	}
	return lock.Unlock()
}

func (d *Dir) claimPath(file string) string {
	return filepath.Join(d.root, "claims", digest(file)[:16])
}

func claimed(path, file string) error {
	holder, _ := os.ReadFile(path) // an unreadable one is named as unknown
	e := &ClaimedError{File: file, Holder: strings.TrimSpace(string(holder))}
	if e.Holder == "" {
		e.Holder = "another topology"
	}
	return e
}

// Release gives the file free.
func (c *Claim) Release() error { return c.lock.Unlock() }
