package sentry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

const (
	// lockPoll is how often a lock that somebody holds is tried again.
	lockPoll = 20 * time.Millisecond
	// rounds bounds how often an edit begins anew because the file changed under
	// it.
	rounds = 50
	// specialMode are all mode bits that a file may carry.
	specialMode = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

	backupSuffix = ".before-silo"
)

// edit is one careful change of one file.
type edit struct {
	path   string
	change func(content []byte) ([]byte, error)
	backUp bool
	// beforeRename, if set, is called between the last write of the new file and
	// the last look at the old one.
	beforeRename func()
}

// errMoved says that the file is not the one any more that was read.
var errMoved = errors.New("changed meanwhile")

// do carries the edit out, anew as long as somebody else changes the file.
func (e edit) do(ctx context.Context) (changed bool, backup string, err error) {
	for range rounds {
		changed, backup, err = e.round(ctx)
		if !errors.Is(err, errMoved) {
			return changed, backup, err
		}
	}
	return false, "", fmt.Errorf("%s: somebody keeps changing it: %w", e.path, err)
}

// round is one attempt, from lock to unlock.
func (e edit) round(ctx context.Context) (changed bool, backup string, err error) {
	resolved, err := resolve(e.path)
	if err != nil {
		return false, "", err
	}
	lock := flock.New(resolved, flock.SetFlag(os.O_RDONLY))
	if _, err := lock.TryLockContext(ctx, lockPoll); errors.Is(err, fs.ErrNotExist) {
		return false, "", fmt.Errorf("%s: %w", resolved, errMoved)
	} else if err != nil {
		return false, "", fmt.Errorf("lock %s: %w", resolved, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	was, err := current(lock, resolved)
	if err != nil {
		return false, "", err
	}
	content, err := os.ReadFile(resolved)
	if err != nil {
		return false, "", err
	}
	next, err := e.change(content)
	if err != nil {
		return false, "", fmt.Errorf("%s: %w", e.path, err)
	}
	if bytes.Equal(content, next) {
		return false, "", nil
	}
	return e.replace(resolved, was, content, next)
}

// replace puts next in content's place, after a backup where one is due.
func (e edit) replace(resolved string, was fs.FileInfo, content, next []byte) (changed bool, backup string, err error) {
	if found, err := lay(content); err == nil && !found.has && e.backUp {
		if backup, err = keepFirst(resolved, was, content); err != nil {
			return false, "", err
		}
	}
	err = write(resolved, was, next, func() error {
		if e.beforeRename != nil {
			e.beforeRename()
		}
		return unchanged(resolved, was, content)
	})
	if err != nil && backup != "" {
		err = errors.Join(err, os.Remove(backup)) // as if this had never been
	}
	if err != nil {
		return false, "", err
	}
	return true, backup, nil
}

// resolve follows the symbolic links of path to a regular file.
func resolve(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", path, ErrMissing)
	}
	if err != nil {
		return "", err
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", resolved)
	}
	return resolved, nil
}

// current makes sure that the file which is locked is still the one at the path:
// whoever held the lock before may have renamed another one there.
func current(lock *flock.Flock, resolved string) (fs.FileInfo, error) {
	locked, err := lock.Stat()
	if err != nil {
		return nil, err
	}
	there, err := os.Lstat(resolved)
	if err != nil || !os.SameFile(locked, there) {
		return nil, fmt.Errorf("%s: %w", resolved, errMoved)
	}
	return there, nil
}

// unchanged looks once more at what is about to be replaced. Editors take no
// lock.
func unchanged(resolved string, was fs.FileInfo, content []byte) error {
	now, err := os.Lstat(resolved)
	if err != nil || !os.SameFile(was, now) || now.Mode() != was.Mode() {
		return fmt.Errorf("%s: %w", resolved, errMoved)
	}
	again, err := os.ReadFile(resolved)
	if err != nil {
		return err
	}
	if !bytes.Equal(content, again) {
		return fmt.Errorf("%s: %w", resolved, errMoved)
	}
	return nil
}

// keepFirst keeps the file as it was found first. An earlier backup stays.
func keepFirst(resolved string, was fs.FileInfo, content []byte) (string, error) {
	backup := resolved + backupSuffix
	if _, err := os.Lstat(backup); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := write(backup, was, content, func() error { return nil }); err != nil {
		return "", fmt.Errorf("keep a copy: %w", err)
	}
	return backup, nil
}

// write makes path a file of like's mode and owner with the given content: a
// sibling is written, synced and renamed, and the directory synced. ready is asked
// last before the rename. After any error path is as it was, and nothing is left
// beside it.
func write(path string, like fs.FileInfo, content []byte, ready func() error) (err error) {
	dir := filepath.Dir(path)
	sibling, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sibling.Cleanup()) }()
	if _, err := sibling.Write(content); err != nil {
		return err
	}
	if err := keepOwner(sibling.File, like); err != nil {
		return fmt.Errorf("keep the owner of %s: %w", path, err)
	}
	if err := sibling.Chmod(like.Mode() & specialMode); err != nil { // after the owner, which clears bits
		return fmt.Errorf("keep the mode of %s: %w", path, err)
	}
	if err := sibling.Sync(); err != nil { // here already, so that little time passes after ready
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	if err := sibling.CloseAtomicallyReplace(); err != nil {
		return err
	}
	_ = syncDir(dir) // the file is replaced; some network file systems cannot sync a directory
	return nil
}

// syncDir makes a rename in dir last through a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
