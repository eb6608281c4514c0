package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// ErrDatabasesBusy says that another process is at work on the instance's databases.
var ErrDatabasesBusy = errors.New("another silo db is at work on these databases")

// LockDatabases takes the right to change the silos' own databases, which ends with
// this process at the latest, or fails with ErrDatabasesBusy. It is apart from the
// instance's lock: silos may run meanwhile.
func (d *Dir) LockDatabases() (release func() error, err error) {
	if err := os.MkdirAll(d.Databases(), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of databases' work: %w", err)
	}
	lock := flock.New(filepath.Join(d.Path, "databases.lock"), flock.SetPermissions(0o600))
	held, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock the databases of %s: %w", d.Path, err)
	case !held:
		return nil, ErrDatabasesBusy
	}
	return lock.Unlock, nil
}

// Databases is the directory of what work on databases needs, and of what it said.
func (d *Dir) Databases() string { return filepath.Join(d.Path, "databases") }
