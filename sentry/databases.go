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

// DatabaseSuffix is the suffix of the name of a silo's own database, after the name
// in the user's configuration and an underscore. A name of more than 63 bytes, the
// limit of PostgreSQL, is shortened and ends in a hash.
func DatabaseSuffix(silo string) string { return strings.ReplaceAll(silo, "-", "_") }

// The operations of DatabaseArgv.
const (
	DatabaseInspect = "look"   // change nothing
	DatabaseCreate  = "create" // create missing databases, with a comment that marks them as silo's
	DatabaseDrop    = "drop"   // drop databases with that comment, and no others
)

// Database is the state of a silo's own database, after the operation.
type Database struct {
	Silo     string   `json:"silo"`
	Name     string   `json:"name"`
	Exists   bool     `json:"exists"`
	Comment  string   `json:"mark"`     // its comment in PostgreSQL
	Owned    bool     `json:"ours"`     // created by silo for this silo of this instance
	Migrated bool     `json:"migrated"` // a migration has been run on it; only set by DatabaseInspect
	Result   string   `json:"result"`   // created, present, dropped or absent
	Error    string   `json:"error"`    // may be empty
	Upgrade  []string `json:"upgrade"`  // flags for `sentry upgrade`
}

// DatabaseArgv returns the command that performs an operation on the databases of
// silos, with the configuration at path. It must run in the environment of one of the
// silos. It ignores silo's block in the configuration. ParseDatabases parses its
// output.
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
		return nil, fmt.Errorf("encode database task: %w", err)
	}
	return []string{p.Python, "-c", templates.Text("python/databases.py"), string(task)}, nil
}

// databasesPart is the part of every region config that gives each silo its own
// database. python/databases.py executes it.
func databasesPart() (string, error) {
	return templates.Execute("databases", pythonFuncs, nil, guardTemplate)
}

// ParseDatabases parses the output of DatabaseArgv's command: one line for each silo, in
// any order.
func ParseDatabases(out []byte) ([]Database, error) {
	var all []Database
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		var d Database
		if err := json.Unmarshal(scan.Bytes(), &d); err != nil {
			return nil, fmt.Errorf("parse the databases from Sentry's Python: %w", err)
		}
		all = append(all, d)
	}
	return all, nil
}

// overlay is a configuration that executes a copy of another one, and then a region
// config.
const overlay = `# Written by silo for one migration; it is removed after it.
__file__ = %s
with open(%s, "rb") as _source:
    exec(compile(_source.read(), __file__, "exec"))
%s`

// Overlay writes a configuration into the directory dir: the one at path without its block,
// followed by b. It also links the config.yml of that configuration. It returns the value of
// SENTRY_CONF for the new one.
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
