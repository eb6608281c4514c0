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

// Errors from Find, Start, Foreground, Detach and Output for a program that cannot run.
var (
	ErrNotFound      = errors.New("command not found")
	ErrNotExecutable = errors.New("not an executable file")
)

// Find returns the file that Start would run for a program name: a name with a
// slash is relative to dir, any other name is looked up in the PATH of env, also
// relative to dir. Its errors wrap ErrNotFound or ErrNotExecutable and name the
// program.
func Find(name, dir string, env []string) (string, error) {
	file, err := find(name, dir, env)
	if err != nil {
		return "", fmt.Errorf("%q: %w", name, err)
	}
	return file, nil
}

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
		return path, executable(path)
	}
	notFound := fmt.Errorf("%w in PATH", ErrNotFound)
	for _, entry := range filepath.SplitList(variable(env, "PATH")) {
		path := within(dir, filepath.Join(entry, name))
		err := executable(path)
		if err == nil {
			return path, nil
		}
		if errors.Is(err, ErrNotExecutable) && !errors.Is(notFound, ErrNotExecutable) {
			notFound = err
		}
	}
	return "", notFound
}

// within makes path absolute, relative to dir, because the child would resolve it in its
// own working directory.
func within(dir, path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if absolute, err := filepath.Abs(path); err == nil {
		return absolute
	}
	return path
}

func executable(path string) error {
	info, err := os.Stat(path) //nolint:gosec // G703: finding the program that the user named is the purpose
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

// variable returns the value of a variable in an environment. The last occurrence counts.
func variable(env []string, name string) string {
	for _, entry := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// startError explains a kernel error for a program that was found.
func startError(cmd *exec.Cmd, name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// The file exists, so its interpreter is missing, as in a virtual environment
		// that has been moved.
		return fmt.Errorf("start %q: %w: the interpreter in the first line of %s does not exist", name, ErrNotExecutable, cmd.Path)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("start %q: %w: %s is neither a program for this system nor a script that begins with #! and an interpreter", name, ErrNotExecutable, cmd.Path)
	}
	return fmt.Errorf("start %q: %w", name, err)
}
