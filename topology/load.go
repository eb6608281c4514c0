package topology

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// FileName is what a topology file is called where nobody says otherwise.
	FileName = "silo.toml"
	// LocalFileName is the file beside it that is merged over it, for what is one
	// machine's alone.
	LocalFileName = "silo.local.toml"
)

// ErrNotFound says that there is no topology file where one was looked for.
var ErrNotFound = errors.New("no " + FileName)

// maxSize bounds a topology file, in bytes. 4,095 regions with every key written
// take less.
const maxSize = 4 << 20

// Load reads the topology in file and what stands in the LocalFileName beside it.
// env looks up environment variables: those that strings name, HOME and
// SENTRY_CONF; nil is an empty environment. The error is Problems where the file
// is invalid, and otherwise wraps what the file system said.
//
// A symbolic link as the last element of file is not resolved, those before it
// are: a linked topology belongs to the directory that it is linked into, and one
// place on disk has one name.
func Load(file string, env func(string) (string, bool)) (*Topology, error) {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(absolute))
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	absolute = filepath.Join(dir, filepath.Base(absolute))
	data, err := read(absolute)
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	var local []byte
	if beside := filepath.Join(dir, LocalFileName); beside != absolute {
		local, err = read(beside)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read topology: %w", err)
		}
	}
	return Parse(absolute, data, local, env)
}

// read reads a file whole, and one byte beyond maxSize of one that is too large.
func read(file string) (data []byte, err error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	return io.ReadAll(io.LimitReader(opened, maxSize+1))
}

// Parse is Load on bytes: file names the topology, its directory is what relative
// paths are relative to, local is nil where there is no LocalFileName. The disk is
// read only for what the topology itself names (a traffic policy, and whether
// sentry.config is a directory). The error is Problems.
func Parse(file string, data, local []byte, env func(string) (string, bool)) (*Topology, error) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	var found, warnings findings
	tree := plant(filepath.Base(file), data, local, &found)
	if tree == nil {
		return nil, found.problems()
	}
	spec := keys()
	(&checker{spec: spec, root: tree, env: env, found: &found, warnings: &warnings}).check(spec, tree)
	topology := (&builder{file: file, env: env, root: tree, spec: spec, found: &found, warnings: &warnings}).build()
	if len(found) > 0 {
		return nil, found.problems()
	}
	topology.Warnings = warnings.problems()
	return topology, nil
}

// plant grows one tree from both files; nil where either is not TOML.
func plant(name string, data, local []byte, found *findings) *node {
	tree, ok := growWithin(newSource(name, 0, data), found)
	if local != nil {
		over, well := growWithin(newSource(LocalFileName, 1, local), found)
		if ok = ok && well; ok {
			merge(tree, over)
		}
	}
	if !ok {
		return nil
	}
	return tree
}

func growWithin(src *source, found *findings) (*node, bool) {
	if len(src.data) > maxSize {
		found.add(place{src, 0}, "toml", fmt.Sprintf("is larger than %d MiB", maxSize>>20), "")
		return nil, false
	}
	return grow(src, found)
}
