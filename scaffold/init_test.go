package scaffold

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestInitProtectsSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	options := Options{
		File: filepath.Join(dir, "silo.toml"), NgrokFile: filepath.Join(dir, "agent.yml"), FromNgrok: true,
		Env: func(name string) (string, bool) { return dir, name == "HOME" },
	}
	write(t, options.NgrokFile, "version: \"2\"\ntunnels:\n  control: {proto: http, addr: 8000, host_header: preserve, basic_auth: [\"ada:correct ${battery}\"]}\n", 0o600)
	write(t, options.File, "by hand\n", 0o644)
	if _, _, err := Init(options); !errors.As(err, new(*Error)) || !strings.Contains(err.Error(), "already exists") {
		t.Errorf("without Force: %v", err)
	}
	options.Force = true
	if _, _, err := Init(options); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(options.File)
	if err != nil || !strings.Contains(string(text), `basic_auth = ["ada:correct $${battery}"]`) {
		t.Errorf("%v, wrote\n%s", err, text)
	}
	info, err := os.Stat(options.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a file with a password has mode %v, %v", info.Mode(), err)
	}
	if old, err := os.ReadFile(options.File + ".old"); err != nil || string(old) != "by hand\n" {
		t.Errorf("kept %q, %v", old, err)
	}
}
