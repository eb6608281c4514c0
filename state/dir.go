package state

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// maxSocketPath keeps a socket's path below the kernel's limit, which includes the
// final NUL: 104 bytes on macOS, 108 on Linux.
const maxSocketPath = 100

// lockWait is how long to wait for a lock, because Running and CheckClaim hold it for an
// instant.
const lockWait = 300 * time.Millisecond

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

// Root returns the directory that holds every instance's Dir: $SILO_STATE_DIR, else
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
// Symbolic links to one file belong to the same instance. It does not touch the disk.
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
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name)
	clean = strings.Trim(clean, "-")
	if len(clean) > 24 {
		clean = clean[:24]
	}
	if clean == "" {
		return "silo"
	}
	return clean
}

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

// MakeSocketDir creates the socket's directory, closes it to other users, and fails if
// another user owns it.
func (d *Dir) MakeSocketDir() error {
	dir := filepath.Dir(d.Socket)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the control socket's directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("inspect the control socket's directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the control socket's directory %s is not a directory", dir)
	}
	// Only the owner may change owner and mode: this fails for a directory that another
	// user created in a shared /tmp.
	if err := os.Lchown(dir, os.Getuid(), -1); err != nil {
		return fmt.Errorf("the control socket's directory %s belongs to another user: %w", dir, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory needs its x bit
		return fmt.Errorf("restrict the control socket's directory %s: %w", dir, err)
	}
	return nil
}

// Acquire creates the directory and locks it, or fails with ErrRunning. The kernel
// releases the lock when this process ends. Acquire also removes temporary files that a
// killed process left.
func (d *Dir) Acquire(ctx context.Context) error {
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("create the state directory: %w", err)
	}
	lock := flock.New(filepath.Join(d.Path, "lock"), flock.SetPermissions(0o600))
	switch held, err := tryLock(ctx, lock); {
	case err != nil:
		return fmt.Errorf("lock the state directory %s: %w", d.Path, err)
	case !held:
		return ErrRunning
	}
	d.lock = lock
	d.removeTempFiles()
	return nil
}

// tryLock waits for a lock for lockWait, and reports whether it got it.
func tryLock(ctx context.Context, lock *flock.Flock) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	held, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return held, err
}

// removeTempFiles removes temporary files of killed processes, which may hold secrets.
// The caller must hold the lock, so that no write is under way.
func (d *Dir) removeTempFiles() {
	files, _ := filepath.Glob(filepath.Join(d.Path, ".*.json[0-9]*")) // renameio's names
	for _, file := range files {
		_ = os.Remove(file) // the next run tries again
	}
}

// Release releases the lock. It does nothing if the lock is not held.
func (d *Dir) Release() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Unlock()
}

// Running reports whether a process holds the instance's lock. The mere existence of the
// lock file means nothing.
func (d *Dir) Running() bool {
	path := filepath.Join(d.Path, "lock")
	if _, err := os.Stat(path); err != nil {
		return false
	}
	lock := flock.New(path, flock.SetFlag(os.O_RDONLY))
	got, err := lock.TryRLock()
	if got {
		_ = lock.Unlock()
	}
	return err == nil && !got
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
// outdated snapshot first; if that does not help, no snapshot is left, as before a
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

// Last returns the snapshot that was saved last. The error is fs.ErrNotExist if there is
// none.
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

// Ports returns the saved ports. It ignores a file that cannot be read, and numbers that
// are not ports, because these are only preferences.
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
	// A temporary file in the same directory is on the same file system, as a rename needs.
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
