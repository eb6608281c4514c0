package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrDatabasesBusy is returned if another process changes the instance's databases.
var ErrDatabasesBusy = errors.New("another silo db command is running for these databases")

// LockDatabases locks the silos' own databases for changes, until release is called or
// this process ends. It fails with ErrDatabasesBusy if another process has the lock.
// Silos may run during that time: the instance has a separate lock.
func (d *Dir) LockDatabases() (release func() error, err error) {
	if err := os.MkdirAll(d.Databases(), 0o700); err != nil {
		return nil, fmt.Errorf("create the directory of databases: %w", err)
	}
	lock, err := lockFile(context.Background(), filepath.Join(d.Path, "databases.lock"))
	if err != nil {
		return nil, fmt.Errorf("lock the databases: %w", err)
	}
	if lock == nil {
		return nil, ErrDatabasesBusy
	}
	return lock.Unlock, nil
}

// Databases returns the directory for the files and logs of database commands.
func (d *Dir) Databases() string { return filepath.Join(d.Path, "databases") }
