package tunnels_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"silo/tunnels"
)

func TestFindToken(t *testing.T) {
	t.Parallel()
	v2, v3, broken := "authtoken: of-v2\n", "version: 3\nagent: {authtoken: of-v3}\n", "authtoken: [secret\n"
	cases := map[string]struct {
		configured, env, goos string
		files                 map[string]string
		token, source, fails  string
	}{
		"topology first":      {configured: " of-topology\n", env: "of-env", files: map[string]string{".config/ngrok/ngrok.yml": v3}, token: "of-topology", source: "tunnels.ngrok.authtoken"},
		"then environment":    {env: "of-env", files: map[string]string{".config/ngrok/ngrok.yml": broken}, token: "of-env", source: "NGROK_AUTHTOKEN"},
		"then agent, v3":      {goos: "linux", files: map[string]string{".config/ngrok/ngrok.yml": v3, ".ngrok2/ngrok.yml": v2}, token: "of-v3", source: ".config/ngrok/ngrok.yml"},
		"then agent, v2":      {goos: "linux", files: map[string]string{".config/ngrok/ngrok.yml": "version: 3\nagent: {}\n", ".ngrok2/ngrok.yml": v2}, token: "of-v2", source: ".ngrok2/ngrok.yml"},
		"macOS path":          {goos: "darwin", files: map[string]string{"Library/Application Support/ngrok/ngrok.yml": v2}, token: "of-v2", source: "Library/Application Support/ngrok/ngrok.yml"},
		"macOS path on Linux": {goos: "linux", files: map[string]string{"Library/Application Support/ngrok/ngrok.yml": v2}, fails: "no ngrok authtoken"},
		"a broken agent":      {goos: "linux", files: map[string]string{".config/ngrok/ngrok.yml": broken}, fails: "is not an ngrok agent's configuration"},
		"nowhere":             {goos: "linux", fails: "no ngrok authtoken"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			for path, content := range c.files {
				path = filepath.Join(home, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			env := func(key string) (string, bool) { return c.env, key == "NGROK_AUTHTOKEN" && c.env != "" }
			found, source, err := tunnels.FindToken(c.configured, env, home, c.goos)
			if c.fails != "" {
				e, is := errors.AsType[*tunnels.Error](err)
				if !is || !strings.Contains(e.Text, c.fails) || e.Hint == "" || strings.Contains(e.Text, "secret") {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil || found != c.token || strings.TrimPrefix(source, home+"/") != c.source {
				t.Errorf("got %q from %q, %v", found, source, err)
			}
		})
	}
}
