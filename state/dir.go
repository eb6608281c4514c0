package state

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"
)

// maxSocketPath keeps a socket's path below the kernels' limits (104 bytes with
// the final NUL on macOS, 108 on Linux).
const maxSocketPath = 100

// ErrRunning says that another process holds the instance's lock.
var ErrRunning = errors.New("the instance is already running")

// Dir is the place where one instance is recorded. Making one touches nothing;
// Acquire creates it on disk.
type Dir struct {
	Path     string // $STATE/<key>
	Key      string // the instance's identity, in SILO_INSTANCE
	Topology string // absolute path of the topology file
	Socket   string // path of the control socket, whether or not it exists

	root string
	lock *flock.Flock
}

// Lookup finds an environment variable, as os.LookupEnv does.
type Lookup func(string) (string, bool)

// Root is the directory that holds every instance's Dir: $SILO_STATE_DIR, else
// $XDG_STATE_HOME/silo, else ~/.local/state/silo, on every system.
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

// DirFor gives the Dir of the instance whose topology is the file at an absolute
// path. Two paths to one file by symbolic links are one instance.
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

// label makes a directory's name fit for a file name and an identifier.
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

// MakeSocketDir makes the socket's directory the user's alone, and fails where
// it is somebody else's.
func (d *Dir) MakeSocketDir() error {
	dir := filepath.Dir(d.Socket)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the control socket's directory: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the control socket's directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("the control socket's directory %s is not a directory", dir)
	}
	// Only the owner may set owner and mode: a directory that somebody else put
	// into a shared /tmp is found out here, without asking for its owner.
	if err := os.Lchown(dir, os.Getuid(), -1); err != nil {
		return fmt.Errorf("the control socket's directory %s is not ours: %w", dir, err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // a directory needs its x bit
		return fmt.Errorf("close the control socket's directory %s: %w", dir, err)
	}
	return nil
}

// Acquire creates the directory and takes its lock for this process, or fails
// with ErrRunning. The lock ends with the process, however that ends. What a killed
// process has left of a write is removed.
func (d *Dir) Acquire(ctx context.Context) error {
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	lock := flock.New(filepath.Join(d.Path, "lock"), flock.SetPermissions(0o600))
	// Running takes the lock for an instant to look: that must not count.
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	held, err := lock.TryLockContext(ctx, 10*time.Millisecond)
	switch {
	case held:
		d.lock = lock
		d.removeTempFiles()
		return nil
	case err == nil, errors.Is(err, context.DeadlineExceeded):
		return ErrRunning
	default:
		return fmt.Errorf("lock the state directory %s: %w", d.Path, err)
	}
}

// sweep removes what writes of a process that was killed have left: secrets among it.
// Its caller has the lock, so that no write is under way.
func (d *Dir) removeTempFiles() {
	entries, _ := os.ReadDir(d.Path) // what cannot be read is not swept
	for _, entry := range entries {
		if left, _ := filepath.Match(".*.json[0-9]*", entry.Name()); left { // as renameio names them
			_ = os.Remove(filepath.Join(d.Path, entry.Name())) // it is tried again next time
		}
	}
}

// Release gives the lock back. It is safe to call without holding it.
func (d *Dir) Release() error {
	if d.lock == nil {
		return nil
	}
	lock := d.lock
	d.lock = nil
	return lock.Unlock()
}

// Running tells whether a live process holds the instance's lock: never a
// file's presence.
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

// Marker tells this instance's processes from those of every other one, also of
// the same topology under another state root.
func (d *Dir) Marker() string { return digest(d.Path)[:16] }

// Logs is the directory of the silos' raw log files.
func (d *Dir) Logs() string { return filepath.Join(d.Path, "logs") }

// SupervisorLog is the file that a detached supervisor talks to.
func (d *Dir) SupervisorLog() string { return filepath.Join(d.Path, "supervisor.log") }

// Save records a snapshot, whole or not at all.
func (d *Dir) Save(s *Snapshot) error { return d.saveJSON("snapshot.json", s) }

// SaveLast records the last snapshot of a run. Where there is no room for it beside
// the one before, which is wrong by now, that one makes way; where there is none
// even so, nothing is recorded, as of an instance that has not run.
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

// Last is the snapshot that was saved last, or fs.ErrNotExist.
func (d *Dir) Last() (*Snapshot, error) {
	var s Snapshot
	if err := d.loadJSON("snapshot.json", &s); err != nil {
		return nil, err
	}
	if s.SchemaVersion != SchemaVersion {
		return nil, fmt.Errorf("read %s: schema version %d is not %d", filepath.Join(d.Path, "snapshot.json"), s.SchemaVersion, SchemaVersion)
	}
	return &s, nil
}

// SavePorts remembers the ports that were given, by the names they were wanted
// under, so that an instance has the same ones tomorrow.
func (d *Dir) SavePorts(ports map[string]int) error { return d.saveJSON("ports.json", ports) }

// Ports are the remembered ones. What cannot be read, or is no port, is
// forgotten: a preference is not worth an error.
func (d *Dir) Ports() map[string]int {
	ports := map[string]int{}
	if err := d.loadJSON("ports.json", &ports); err != nil || ports == nil {
		return map[string]int{}
	}
	maps.DeleteFunc(ports, func(_ string, port int) bool { return port < 1 || port > 65535 })
	return ports
}

// Secrets are what the silos of one instance share.
type Secrets struct {
	RPC    string `json:"rpc"`    // signs what silos ask of one another
	Subnet string `json:"subnet"` // signs what regions send out through control
	// Previous is the RPC secret before this one: still accepted, never signed with.
	Previous string `json:"before,omitempty"`
}

// Accepted are the RPC secrets that a silo takes, parted by commas: the first is
// what it signs with.
func (s Secrets) Accepted() string {
	if s.Previous == "" {
		return s.RPC
	}
	return s.RPC + "," + s.Previous
}

func newSecrets() Secrets {
	return Secrets{RPC: rand.Text() + rand.Text(), Subnet: rand.Text() + rand.Text()}
}

// kept is the file of the secrets: those that count, and those that take their
// place as soon as no silo runs with the former.
type storedSecrets struct {
	Secrets

	Next *Secrets `json:"next,omitempty"`
}

// Secrets reads the secrets that count, or makes them once, readable by their
// owner alone.
func (d *Dir) Secrets() (Secrets, error) {
	k, err := d.kept()
	if err == nil && (k.RPC == "" || k.Subnet == "") {
		k.Secrets = newSecrets()
		err = d.saveJSON(secretsFile, k)
	}
	return k.Secrets, err
}

// RotateSecrets makes new secrets, which count from the next RenewSecrets on.
func (d *Dir) RotateSecrets() error {
	k, err := d.kept()
	if err != nil {
		return err
	}
	next := newSecrets()
	k.Next = &next
	return d.saveJSON(secretsFile, k)
}

// RenewSecrets lets rotated secrets count, and is Secrets where there are none.
// It is for a moment in which no silo runs, or all are started again.
func (d *Dir) RenewSecrets() (Secrets, error) {
	k, err := d.kept()
	if err != nil {
		return Secrets{}, err
	}
	if k.Next == nil {
		return d.Secrets()
	}
	k.Next.Previous = k.RPC
	return *k.Next, d.saveJSON(secretsFile, storedSecrets{Secrets: *k.Next})
}

// SecretsRotated tells whether secrets wait for RenewSecrets.
func (d *Dir) SecretsRotated() bool {
	k, err := d.kept()
	return err == nil && k.Next != nil
}

const secretsFile = "secrets.json"

func (d *Dir) kept() (storedSecrets, error) {
	var k storedSecrets
	if err := d.loadJSON(secretsFile, &k); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return storedSecrets{}, fmt.Errorf("%w (remove the file to have new secrets made)", err)
	}
	return k, nil
}

func (d *Dir) saveJSON(name string, value any) error {
	data, err := json.MarshalIndent(value, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		return fmt.Errorf("make the state directory: %w", err)
	}
	// The temporary file lies beside the target: a rename never crosses a file system.
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
