package topology

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Find returns the absolute path of the topology file for a command started in
// dir: the file that SILO_FILE names (relative to dir), else the FileName in dir or
// in its nearest parent, up to and including the first directory that contains
// .git. env looks up environment variables; nil is an empty environment. The error
// wraps ErrNotFound if no file is found, and fs.ErrNotExist if SILO_FILE names a
// file that does not exist.
func Find(dir string, env func(string) (string, bool)) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find topology: %w", err)
	}
	if env != nil {
		if file, _ := env("SILO_FILE"); file != "" {
			return named(dir, file)
		}
	}
	for at := dir; ; at = filepath.Dir(at) {
		file := filepath.Join(at, FileName)
		info, err := os.Stat(file)
		switch {
		case err == nil && !info.IsDir():
			return file, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("find topology: %w", err)
		}
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil || at == filepath.Dir(at) {
			if dir == at {
				return "", fmt.Errorf("%w in %s", ErrNotFound, dir)
			}
			return "", fmt.Errorf("%w in %s or a parent, up to %s", ErrNotFound, dir, at)
		}
	}
}

func named(dir, file string) (string, error) {
	if !filepath.IsAbs(file) {
		file = filepath.Join(dir, file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return "", fmt.Errorf("find topology: SILO_FILE: %w", err)
	}
	if info.IsDir() {
		return "", fmt.Errorf("find topology: SILO_FILE: %s is a directory", file)
	}
	return filepath.Clean(file), nil
}
