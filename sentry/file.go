package sentry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pmezard/go-difflib/difflib"
)

// ErrMissing is wrapped by the error about a region config's file that is not
// there; `sentry init` makes one.
var ErrMissing = errors.New("no such file")

// File is a file that may hold a region config.
type File struct {
	Path     string // with every symbolic link resolved
	HasBlock bool
	Block    Block // what it holds; zero without a block
}

// Change is what Write did.
type Change struct {
	Changed  bool   // false: the file was in step, and was not touched
	Replaced string // the other instance whose block was there before, else empty
	Backup   string // the copy of the file as first found, if this call made it
}

// ReadFile looks at a region config's file. Errors wrap ErrMissing, ErrMarkers
// or what the file system says.
func ReadFile(path string) (File, error) {
	resolved, content, err := load(path)
	if err != nil {
		return File{}, err
	}
	found, err := lay(content)
	if err != nil {
		return File{}, fmt.Errorf("read region config: %s: %w", path, err)
	}
	f := File{Path: resolved, HasBlock: found.has}
	if found.has {
		f.Block = Block{Instance: found.instance, file: found.file, text: found.text}
	}
	return f, nil
}

// Write puts b into the file at path: in place of silo's block there, else at the
// end. Every other byte, the file's mode and owner, and symbolic links on the way
// to it stay as they are. The file is replaced whole, under a lock on it, or not
// at all; one that would not change is not touched. The file as it was before its
// first block is kept beside it, once, with ".before-silo" after its name.
//
// Write waits for the lock until ctx ends. Errors wrap ErrMissing, ErrMarkers or
// what the file system says.
func Write(ctx context.Context, path string, b Block) (Change, error) {
	var replaced string
	e := edit{path: path, backUp: true, change: func(content []byte) ([]byte, error) {
		found, err := lay(content)
		if err != nil {
			return nil, err
		}
		if replaced = ""; found.instance != b.Instance {
			replaced = found.instance
		}
		return place(content, b)
	}}
	changed, backup, err := e.do(ctx)
	if err != nil {
		return Change{}, fmt.Errorf("write region config: %w", err)
	}
	if !changed {
		return Change{}, nil
	}
	return Change{Changed: true, Replaced: replaced, Backup: backup}, nil
}

// Remove takes silo's block out of the file at path, so that it is again what it
// was without. False: there was none. It promises what Write does.
func Remove(ctx context.Context, path string) (changed bool, err error) {
	e := edit{path: path, change: func(content []byte) ([]byte, error) {
		rest, _, err := take(content)
		return rest, err
	}}
	if changed, _, err = e.do(ctx); err != nil {
		return false, fmt.Errorf("remove region config: %w", err)
	}
	return changed, nil
}

// Diff compares the file at path with what Write would make of it: in step, or a
// unified diff from the one to the other.
func Diff(path string, b Block) (diff string, inStep bool, err error) {
	_, content, err := load(path)
	if err != nil {
		return "", false, err
	}
	wanted, err := place(content, b)
	if err != nil {
		return "", false, fmt.Errorf("compare region config: %s: %w", path, err)
	}
	if bytes.Equal(content, wanted) {
		return "", true, nil
	}
	diff, err = difflib.GetUnifiedDiffString(difflib.UnifiedDiff{
		A: diffLines(content), B: diffLines(wanted),
		FromFile: path, ToFile: path + " (topology)", Context: 3,
	})
	if err != nil {
		return "", false, fmt.Errorf("compare region config: %s: %w", path, err)
	}
	return diff, false, nil
}

// diffLines are lines with their newlines; the last one gets the note that diff
// gives where it has none.
func diffLines(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	var all []string
	for line := range bytes.Lines(content) {
		all = append(all, string(line))
	}
	if content[len(content)-1] != '\n' {
		all[len(all)-1] += "\n\\ No newline at end of file\n"
	}
	return all
}

// load reads the file that path leads to.
func load(path string) (resolved string, content []byte, err error) {
	if resolved, err = filepath.EvalSymlinks(path); err == nil {
		content, err = os.ReadFile(resolved)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, fmt.Errorf("read region config: %s: %w", path, ErrMissing)
	case err != nil:
		return "", nil, fmt.Errorf("read region config: %w", err)
	}
	return resolved, content, nil
}
