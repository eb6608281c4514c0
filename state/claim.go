package state

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// Claim is a lock on the region config file, which only one running instance may write.
type Claim struct {
	lock *flock.Flock
}

// ClaimedError is returned if another running instance has claimed the file.
type ClaimedError struct {
	File   string
	Holder string // topology file of the other instance
}

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("%s belongs to the running instance of %s", e.File, e.Holder)
}

// Claim locks a file, given by its resolved path, until Release or the end of the
// process. It fails with a *ClaimedError if another instance has locked it.
func (d *Dir) Claim(ctx context.Context, file string) (*Claim, error) {
	path := d.claimPath(file)
	lock, err := lockFile(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("claim %s: %w", file, err)
	}
	if lock == nil {
		return nil, claimedError(path, file)
	}
	if err := os.WriteFile(path, []byte(d.Topology+"\n"), 0o600); err != nil {
		_ = lock.Unlock()
		return nil, fmt.Errorf("claim %s: %w", file, err)
	}
	return &Claim{lock: lock}, nil
}

// CheckClaim returns a *ClaimedError if another instance has claimed the file. It does not
// claim the file itself.
func (d *Dir) CheckClaim(file string) error {
	path := d.claimPath(file)
	locked, err := isLocked(path)
	if err != nil {
		return fmt.Errorf("check the claim of %s: %w", file, err)
	}
	if locked {
		return claimedError(path, file)
	}
	return nil
}

func (d *Dir) claimPath(file string) string {
	return filepath.Join(d.root, "claims", digest(file)[:16])
}

func claimedError(path, file string) error {
	holder, _ := os.ReadFile(path) // if it cannot be read, the error names no holder
	e := &ClaimedError{File: file, Holder: strings.TrimSpace(string(holder))}
	if e.Holder == "" {
		e.Holder = "another topology"
	}
	return e
}

// Release unlocks the file.
func (c *Claim) Release() error { return c.lock.Unlock() }
