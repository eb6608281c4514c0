package sentry

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"silo/templates"
)

// DatabaseSuffix is the suffix of the name of a silo's own database, after the name
// in the user's configuration and an underscore. A name of more than 63 bytes, the
// limit of PostgreSQL, is shortened and ends in a hash.
func DatabaseSuffix(silo string) string { return strings.ReplaceAll(silo, "-", "_") }

// DatabaseVerb is an operation on databases.
type DatabaseVerb string

// The operations.
const (
	DatabaseInspect DatabaseVerb = "look"   // change nothing
	DatabaseCreate  DatabaseVerb = "create" // create missing databases, with a comment that marks them as silo's
	DatabaseDrop    DatabaseVerb = "drop"   // drop databases with that comment, and no others
	DatabaseRepair  DatabaseVerb = "repair" // give each organization of control that names no region To
)

// DatabaseTask is the input of DatabaseArgv.
type DatabaseTask struct {
	Verb     DatabaseVerb
	Config   string   // path of the configuration
	Instance string   // its key
	Silos    []string // with equal configurations
	Shared   bool     // the silos share the database of the configuration; only for Inspect and Repair
	Regions  []string // names of all regions
	To       string   // the region for DatabaseRepair
}

// Database is the state of a silo's database, after the operation.
type Database struct {
	Silo     string   `json:"silo"`
	Name     string   `json:"name"`
	Host     string   `json:"host"` // empty: a unix socket
	Port     string   `json:"port"` // empty: the default
	Exists   bool     `json:"exists"`
	Comment  string   `json:"mark"`     // its comment in PostgreSQL
	Owned    bool     `json:"ours"`     // silo created it, for this silo of this instance
	Migrated bool     `json:"migrated"` // a migration has been run on it; only set by DatabaseInspect
	Result   string   `json:"result"`   // created, present, dropped, absent or repaired
	Error    string   `json:"error"`    // may be empty
	Upgrade  []string `json:"upgrade"`  // flags for `sentry upgrade`

	Size    int64 `json:"size"`    // in bytes; only set by DatabaseInspect, as are the next three
	Pending int   `json:"pending"` // migrations that have not been applied
	// Unmapped counts control's organization mappings that name no region, by that name;
	// Reserved its slug reservations. DatabaseRepair sets what it changed.
	Unmapped map[string]int `json:"unmapped"`
	Reserved map[string]int `json:"reserved"`
}

// Local reports whether the database is on this machine.
func (d Database) Local() bool { return Service{Host: d.Host}.Local() }

// Server returns the address of the database's server.
func (d Database) Server() string {
	port, _ := strconv.Atoi(cmp.Or(d.Port, "5432"))
	return Service{Host: d.Host, Port: port}.Address()
}

// DatabaseArgv returns the command that performs an operation. It must run in the
// environment of one of the silos. It ignores silo's block in the configuration.
// ParseDatabases parses its output.
func DatabaseArgv(p Program, t DatabaseTask) ([]string, error) {
	text, err := databasesPart()
	if err != nil {
		return nil, err
	}
	suffixes := map[string]string{}
	for _, name := range t.Silos {
		suffixes[name] = ""
		if !t.Shared {
			suffixes[name] = DatabaseSuffix(name)
		}
	}
	task, err := json.Marshal(map[string]any{
		"verb": t.Verb, "conf": t.Config, "instance": t.Instance, "silos": suffixes, "text": text,
		"regions": t.Regions, "to": t.To,
	})
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

// Overlay writes a configuration into the directory dir: the one at path without its
// block, followed by b. It also links the config.yml next to path. It returns the value
// of SENTRY_CONF for the new configuration.
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
