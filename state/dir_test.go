package state

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// envOf returns an environment with the given state root.
func envOf(root string, more ...string) Lookup {
	vars := map[string]string{"SILO_STATE_DIR": root}
	for _, entry := range more {
		name, value, _ := strings.Cut(entry, "=")
		vars[name] = value
	}
	return func(name string) (string, bool) { value, ok := vars[name]; return value, ok }
}

func dirOf(t *testing.T, root, file string) *Dir {
	t.Helper()
	d, err := DirFor(envOf(root), file)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRoot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, vars, want string }{
		{"silo's own variable", "SILO_STATE_DIR=/s XDG_STATE_HOME=/x HOME=/h", "/s"},
		{"XDG", "XDG_STATE_HOME=/x HOME=/h", "/x/silo"},
		{"relative XDG", "XDG_STATE_HOME=x HOME=/h", "/h/.local/state/silo"},
		{"home", "HOME=/h", "/h/.local/state/silo"},
		{"no home", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			vars := map[string]string{}
			for entry := range strings.FieldsSeq(test.vars) {
				name, value, _ := strings.Cut(entry, "=")
				vars[name] = value
			}
			got, err := Root(func(name string) (string, bool) { value, ok := vars[name]; return value, ok })
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func TestDirFor(t *testing.T) {
	t.Parallel()
	root, home := t.TempDir(), t.TempDir()
	file := filepath.Join(home, "silo.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "linked")
	if err := os.Symlink(home, link); err != nil {
		t.Fatal(err)
	}
	d := dirOf(t, root, file)
	if other := dirOf(t, root, filepath.Join(link, "silo.toml")); other.Key != d.Key || other.Socket != d.Socket {
		t.Errorf("through a link the key is %s, want %s", other.Key, d.Key)
	}
	if other := dirOf(t, root, filepath.Join(home, "other.toml")); other.Key == d.Key {
		t.Error("two files of one directory have the same key")
	}
	if other := dirOf(t, t.TempDir(), file); other.Socket == d.Socket || other.Marker() == d.Marker() {
		t.Error("two state roots share a socket or a mark")
	}
}

func TestSocketPathsAreShort(t *testing.T) {
	t.Parallel()
	long := "/" + strings.Repeat("long/", 40)
	medium := "/" + strings.Repeat("x", maxSocketPath-20)
	for _, runtime := range []string{"/run/user/1000", long, medium, "relative", ""} {
		d, err := DirFor(envOf(t.TempDir(), "XDG_RUNTIME_DIR="+runtime), filepath.Join(long, "silo.toml"))
		if err != nil {
			t.Fatal(err)
		}
		if len(d.Socket) > maxSocketPath || !filepath.IsAbs(d.Socket) {
			t.Errorf("with %q the socket is %q, %d bytes", runtime, d.Socket, len(d.Socket))
		}
	}
}

func TestAcquire(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first, second := dirOf(t, root, "/x/silo.toml"), dirOf(t, root, "/x/silo.toml")
	if first.Running() {
		t.Error("Running() before Acquire")
	}
	if err := first.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !second.Running() {
		t.Error("not Running() after Acquire")
	}
	if err := second.Acquire(t.Context()); !errors.Is(err, ErrRunning) {
		t.Errorf("a second lock: %v", err)
	}
	if err := errors.Join(first.Release(), first.Release()); err != nil {
		t.Error(err)
	}
	if err := second.Acquire(t.Context()); err != nil {
		t.Errorf("after the first was released: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Error(err)
	}
}

func TestClaim(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	a, b := dirOf(t, root, "/a/silo.toml"), dirOf(t, root, "/b/silo.toml")
	if err := b.CheckClaim("/conf.py"); err != nil {
		t.Errorf("before any claim: %v", err)
	}
	claim, err := a.Claim(t.Context(), "/conf.py")
	if err != nil {
		t.Fatal(err)
	}
	var claimed *ClaimedError
	if err := b.CheckClaim("/conf.py"); !errors.As(err, &claimed) || claimed.Holder != "/a/silo.toml" {
		t.Errorf("got %v", err)
	}
	if _, err := b.Claim(t.Context(), "/conf.py"); !errors.As(err, &claimed) || claimed.Holder != "/a/silo.toml" {
		t.Errorf("got %v", err)
	}
	if err := claim.Release(); err != nil {
		t.Fatal(err)
	}
	if err := b.CheckClaim("/conf.py"); err != nil {
		t.Errorf("after Release: %v", err)
	}
	again, err := b.Claim(t.Context(), "/conf.py")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Error(err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	first, err := d.Secrets()
	if err != nil || len(first.RPC) < 32 || first.RPC == first.Subnet {
		t.Fatalf("got %+v, %v", first, err)
	}
	if second, err := d.Secrets(); err != nil || second != first {
		t.Errorf("then %+v, %v", second, err)
	}
	file := filepath.Join(d.Path, "secrets.json")
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(file, []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Secrets(); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("unreadable secrets: %v", err)
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	if err := d.SavePorts(map[string]int{"us": 8002}); err != nil {
		t.Fatal(err)
	}
	if err := d.SavePorts(map[string]int{"us": 8002, "low": 0, "high": 65536}); err != nil {
		t.Fatal(err)
	}
	if got := d.Ports(); len(got) != 1 {
		t.Errorf("invalid ports: %v", got)
	}
	if got := d.Ports()["us"]; got != 8002 {
		t.Errorf("remembered %d", got)
	}
	for _, name := range []string{"ports.json", "snapshot.json"} {
		if err := os.WriteFile(filepath.Join(d.Path, name), []byte(`{"schema_version": 99, "us": "x"`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := d.Ports(); len(got) != 0 {
		t.Errorf("unreadable ports: %v", got)
	}
	if _, err := d.Last(); err == nil {
		t.Error("no error for an unreadable snapshot")
	}
}

func TestAsStopped(t *testing.T) {
	t.Parallel()
	pid, reason, now := 7, "exited with code 3", time.Now()
	s := &Snapshot{
		SchemaVersion: SchemaVersion, Name: "acme", State: InstanceReady, PID: &pid,
		Silos: []Silo{
			{Name: "control", State: Ready, PID: &pid, URL: "http://c", ReadyAt: &now, Tunnel: Tunnel{State: TunnelOnline}},
			{Name: "us", State: Failed, Reason: &reason},
		},
	}
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	if err := d.Save(s); err != nil {
		t.Fatal(err)
	}
	all, err := Instances(envOf(d.root))
	if err != nil || len(all) != 1 {
		t.Fatalf("got %v, %v", all, err)
	}
	got := all[0]
	if got.State != InstanceStopped || got.PID != nil || got.Silos[0].State != Stopped || got.Silos[0].PID != nil ||
		got.Silos[0].URL != "http://c" || got.Silos[0].Tunnel.State != TunnelNone || got.Silos[1].State != Failed || *got.Silos[1].Reason != reason {
		t.Errorf("got %+v", got)
	}
	if s.Silos[0].State != Ready {
		t.Error("the snapshot itself was changed")
	}
}

func TestAsFound(t *testing.T) {
	t.Parallel()
	pid, code, gone := 7, 1, "exited with code 1"
	s := &Snapshot{Name: "acme", State: InstanceDegraded, PID: &pid, Silos: []Silo{
		{Name: "control", State: Ready, PID: &pid, Exit: &Exit{Code: &code}},
		{Name: "us", State: Failed, Reason: &gone, Exit: &Exit{Code: &code}},
		{Name: "eu", State: Stopped},
	}}
	left := s.AsFound()
	control, us, eu := left.Silos[0], left.Silos[1], left.Silos[2]
	if left.State != InstanceStopped || left.Reason == nil || control.Reason == nil || control.Exit != nil {
		t.Errorf("silos that ran: %+v", left)
	}
	if *us.Reason != gone || us.Exit == nil || eu.Reason != nil {
		t.Errorf("silos that had ended: %+v", left)
	}
	if again := left.AsFound(); again.Reason == nil || again.Silos[0].Reason == nil {
		t.Errorf("a second time: %+v", again)
	}
	s.Managed = new(false)
	if theirs := s.AsFound(); theirs.Silos[0].Reason != nil {
		t.Errorf("an unmanaged silo: %+v", theirs)
	}
	if ended := s.AsStopped().AsFound(); ended.Reason != nil {
		t.Errorf("an instance that saved its end: %+v", ended)
	}
}

func TestFindByPort(t *testing.T) {
	t.Parallel()
	supervisor, devserver, notManaged := 7, 9, false
	s := &Snapshot{
		SchemaVersion: SchemaVersion, Name: "acme", State: InstanceReady, PID: &supervisor,
		Silos: []Silo{{Name: "us", State: Ready, PID: &devserver, Port: 8002, HealthPort: 8003}},
	}
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	if err := d.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	holding := func(pid, port int) bool {
		if err := d.Save(s); err != nil {
			t.Fatal(err)
		}
		found, ours := FindByPort(envOf(d.root), pid, port)
		return ours && found.Name == "acme"
	}
	if !holding(supervisor, 1) || !holding(devserver, 1) || !holding(1, 8002) || !holding(1, 8003) {
		t.Error("a port of the instance is not found")
	}
	if holding(1, 1) {
		t.Error("a port of another process is found")
	}
	s.Managed = &notManaged
	if holding(devserver, 8002) || !holding(supervisor, 1) {
		t.Error("an unmanaged silo counts, or its supervisor does not")
	}
	if err := d.Release(); err != nil {
		t.Fatal(err)
	}
	if holding(supervisor, 1) {
		t.Error("a stopped instance is found")
	}
}

func TestMakeSocketDir(t *testing.T) {
	t.Parallel()
	runtime := t.TempDir()
	if err := os.WriteFile(filepath.Join(runtime, "silo"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d := &Dir{Socket: filepath.Join(runtime, "silo", "x.sock")}
	if err := d.MakeSocketDir(); err == nil {
		t.Error("no error for a file")
	}
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o777); err != nil {
		t.Fatal(err)
	}
	d = &Dir{Socket: filepath.Join(open, "x.sock")}
	if err := d.MakeSocketDir(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(open); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
}

func TestRotateSecrets(t *testing.T) {
	t.Parallel()
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	first, err := d.Secrets()
	if err != nil || first.Accepted() != first.RPC {
		t.Fatal(first, err)
	}
	if err := d.RotateSecrets(); err != nil || !d.SecretsRotated() {
		t.Fatal("not rotated", err)
	}
	if now, err := d.Secrets(); err != nil || now != first {
		t.Errorf("got %+v, %v; want %+v until RenewSecrets", now, err, first)
	}
	second, err := d.RenewSecrets()
	if err != nil || second.RPC == first.RPC || second.Subnet == first.Subnet || second.Accepted() != second.RPC+","+first.RPC {
		t.Errorf("renewed: %+v, %v", second, err)
	}
	if now, err := d.Secrets(); err != nil || now != second || d.SecretsRotated() {
		t.Errorf("after that: %+v, %v", now, err)
	}
	if again, err := d.RenewSecrets(); err != nil || again != second {
		t.Errorf("renewed again: %+v, %v", again, err)
	}
	info, err := os.Stat(filepath.Join(d.Path, "secrets.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if err := errors.Join(d.RotateSecrets(), d.RotateSecrets()); err != nil {
		t.Error(err)
	}
	if third, err := d.RenewSecrets(); err != nil || third.Previous != second.RPC {
		t.Errorf("rotated twice: %+v, %v", third, err)
	}
}

func TestRotateFirstSecrets(t *testing.T) {
	t.Parallel()
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	if err := d.RotateSecrets(); err != nil {
		t.Fatal(err)
	}
	if s, err := d.RenewSecrets(); err != nil || s.RPC == "" || s.Previous != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAcquireRemovesTempFiles(t *testing.T) {
	t.Parallel()
	d := dirOf(t, t.TempDir(), "/a/silo.toml")
	if err := os.MkdirAll(d.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".secrets.json6743", ".ports.json1", "secrets.json.mine", "ports.json"} {
		if err := os.WriteFile(filepath.Join(d.Path, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(d.Path)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"lock", "ports.json", "secrets.json.mine"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("left: %v, %v", names, err)
	}
	if err := d.Release(); err != nil {
		t.Error(err)
	}
}

// The keys of existing instances must not change.
func TestKeyLabel(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"acme": "acme", "My App": "my-app", "-x-": "x", "": "silo", "/": "silo", "Größe": "gr--e",
		"a234567890123456789012345": "a23456789012345678901234",
	} {
		if got := label(name); got != want {
			t.Errorf("label(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestAsCleanedUp(t *testing.T) {
	t.Parallel()
	pid, gone := 7, "exited with code 1"
	s := &Snapshot{State: InstanceReady, PID: &pid, Silos: []Silo{{Name: "control", State: Ready, PID: &pid}, {Name: "us", State: Failed, Reason: &gone}}}
	cleaned := s.AsFound().AsCleanedUp()
	if cleaned.Reason != nil || cleaned.Silos[0].Reason != nil || cleaned.Silos[1].Reason == nil || *cleaned.Silos[1].Reason != gone {
		t.Errorf("got %+v", cleaned)
	}
}

func TestSaveLastReplacesSnapshot(t *testing.T) {
	t.Parallel()
	d := dirOf(t, t.TempDir(), "/x/silo.toml")
	for _, name := range []string{"first", "second"} {
		if err := d.SaveLast(&Snapshot{SchemaVersion: SchemaVersion, Name: name}); err != nil {
			t.Fatal(err)
		}
		if last, err := d.Last(); err != nil || last.Name != name {
			t.Errorf("got %+v, %v", last, err)
		}
	}
	if err := d.Save(&Snapshot{SchemaVersion: SchemaVersion + 1}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Last(); err == nil {
		t.Error("a snapshot of another schema was read")
	}
}

func TestLockDatabases(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first, second := dirOf(t, root, "/x/silo.toml"), dirOf(t, root, "/x/silo.toml")
	release, err := first.LockDatabases()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.LockDatabases(); !errors.Is(err, ErrDatabasesBusy) {
		t.Errorf("a second lock: %v", err)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	release, err = second.LockDatabases()
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
