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

	"silo/files"
)

const (
	// lockPoll is the interval between attempts to take the lock.
	lockPoll = 20 * time.Millisecond
	// maxAttempts bounds how often an edit is retried because the file changed.
	maxAttempts = 50
	// modeBits are all mode bits of a file.
	modeBits = fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky

	backupSuffix = ".before-silo"
)

// fileEdit is one atomic change of one file.
type fileEdit struct {
	path   string
	change func(content []byte) ([]byte, error)
	backUp bool
	// beforeRename, if set, is called after the new file is written and before the last
	// comparison of the old one.
	beforeRename func()
}

// errChanged means that the file was changed or replaced since it was read.
var errChanged = errors.New("changed meanwhile")

// run makes the edit, and retries while another program changes the file.
func (e fileEdit) run(ctx context.Context) (changed bool, backup string, err error) {
	for range maxAttempts {
		changed, backup, err = e.attempt(ctx)
		if !errors.Is(err, errChanged) {
			return changed, backup, err
		}
	}
	return false, "", fmt.Errorf("%s: another program keeps changing it: %w", e.path, err)
}

// attempt is one attempt, from lock to unlock.
func (e fileEdit) attempt(ctx context.Context) (changed bool, backup string, err error) {
	resolved, err := resolve(e.path)
	if err != nil {
		return false, "", err
	}
	lock := flock.New(resolved, flock.SetFlag(os.O_RDONLY))
	if _, err := lock.TryLockContext(ctx, lockPoll); errors.Is(err, fs.ErrNotExist) {
		return false, "", fmt.Errorf("%s: %w", resolved, errChanged)
	} else if err != nil {
		return false, "", fmt.Errorf("lock %s: %w", resolved, err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	// The previous holder of the lock may have renamed another file to this path.
	was, err := lock.Stat()
	if err != nil {
		return false, "", err
	}
	content, err := files.Read(resolved)
	if err != nil {
		return false, "", err
	}
	if err := compareFile(resolved, was, content); err != nil {
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

// replace writes next over content, after a backup if the file has no block yet.
func (e fileEdit) replace(resolved string, was fs.FileInfo, content, next []byte) (changed bool, backup string, err error) {
	if l, err := parseLayout(content); err == nil && !l.has && e.backUp {
		if backup, err = backUp(resolved, was, content); err != nil {
			return false, "", err
		}
	}
	err = writeFile(resolved, was, next, func() error {
		if e.beforeRename != nil {
			e.beforeRename()
		}
		return compareFile(resolved, was, content) // editors do not take the lock
	})
	if err != nil && backup != "" {
		err = errors.Join(err, os.Remove(backup))
	}
	if err != nil {
		return false, "", err
	}
	return true, backup, nil
}

// resolve follows the symbolic links in path to a regular file.
func resolve(path string) (string, error) {
	resolved, err := resolveLinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w", path, ErrMissing)
	}
	if err != nil {
		return "", err
	}
	info, err := files.Within(path, func() (fs.FileInfo, error) { return os.Stat(resolved) })
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", resolved)
	}
	return resolved, nil
}

// compareFile returns errChanged, wrapped, unless the file at a path is still the
// same, with the same mode and content.
func compareFile(path string, was fs.FileInfo, content []byte) error {
	now, err := os.Lstat(path)
	if err != nil || !os.SameFile(was, now) || now.Mode() != was.Mode() {
		return fmt.Errorf("%s: %w", path, errChanged)
	}
	again, err := files.Read(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(content, again) {
		return fmt.Errorf("%s: %w", path, errChanged)
	}
	return nil
}

// backUp copies the file, unless a backup exists.
func backUp(resolved string, was fs.FileInfo, content []byte) (string, error) {
	backup := resolved + backupSuffix
	if _, err := os.Lstat(backup); !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := writeFile(backup, was, content, func() error { return nil }); err != nil {
		return "", fmt.Errorf("back up: %w", err)
	}
	return backup, nil
}

// writeFile replaces path with a file of like's mode and owner: it writes and syncs
// a temporary file in the same directory, calls check, renames the file, and syncs
// the directory. After an error path is unchanged and the temporary file is removed.
func writeFile(path string, like fs.FileInfo, content []byte, check func() error) (err error) {
	dir := filepath.Dir(path)
	file, err := renameio.NewPendingFile(path, renameio.WithTempDir(dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Cleanup()) }()
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := copyOwner(file.File, like); err != nil {
		return fmt.Errorf("keep the owner of %s: %w", path, err)
	}
	if err := file.Chmod(like.Mode() & modeBits); err != nil { // after chown, which clears bits
		return fmt.Errorf("keep the mode of %s: %w", path, err)
	}
	if err := file.Sync(); err != nil { // before check, so that the rename follows immediately
		return err
	}
	if err := check(); err != nil {
		return err
	}
	if err := file.CloseAtomicallyReplace(); err != nil {
		return err
	}
	if d, err := os.Open(dir); err == nil {
		_ = errors.Join(d.Sync(), d.Close()) // the file is replaced; some network file systems cannot sync a directory
	}
	return nil
}
