package sentry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"

	"silo/files"
)

// ErrMissing is wrapped by the error about a sentry.conf.py that does not exist.
// `sentry init` creates one.
var ErrMissing = errors.New("no such file")

// File is a file that may contain a region config.
type File struct {
	Path      string // with every symbolic link resolved
	HasBlock  bool
	Block     Block // zero if the file has none
	Overrides []Override
}

// Change is the result of Write.
type Change struct {
	Changed  bool   // false: the file was up to date and was not written
	Replaced string // the other instance whose block was replaced, or empty
	Backup   string // the copy of the file without a block, if this call made it
}

// ReadFile reads the region config of a file. Errors wrap ErrMissing, ErrMarkers or
// an error of the file system.
func ReadFile(path string) (File, error) {
	resolved, content, err := readResolved(path)
	if err != nil {
		return File{}, err
	}
	l, err := parseLayout(content)
	if err != nil {
		return File{}, fmt.Errorf("read region config: %s: %w", path, err)
	}
	return File{Path: resolved, HasBlock: l.has, Block: l.block, Overrides: l.overrides(content)}, nil
}

// Write replaces silo's block in the file at path with b, or appends b if there is
// none. Every other byte, the file's mode and owner, and symbolic links in path stay
// unchanged. The file is replaced as a whole, under a lock, or not at all; a file that
// is up to date is not written. Before its first block, a copy of the file is made
// once, with the suffix ".before-silo".
//
// Write waits for the lock until ctx ends. Errors wrap ErrMissing, ErrMarkers or an
// error of the file system.
func Write(ctx context.Context, path string, b Block) (Change, error) {
	var replaced string
	e := fileEdit{path: path, backUp: true, change: func(content []byte) ([]byte, error) {
		l, err := parseLayout(content)
		if err != nil {
			return nil, err
		}
		if replaced = ""; l.block.Instance != b.Instance {
			replaced = l.block.Instance
		}
		return insertBlock(content, b)
	}}
	changed, backup, err := e.run(ctx)
	if err != nil {
		return Change{}, fmt.Errorf("write region config: %w", err)
	}
	if !changed {
		return Change{}, nil
	}
	return Change{Changed: true, Replaced: replaced, Backup: backup}, nil
}

// Remove removes silo's block from the file at path, which is then the same as
// before the block. It reports whether there was a block. See Write for its errors
// and guarantees.
func Remove(ctx context.Context, path string) (changed bool, err error) {
	e := fileEdit{path: path, change: func(content []byte) ([]byte, error) {
		rest, _, err := removeBlock(content)
		return rest, err
	}}
	if changed, _, err = e.run(ctx); err != nil {
		return false, fmt.Errorf("remove region config: %w", err)
	}
	return changed, nil
}

// Diff compares the file at path with the result of Write. It returns a unified
// diff, or true if the file is up to date.
func Diff(path string, b Block) (unified string, inStep bool, err error) {
	_, content, err := readResolved(path)
	if err != nil {
		return "", false, err
	}
	want, err := insertBlock(content, b)
	if err != nil {
		return "", false, fmt.Errorf("compare region config: %s: %w", path, err)
	}
	if bytes.Equal(content, want) {
		return "", true, nil
	}
	_, hunks, _ := bytes.Cut(diff.Diff(path, content, path+" (topology)", want), []byte("\n")) // without "diff old new"
	return string(hunks), false, nil
}

// readResolved reads the file that path leads to.
func readResolved(path string) (resolved string, content []byte, err error) {
	if resolved, err = resolveLinks(path); err == nil {
		content, err = files.Read(resolved)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("read region config: %s: %w", path, ErrMissing)
	case err != nil:
		return "", nil, fmt.Errorf("read region config: %w", err)
	}
	return resolved, content, nil
}

func resolveLinks(path string) (string, error) {
	return files.Within(path, func() (string, error) { return filepath.EvalSymlinks(path) })
}
