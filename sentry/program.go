package sentry

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// program is the file that runs Sentry for the command: a sentry script, or a
// Python that is told -m sentry. No file for any other command.
func (l Finder) program() (string, bool) {
	if !l.IsSentry() {
		return "", false
	}
	return l.find(l.Command[0])
}

// find resolves a program's name as the kernel and a shell do: a name with a
// slash is relative to Dir, one without is looked up in PATH.
func (l Finder) find(name string) (string, bool) {
	if strings.ContainsRune(name, '/') {
		if !filepath.IsAbs(name) {
			name = filepath.Join(l.Dir, name)
		}
		return name, executable(name)
	}
	path, _ := l.Env("PATH")
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue // a program from the working directory is refused by os/exec, too
		}
		if file := filepath.Join(dir, name); executable(file) {
			return file, true
		}
	}
	return "", false
}

func executable(file string) bool {
	info, err := os.Stat(file)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// ofProgram reads the Sentry that a program imports. The directory of the
// interpreter counts as it is written: a virtual environment's python is a link
// to one outside of it.
func ofProgram(file string, find func(string) (string, bool)) (source, bool) {
	candidates := []string{file}
	if interpreter, ok := interpreter(file, find); ok {
		candidates = slices.Insert(candidates, 0, interpreter)
	}
	if target, err := filepath.EvalSymlinks(file); err == nil && target != file {
		candidates = append(candidates, target)
	}
	for _, candidate := range candidates {
		if s, ok := ofPrefix(filepath.Dir(filepath.Dir(candidate))); ok {
			return s, true
		}
	}
	return source{}, false
}

// pip writes a shell line where the path of Python is too long, or has a space,
// for an interpreter line.
var execLine = regexp.MustCompile(`^'''exec' (?:"([^"]+)"|(\S+)) "\$0"`)

// interpreter is the Python in the first lines of a script.
func interpreter(file string, find func(string) (string, bool)) (string, bool) {
	f, err := os.Open(file)
	if err != nil {
		return "", false
	}
	defer func() { _ = f.Close() }() // only read
	scan := bufio.NewReader(io.LimitReader(f, 4096))
	first, err := scan.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", false
	}
	words, isScript := strings.CutPrefix(strings.TrimSpace(first), "#!")
	if !isScript {
		return "", false
	}
	second, _ := scan.ReadString('\n') // absent in a script of one line
	if m := execLine.FindStringSubmatch(second); m != nil {
		return m[1] + m[2], true
	}
	fields := strings.Fields(words)
	if len(fields) == 0 {
		return "", false
	}
	if filepath.Base(fields[0]) == "env" {
		fields = slices.DeleteFunc(fields[1:], func(word string) bool { return strings.HasPrefix(word, "-") || strings.Contains(word, "=") })
		if len(fields) == 0 {
			return "", false
		}
		return find(fields[0])
	}
	return fields[0], strings.HasPrefix(filepath.Base(fields[0]), "python")
}
