package scaffold

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/google/renameio/v2"

	"silo/files"
	"silo/topology"
)

func exists(file string) bool {
	_, err := os.Lstat(file)
	return err == nil
}

// hiddenBy returns the topology in a parent directory that a new file hides, or "".
func hiddenBy(file string) string {
	if filepath.Base(file) != topology.FileName || exists(file) {
		return ""
	}
	above, err := topology.Find(filepath.Dir(file), nil)
	if err != nil {
		return ""
	}
	return above
}

// keepOld copies a topology before it is overwritten, since databases contain its ids.
// It keeps all earlier copies: the first one may be handwritten.
func keepOld(file string) (note string, err error) {
	text, err := files.Read(file)
	if err != nil {
		return "", fmt.Errorf("keep the old topology: %w", err)
	}
	old := file + ".old"
	for n := 1; exists(old); n++ {
		if kept, err := os.ReadFile(old); err == nil && bytes.Equal(kept, text) {
			return "the old file is already kept as " + old, nil
		}
		old = file + ".old." + strconv.Itoa(n)
	}
	return "kept the old file as " + old, replaceFile(old, text, 0o600)
}

// writeSchema writes the JSON schema for editors next to a topology.
func writeSchema(file string) (note string, err error) {
	schema := filepath.Join(filepath.Dir(file), "silo.schema.json")
	return "wrote " + schema, replaceFile(schema, topology.Schema(), 0o644)
}

// replaceFile writes a file atomically and keeps a symbolic link to it. An
// existing file keeps its mode, unless the new mode is private.
func replaceFile(file string, data []byte, mode fs.FileMode) error {
	target := file
	if resolved, err := filepath.EvalSymlinks(file); err == nil {
		target = resolved
	}
	options := []renameio.Option{renameio.WithTempDir(filepath.Dir(target)), renameio.WithPermissions(mode)}
	if mode&0o077 != 0 {
		options = append(options, renameio.WithExistingPermissions())
	}
	pending, err := renameio.NewPendingFile(target, options...)
	if err == nil {
		_, err = pending.Write(data)
		if err == nil {
			err = pending.CloseAtomicallyReplace()
		}
		_ = pending.Cleanup() // no effect after the file has been replaced
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
