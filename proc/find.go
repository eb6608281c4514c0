package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// What Start, Foreground, Detach and Output say of a program that cannot be run.
var (
	ErrNotFound      = errors.New("command not found")
	ErrNotExecutable = errors.New("not an executable file")
)

// Find tells whether Start would find a program: by the PATH of env, and from
// dir. Its errors wrap ErrNotFound or ErrNotExecutable and name the program.
func Find(name, dir string, env []string) error {
	if _, err := find(name, dir, env); err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	return nil
}

// find resolves a program as the child itself would: by the PATH of the child's
// environment, and from the child's directory.
func find(name, dir string, env []string) (string, error) {
	if dir != "" {
		if info, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("working directory: %w", err)
		} else if !info.IsDir() {
			return "", fmt.Errorf("working directory: %s is not a directory", dir)
		}
	}
	if strings.Contains(name, "/") {
		path := within(dir, name)
		return path, runnable(path)
	}
	var refused error
	for _, folder := range filepath.SplitList(last(env, "PATH")) {
		path := within(dir, filepath.Join(folder, name))
		err := runnable(path)
		if err == nil {
			return path, nil
		}
		if errors.Is(err, ErrNotExecutable) && refused == nil {
			refused = err
		}
	}
	if refused != nil {
		return "", refused
	}
	return "", fmt.Errorf("%w in PATH", ErrNotFound)
}

func within(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	if dir != "" {
		path = filepath.Join(dir, path)
	}
	// Absolute, since the child resolves it from its own directory.
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func runnable(path string) error {
	info, err := os.Stat(path) //nolint:gosec // G703: to find the program that the user named is the purpose
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: no such file: %s", ErrNotFound, path)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case !info.Mode().IsRegular(), unix.Access(path, unix.X_OK) != nil:
		return fmt.Errorf("%w: %s", ErrNotExecutable, path)
	}
	return nil
}

// last is the value that counts of a key in an environment.
func last(env []string, key string) string {
	for _, entry := range slices.Backward(env) {
		if name, value, ok := strings.Cut(entry, "="); ok && name == key {
			return value
		}
	}
	return ""
}

// startError words what the kernel said of a program that was found.
func startError(cmd *exec.Cmd, name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// The file was there a moment ago: it is what its first line names that is
		// missing, as in a virtual environment that has been moved.
		return fmt.Errorf("start %q: %w: the interpreter that %s names in its first line is missing", name, ErrNotExecutable, cmd.Path)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("start %q: %w: %s is neither a program of this system nor a script whose first line begins with #! and names its interpreter", name, ErrNotExecutable, cmd.Path)
	}
	return fmt.Errorf("start %q: %w", name, err)
}
