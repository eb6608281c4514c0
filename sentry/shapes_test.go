package sentry

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Inserting and removing the block of any dialect leaves every kind of file unchanged.
func TestWriteAndRemoveRestoreAnyFile(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":            "",
		"no final newline": "DEBUG = True",
		"line feeds":       "DEBUG = True\n",
		"CRLF":             "DEBUG = True\r\nX = 1\r\n",
		"CRLF, no final":   "DEBUG = True\r\nX = 1",
		"BOM":              "\ufeffDEBUG = True\n",
		"BOM alone":        "\ufeff",
		"tabs":             "if True:\n\tX = {\n\t\t'a':\t1,\t\n\t}\n\t\n",
		"not UTF-8":        "# -*- coding: latin-1 -*-\nX = '\xe9'\n",
		"huge":             strings.Repeat("X = 'a line of a configuration that never ends'\n", 200_000),
		"one huge line":    "X = '" + strings.Repeat("x", 8<<20) + "'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, b := range blocks(t) {
				path := conf(t, text)
				if _, err := Write(t.Context(), path, b); err != nil {
					t.Fatal(err)
				}
				if diff, inStep, err := Diff(path, b); err != nil || !inStep {
					t.Fatalf("%v, %q", err, diff)
				}
				if got := read(t, path); !strings.HasPrefix(got, text) {
					t.Fatal("the bytes before the block have changed")
				}
				if strings.Contains(name, "CRLF") && strings.Count(read(t, path), "\n") != strings.Count(read(t, path), "\r\n") {
					t.Fatal("line ends are mixed")
				}
				if removed, err := Remove(t.Context(), path); err != nil || !removed || read(t, path) != text {
					t.Fatalf("removed: %v, %v", removed, err)
				}
				if len(text) > 1<<20 {
					return // a single round is enough
				}
			}
		})
	}
}

// A block that the user moved stays in its place.
func TestWriteFollowsABlockThatWasMoved(t *testing.T) {
	t.Parallel()
	every := blocks(t)
	for i, b := range every {
		other := every[(i+1)%len(every)]
		path := conf(t, "first = 1\n"+b.Marked()+"\nlast = 2\n")
		if _, inStep, err := Diff(path, b); err != nil || !inStep {
			t.Error(inStep, err)
		}
		if change, err := Write(t.Context(), path, other); err != nil || !change.Changed || change.Replaced != "" {
			t.Errorf("%+v, %v", change, err)
		}
		if got, want := read(t, path), "first = 1\n"+other.Marked()+"\nlast = 2\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if _, err := Remove(t.Context(), path); err != nil || read(t, path) != "first = 1\n\nlast = 2\n" {
			t.Errorf("%q, %v", read(t, path), err)
		}
	}
}

// A change by the user is shown by Diff and reverted by Write.
func TestWriteRestoresABlockThatWasEdited(t *testing.T) {
	t.Parallel()
	for _, b := range blocks(t) {
		path := conf(t, strings.Replace(b.Marked(), "https://us.acme", "https://eu.acme", 1))
		diff, inStep, err := Diff(path, b)
		if err != nil || inStep || !strings.Contains(diff, "\n-") || !strings.Contains(diff, "https://eu.acme") || !strings.Contains(diff, "\n+") {
			t.Errorf("%v, %v, %s", inStep, err, diff)
		}
		if _, err := Write(t.Context(), path, b); err != nil || read(t, path) != b.Marked() {
			t.Errorf("%v, %q", err, read(t, path))
		}
	}
}

// older is the block of an older version of silo.
const older = `# >>> silo: region config of "acme" (silo.toml); do not edit between these lines >>>
import os

from sentry.types.region import Region, RegionCategory

SENTRY_REGION_CONFIG = (
    Region("us", 1, "https://us.acme.ngrok.app", RegionCategory.MULTI_TENANT),
)
SENTRY_CONTROL_ADDRESS = "https://acme.ngrok.app"
# <<< silo <<<
`

// A block by an older silo or of another dialect is replaced. Removing the last one
// restores the original file.
func TestWriteReplacesOtherBlocks(t *testing.T) {
	t.Parallel()
	every := blocks(t)
	path := conf(t, "first = 1\n"+older)
	for _, b := range append(every, every[0]) {
		if _, inStep, err := Diff(path, b); err != nil || inStep {
			t.Error(inStep, err)
		}
		if _, err := Write(t.Context(), path, b); err != nil || read(t, path) != "first = 1\n"+b.Marked() {
			t.Errorf("%v, %q", err, read(t, path))
		}
	}
	if _, err := Remove(t.Context(), path); err != nil || read(t, path) != "first = 1\n" {
		t.Errorf("%v, %q", err, read(t, path))
	}
}

// In a Git work tree, git diff shows only the block, and nothing after it is removed.
func TestWriteInAWorkTree(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git in PATH")
	}
	path := conf(t, "DEBUG = True\r\nX = 1\r\n")
	git := func(args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "core.autocrlf=false", "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		command.Dir = filepath.Dir(path)
		out, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v, %s", args, err, out)
		}
		return string(out)
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	if _, err := Write(t.Context(), path, block(t, "acme", 1)); err != nil {
		t.Fatal(err)
	}
	if stat := git("diff", "--numstat"); !strings.Contains(stat, "\t0\tsentry.conf.py") {
		t.Errorf("lines were removed: %s", stat)
	}
	if _, err := Remove(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if status := git("status", "--short"); status != "?? sentry.conf.py.before-silo\n" {
		t.Errorf("git sees %q", status)
	}
}

// The owner of a read-only file can replace it.
func TestWriteOverAReadOnlyFile(t *testing.T) {
	t.Parallel()
	path, b := conf(t, "a = 1\n"), block(t, "acme", 1)
	if err := os.Chmod(path, 0o444); err != nil {
		t.Fatal(err)
	}
	if _, err := Write(t.Context(), path, b); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o444 {
		t.Error(info.Mode(), err)
	}
	if content, err := os.ReadFile(path); err != nil || !bytes.HasSuffix(content, []byte(b.Marked())) {
		t.Errorf("%q, %v", content, err)
	}
}

func TestWriteKeepsTheMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []fs.FileMode{0o600, 0o664, 0o755 | fs.ModeSetuid, 0o775 | fs.ModeSetgid, 0o644 | fs.ModeSticky} {
		path := conf(t, "a = 1\n")
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		change, err := Write(t.Context(), path, block(t, "acme", 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{path, change.Backup} {
			if info, err := os.Stat(file); err != nil || info.Mode() != mode {
				t.Errorf("%s has mode %v, want %v (%v)", file, info.Mode(), mode, err)
			}
		}
	}
}

func TestReadFileFindsOverrides(t *testing.T) {
	t.Parallel()
	b := block(t, "acme", 1)
	lines := strings.Count(b.Marked(), "\n")
	path := conf(t, "SENTRY_REGION_CONFIG = ()\n"+b.Marked()+`
SENTRY_REGION_CONFIG = []
SENTRY_CONTROL_ADDRESS: str = "http://elsewhere:1"
ALLOWED_HOSTS += ["a"]
SENTRY_MONOLITH_REGION == "us"
DEBUG = True
# SENTRY_REGION_CONFIG = []
if DEBUG:
    SENTRY_REGION_CONFIG = []
RPC_SHARED_SECRET = ["x"]
`)
	file, err := ReadFile(path)
	want := []Override{{lines + 3, "SENTRY_REGION_CONFIG"}, {lines + 4, "SENTRY_CONTROL_ADDRESS"}, {lines + 11, "RPC_SHARED_SECRET"}}
	if err != nil || !slices.Equal(file.Overrides, want) {
		t.Errorf("got %v, %v, want %v", file.Overrides, err, want)
	}
	if got := want[0].Text("conf.py"); !strings.HasPrefix(got, "conf.py:"+strconv.Itoa(lines+3)+": SENTRY_REGION_CONFIG is assigned again") {
		t.Error(got)
	}
	if file, err := ReadFile(conf(t, "A = 1\nSENTRY_REGION_CONFIG = []\n")); err != nil || file.Overrides != nil {
		t.Errorf("without a block: %v, %v", file.Overrides, err)
	}
}
