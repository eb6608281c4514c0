package sentry

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"silo/templates"
)

// DatabaseSuffix is what the name of a silo's own database ends with, behind the
// name in the user's configuration and an underscore. What is too long for
// PostgreSQL, with more than 63 bytes, is cut and told apart by a hash.
func DatabaseSuffix(silo string) string { return strings.ReplaceAll(silo, "-", "_") }

// What is done to silos' own databases.
const (
	DatabaseInspect = "look"   // nothing
	DatabaseCreate  = "create" // what is missing is made, and marked as the silo's own
	DatabaseDrop    = "drop"   // what carries that mark is dropped, and nothing else
)

// Database is a silo's own database as Sentry's Python has found or left it.
type Database struct {
	Silo     string   `json:"silo"`
	Name     string   `json:"name"`
	Exists   bool     `json:"exists"`
	Comment  string   `json:"mark"`     // its comment
	Owned    bool     `json:"ours"`     // silo made it, for this silo of this instance
	Migrated bool     `json:"migrated"` // by look: a migration has been run on it
	Result   string   `json:"result"`   // created, present, dropped or absent
	Error    string   `json:"error"`    // what went wrong; else empty
	Upgrade  []string `json:"upgrade"`  // the flags that `sentry upgrade` is to have
}

// DatabaseArgv is the command that does what verb says to the databases of silos,
// by the configuration at path and in the environment of one of them. It makes no
// use of silo's block there. ParseDatabases reads what it prints.
func DatabaseArgv(p Program, verb, path, instance string, silos []string) ([]string, error) {
	text, err := databasesPart()
	if err != nil {
		return nil, err
	}
	suffixes := map[string]string{}
	for _, name := range silos {
		suffixes[name] = DatabaseSuffix(name)
	}
	task, err := json.Marshal(map[string]any{"verb": verb, "conf": path, "instance": instance, "silos": suffixes, "text": text})
	if err != nil {
		return nil, fmt.Errorf("say what to do with databases: %w", err)
	}
	return []string{p.Python, "-c", templates.Text("python/databases.py"), string(task)}, nil
}

// databasesPart returns the part of every region config that gives each silo a
// database of its own, which python/databases.py executes.
func databasesPart() (string, error) {
	return templates.Execute("databases", pythonFuncs, nil, guardTemplate)
}

// ParseDatabases reads what DatabaseArgv's command printed: one a silo, in no order.
func ParseDatabases(out []byte) ([]Database, error) {
	var all []Database
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		var d Database
		if err := json.Unmarshal(scan.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("read what Sentry's Python says of databases: %w", err)
		}
		all = append(all, d)
	}
	return all, nil
}

// overlay is a configuration that is another one, read from beside it, and then a
// region config.
const overlay = `# Written by silo for one migration; it is removed after it.
__file__ = %s
with open(%s, "rb") as _source:
    exec(compile(_source.read(), __file__, "exec"))
%s`

// Overlay writes a configuration of its own into the directory dir: the one at
// path, without the block that silo may have there, and then b. It returns what
// SENTRY_CONF is to be. A config.yml beside path counts for it, too.
func Overlay(dir, path string, b Block) (conf string, err error) {
	_, content, err := readResolved(path)
	if err != nil {
		return "", err
	}
	rest, _, err := removeBlock(content)
	if err != nil {
		return "", fmt.Errorf("read region config: %s: %w", path, err)
	}
	file, original := filepath.Join(dir, filepath.Base(path)), filepath.Join(dir, "original")
	text := fmt.Sprintf(overlay, pyString(path), pyString(original), b.Text())
	for name, data := range map[string][]byte{original: rest, file: []byte(text)} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			return "", fmt.Errorf("write a configuration for the migration: %w", err)
		}
	}
	options := filepath.Join(filepath.Dir(path), "config.yml")
	if _, err := os.Stat(options); err == nil {
		if err := os.Symlink(options, filepath.Join(dir, "config.yml")); err != nil && !errors.Is(err, fs.ErrExist) {
			return "", fmt.Errorf("write a configuration for the migration: %w", err)
		}
	}
	return confVariable(file), nil
}
