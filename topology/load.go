package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"silo/files"
)

const (
	// FileName is the default name of a topology file.
	FileName = "silo.toml"
	// LocalFileName is the file in the same directory whose settings, for one machine,
	// override those of the topology file.
	LocalFileName = "silo.local.toml"
)

// ErrNotFound is returned, wrapped, if no topology file is found.
var ErrNotFound = errors.New("no " + FileName)

// maxSize bounds a topology file, in bytes. 4,095 regions with every key are smaller.
const maxSize = 4 << 20

// Load reads the topology in file, and LocalFileName next to it. env looks up the
// environment variables that strings name, HOME and SENTRY_CONF; nil is an empty
// environment. The error is Problems if the file is invalid; otherwise it wraps the
// error of the file system.
//
// Load resolves symbolic links in the directory of file, but not in its last element: a
// linked topology belongs to the directory that contains the link, and each directory
// has only one path.
func Load(file string, env func(string) (string, bool)) (*Topology, error) {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	dir, err := files.Within(absolute, func() (string, error) { return filepath.EvalSymlinks(filepath.Dir(absolute)) })
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	absolute = filepath.Join(dir, filepath.Base(absolute))
	data, err := files.ReadUpTo(absolute, maxSize+1)
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	var local []byte
	if path := filepath.Join(dir, LocalFileName); path != absolute {
		local, err = files.ReadUpTo(path, maxSize+1)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read topology: %w", err)
		}
	}
	return Parse(absolute, data, local, env)
}

// Parse is like Load, but takes bytes: file is the path of the topology, to whose
// directory paths are relative, and local is nil if there is no LocalFileName. Parse
// reads the disk only for traffic policies, and to check whether sentry.config is a
// directory. The error is Problems.
func Parse(file string, data, local []byte, env func(string) (string, bool)) (*Topology, error) {
	if env == nil {
		env = func(string) (string, bool) { return "", false }
	}
	file, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("read topology: %w", err)
	}
	var found, warnings findings
	bom := []byte("\uFEFF")
	root := decode(&source{filepath.Base(file), 0, bytes.TrimPrefix(data, bom)}, &found)
	if local != nil {
		if over := decode(&source{LocalFileName, 1, bytes.TrimPrefix(local, bom)}, &found); root == nil || over == nil {
			root = nil
		} else {
			root = overlay(root, over)
		}
	}
	if root == nil {
		return nil, found.problems()
	}
	spec := keys()
	(&checker{spec: spec, env: env, found: &found, warnings: &warnings}).check(spec, root, "")
	topology := (&builder{file: file, env: env, root: root, found: &found, warnings: &warnings}).build()
	if len(found) > 0 {
		return nil, found.problems()
	}
	topology.Warnings = warnings.problems()
	return topology, nil
}
