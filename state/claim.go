package state

import (
	"context"
	"errors"
	"fmt"
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
	dir := filepath.Join(d.root, "claims")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of claims: %w", err)
	}
	path := filepath.Join(dir, digest(file)[:16])
	lock := flock.New(path, flock.SetPermissions(0o600))
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	held, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	if !held {
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("claim %s: %w", file, err)
		}
		holder, _ := os.ReadFile(path) // an unreadable one is named as unknown
		return nil, &ClaimedError{File: file, Holder: orUnknown(strings.TrimSpace(string(holder)))}
	}
	if err := os.WriteFile(path, []byte(d.Topology+"\n"), 0o600); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("claim %s: %w", file, err)
	}
	return &Claim{lock: lock}, nil
}

func orUnknown(s string) string {
	if s == "" {
		return "another topology"
	}
	return s
}

// Release gives the file free.
func (c *Claim) Release() error { return c.lock.Unlock() }
