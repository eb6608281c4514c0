package sentry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"silo/proc"
)

// ErrNoProgram is returned, wrapped, for a command whose Sentry is not found.
var ErrNoProgram = errors.New("no Sentry was found")

// Finder finds the Sentry that a command runs. It only reads files, unless Choose
// calls Run.
type Finder struct {
	Dir     string   // the working directory of devservers; absolute
	Command []string // the command that starts a devserver
	Env     func(name string) (string, bool)
	// Run runs a program in a directory and returns its standard output. If it is
	// nil, no program is run.
	Run func(ctx context.Context, argv []string, dir string) ([]byte, error)
}

// Program is an installed Sentry.
type Program struct {
	Argv   []string // its command: sentry, or python -m sentry
	Python string   // its interpreter: absolute, or as the script names it
}

// IsSentry reports whether the command is Sentry's own, `sentry …` or `python -m
// sentry …`, whether or not the file exists.
func (f Finder) IsSentry() bool {
	if len(f.Command) == 0 {
		return false
	}
	name := filepath.Base(f.Command[0])
	return name == "sentry" ||
		len(f.Command) > 2 && isPython(name) && slices.Equal(f.Command[1:3], []string{"-m", "sentry"})
}

func isPython(file string) bool { return strings.HasPrefix(filepath.Base(file), "python") }

// Executable returns the file that the command runs, a sentry script or a Python.
// It returns false if the command is not Sentry's own or the file does not exist.
func (f Finder) Executable() (file string, ok bool) {
	if !f.IsSentry() {
		return "", false
	}
	return f.lookUp(f.Command[0])
}

// Python returns the interpreter of the Sentry that the command runs. It returns
// false in the same cases as Executable, and if the script names no Python.
func (f Finder) Python() (file string, ok bool) {
	executable, ok := f.Executable()
	if !ok {
		return "", false
	}
	program, err := f.program(executable)
	return program.Python, err == nil
}

// Program returns the Sentry that the command runs. For any other command, such as
// a script that runs devserver, it returns the Sentry of $VIRTUAL_ENV, Dir/.venv or
// Dir/venv, else the sentry in PATH. The error wraps ErrNoProgram, also for silo's
// own stand-in.
func (f Finder) Program() (Program, error) {
	if file, ok := f.Executable(); ok {
		return f.program(file)
	}
	if f.isStandIn() {
		return Program{}, fmt.Errorf("%w: %s is silo's stand-in for it", ErrNoProgram, strings.Join(f.Command, " "))
	}
	candidates := []string{"sentry"}
	for _, prefix := range slices.Backward(f.environments()) {
		candidates = slices.Insert(candidates, 0, filepath.Join(prefix, "bin", "sentry"))
	}
	for _, candidate := range candidates {
		if file, ok := f.lookUp(candidate); ok {
			return f.program(file)
		}
	}
	return Program{}, fmt.Errorf("%w by the command %q, in a virtual environment or in PATH", ErrNoProgram, strings.Join(f.Command, " "))
}

// isStandIn reports whether the command is silo's own stand-in for devserver.
func (f Finder) isStandIn() bool {
	return len(f.Command) > 1 && f.Command[1] == "devserver" && filepath.Base(f.Command[0]) == "silo"
}

// program is the Program of a sentry script or of a Python.
func (f Finder) program(file string) (Program, error) {
	if isPython(file) {
		return Program{Argv: []string{file, "-m", "sentry"}, Python: file}, nil
	}
	python, ok := f.interpreter(file)
	if !ok {
		return Program{}, fmt.Errorf("%w: %s names no Python that runs it", ErrNoProgram, file)
	}
	return Program{Argv: []string{file}, Python: python}, nil
}

// environments returns the virtual environments that may belong to the command.
func (f Finder) environments() []string {
	all := []string{filepath.Join(f.Dir, ".venv"), filepath.Join(f.Dir, "venv")}
	if active, ok := f.Env("VIRTUAL_ENV"); ok && active != "" {
		all = slices.Insert(all, 0, active)
	}
	return all
}

// lookUp resolves the name of a program as the command would.
func (f Finder) lookUp(name string) (string, bool) {
	path, _ := f.Env("PATH")
	file, err := proc.Find(name, f.Dir, []string{"PATH=" + path})
	return file, err == nil
}

// execLine is the second line of a script that pip generates if the path of Python is
// too long for the first one, or contains a space.
var execLine = regexp.MustCompile(`^'''exec' (?:"([^"]+)"|(\S+)) "\$0"`)

// interpreter returns the Python in the first lines of a script.
func (f Finder) interpreter(file string) (string, bool) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	lines := strings.SplitN(string(content[:min(len(content), 4096)]), "\n", 3)
	words, isScript := strings.CutPrefix(lines[0], "#!")
	fields := strings.Fields(words)
	if !isScript || len(fields) == 0 {
		return "", false
	}
	if len(lines) > 1 {
		if m := execLine.FindStringSubmatch(lines[1]); m != nil {
			return m[1] + m[2], true
		}
	}
	if filepath.Base(fields[0]) != "env" {
		return fields[0], isPython(fields[0])
	}
	for _, word := range fields[1:] {
		if !strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			return f.lookUp(word)
		}
	}
	return "", false
}
