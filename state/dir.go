package state

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// maxSocketPath is the longest path that is safe for a socket. The kernel's limit, which
// includes the final NUL, is 104 bytes on macOS and 108 on Linux.
const maxSocketPath = 100

// ErrRunning is returned if another process holds the instance's lock.
var ErrRunning = errors.New("the instance is already running")

// Dir is the state directory of one instance. Acquire creates it on disk.
type Dir struct {
	Path     string // ROOT/KEY
	Key      string // identifies the instance; SILO_INSTANCE
	Topology string // absolute path of the topology file
	Socket   string // path of the control socket, which may not exist

	root string
	lock *flock.Flock
}

// Lookup looks up an environment variable, as os.LookupEnv does.
type Lookup func(string) (string, bool)

// Root returns the directory that contains every instance's Dir: $SILO_STATE_DIR, else
// $XDG_STATE_HOME/silo, else ~/.local/state/silo, also on macOS.
func Root(env Lookup) (string, error) {
	if dir, ok := env("SILO_STATE_DIR"); ok && dir != "" {
		return filepath.Abs(dir)
	}
	if dir, ok := env("XDG_STATE_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "silo"), nil
	}
	home, ok := env("HOME")
	if !ok || home == "" {
		return "", errors.New("no HOME in the environment: set SILO_STATE_DIR")
	}
	return filepath.Join(home, ".local", "state", "silo"), nil
}

// DirFor returns the Dir of the instance of a topology file, given by its absolute path.
// Symbolic links to the same file give the same instance. It does not touch the disk.
func DirFor(env Lookup, file string) (*Dir, error) {
	root, err := Root(env)
	if err != nil {
		return nil, err
	}
	if resolved, err := filepath.EvalSymlinks(file); err == nil {
		file = resolved
	}
	key := label(filepath.Base(filepath.Dir(file))) + "-" + digest(file)[:10]
	d := &Dir{Path: filepath.Join(root, key), Key: key, Topology: file, root: root}
	d.Socket = socketPath(env, d.Path)
	return d, nil
}

// label turns a directory's name into a part of a file name and an identifier.
func label(name string) string {
	name = strings.Trim(notLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
	return cmp.Or(name[:min(len(name), 24)], "silo")
}

var notLabel = regexp.MustCompile(`[^a-z0-9-]`)

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func socketPath(env Lookup, dir string) string {
	name := digest(dir)[:16] + ".sock"
	if runtime, ok := env("XDG_RUNTIME_DIR"); ok && filepath.IsAbs(runtime) {
		if path := filepath.Join(runtime, "silo", name); len(path) <= maxSocketPath {
			return path
		}
	}
	return filepath.Join("/tmp", "silo-"+strconv.Itoa(os.Getuid()), name)
}

// MakeSocketDir creates the socket's directory, denies access to other users, and fails
// if another user owns it.
func (d *Dir) MakeSocketDir() error {
	dir := filepath.Dir(d.Socket)
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = takeOver(dir)
	}
	if err != nil {
		return fmt.Errorf("create the control socket's directory %s: %w", dir, err)
	}
	return nil
}

// takeOver makes a directory accessible only to this user. Only the owner may change owner
// and mode, so it fails for a directory that another user created in a shared /tmp.
func takeOver(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is not a directory")
	}
	if err := os.Lchown(dir, os.Getuid(), -1); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a directory needs its x bit
}

// Acquire creates the directory and locks it, or fails with ErrRunning. The kernel
// releases the lock when this process ends. Acquire also removes temporary files that a
// killed process left.
func (d *Dir) Acquire(ctx context.Context) error {
	lock, err := lockFile(ctx, filepath.Join(d.Path, "lock"))
	if err != nil {
		return fmt.Errorf("lock the state directory: %w", err)
	}
	if lock == nil {
		return ErrRunning
	}
	d.lock = lock
	d.removeTempFiles()
	d.removeHolder()
	return nil
}

// removeTempFiles removes temporary files of killed processes, which may contain
// secrets. The caller must hold the lock, so that no write is under way.
func (d *Dir) removeTempFiles() {
	entries, _ := os.ReadDir(d.Path) // the next run tries again
	for _, entry := range entries {
		if temporary, _ := filepath.Match(".*.json[0-9]*", entry.Name()); temporary { // renameio's names
			_ = os.Remove(filepath.Join(d.Path, entry.Name()))
		}
	}
}

// Release releases the lock. It does nothing if the lock is not held.
func (d *Dir) Release() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	d.removeHolder()
	return lock.Unlock()
}

// Running reports whether a process holds the instance's lock. The lock file may exist
// without being locked.
func (d *Dir) Running() bool {
	locked, err := isLocked(filepath.Join(d.Path, "lock"))
	return locked && err == nil
}

// Marker identifies this instance's processes. Instances of one topology under different
// state roots have different markers.
func (d *Dir) Marker() string { return digest(d.Path)[:16] }

// Logs returns the directory of the silos' log files.
func (d *Dir) Logs() string { return filepath.Join(d.Path, "logs") }

// SupervisorLog returns the path of a detached supervisor's own log.
func (d *Dir) SupervisorLog() string { return filepath.Join(d.Path, "supervisor.log") }

// Save replaces the saved snapshot atomically.
func (d *Dir) Save(s *Snapshot) error { return d.saveJSON("snapshot.json", s) }

// SaveLast saves the last snapshot of a run. If the disk is full, it deletes the
// outdated snapshot first; if that does not help, no snapshot remains, as before the
// first run.
func (d *Dir) SaveLast(s *Snapshot) error {
	err := d.Save(s)
	if err == nil {
		return nil
	}
	if removed := os.Remove(filepath.Join(d.Path, "snapshot.json")); removed != nil {
		return err
	}
	return d.Save(s)
}

// Last returns the snapshot that was saved last, or fs.ErrNotExist.
func (d *Dir) Last() (*Snapshot, error) {
	var s Snapshot
	if err := d.loadJSON("snapshot.json", &s); err != nil {
		return nil, err
	}
	if s.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("read %s: schema version is %d, want %d", filepath.Join(d.Path, "snapshot.json"), s.SchemaVersion, SchemaVersion)
	}
	return &s, nil
}

// SavePorts saves the ports of an instance, by key, for its next run.
func (d *Dir) SavePorts(ports map[string]int) error { return d.saveJSON("ports.json", ports) }

// Ports returns the saved ports. It ignores an unreadable file and invalid ports,
// because these are only preferences.
func (d *Dir) Ports() map[string]int {
	ports := map[string]int{}
	if err := d.loadJSON("ports.json", &ports); err != nil || ports == nil {
		return map[string]int{}
	}
	maps.DeleteFunc(ports, func(_ string, port int) bool { return port < 1 || port > 65535 })
	return ports
}

func (d *Dir) saveJSON(name string, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	// A temporary file in the same directory is on the same file system, as rename requires.
	err = renameio.WriteFile(filepath.Join(d.Path, name), append(data, '\n'), 0o600,
		renameio.WithTempDir(d.Path), renameio.IgnoreUmask())
	if err != nil {
		return fmt.Errorf("save %s: %w", filepath.Join(d.Path, name), err)
	}
	return nil
}

func (d *Dir) loadJSON(name string, value any) error {
	path := filepath.Join(d.Path, name)
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}
