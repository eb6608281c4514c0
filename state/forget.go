package state

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// forgotten is the prefix of the name of a directory that Forget is removing.
const forgotten = ".forgotten-"

// Forget removes the directory of an instance that does not run: its snapshot, logs,
// remembered ports and secrets. It fails with ErrRunning if the instance runs, and does
// nothing if there is no directory. The directory is renamed first, so that a process that
// is killed meanwhile leaves no half of an instance; the next Forget removes the rest.
func (d *Dir) Forget(ctx context.Context) error {
	if _, err := os.Stat(d.Path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.Acquire(ctx); err != nil {
		return err
	}
	defer func() { _ = d.Release() }() // the file is gone
	unlock, err := d.LockDatabases()   //nolint:contextcheck // does not wait
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }() // the file is gone
	root := filepath.Dir(d.Path)
	hidden, err := os.MkdirTemp(root, forgotten)
	if err == nil {
		err = os.Rename(d.Path, filepath.Join(hidden, d.Key))
	}
	if err != nil {
		return fmt.Errorf("forget the instance: %w", err)
	}
	all, err := filepath.Glob(filepath.Join(root, forgotten+"*"))
	for _, path := range all {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}
