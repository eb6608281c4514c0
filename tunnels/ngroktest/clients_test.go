package ngroktest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"silo/tunnels/ngroktest"
)

const (
	good = "2good_authtoken"

	// clientBound is how long a client may run; installing one takes much longer.
	clientBound  = 30 * time.Second
	installBound = 5 * time.Minute
)

// client is an implementation of the protocol that shares no code with this package: both
// are based on ngrok's Rust client.
type client struct {
	install func(t *testing.T, dir string)
	argv    func(dir string) []string
}

var clients = map[string]client{
	"npm": {
		func(t *testing.T, dir string) {
			run(t, dir, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", "@ngrok/ngrok@1.7.0")
		},
		func(dir string) []string { return []string{"node", filepath.Join(dir, "client.mjs")} },
	},
	"PyPI": {
		func(t *testing.T, dir string) {
			run(t, dir, "python3", "-m", "venv", "venv")
			run(t, dir, filepath.Join(dir, "venv", "bin", "pip"), "install", "--quiet", "ngrok==1.4.0")
		},
		func(dir string) []string {
			return []string{filepath.Join(dir, "venv", "bin", "python"), filepath.Join(dir, "client.py")}
		},
	},
}

func run(t *testing.T, dir string, argv ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), installBound)
	defer cancel()
	command := exec.CommandContext(ctx, argv[0], argv[1:]...)
	command.Dir = dir
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, output)
	}
}

func TestIndependentClients(t *testing.T) {
	t.Parallel()
	if os.Getenv("SILO_NGROK_CLIENTS") == "" {
		t.Skip("SILO_NGROK_CLIENTS is not set: this test installs clients from npm and PyPI")
	}
	for name, c := range clients {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, script := range []string{"client.mjs", "client.py"} {
				text, err := os.ReadFile(filepath.Join("testdata", script))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, script), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c.install(t, dir)
			clientServes(t, c.argv(dir))
			clientIsRefused(t, c.argv(dir))
		})
	}
}

// started starts a client and returns the first line that it prints.
func started(t *testing.T, s *ngroktest.Service, argv []string, token, upstream string) (line string, end func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientBound)
	command := exec.CommandContext(ctx, argv[0], append(argv[1:], s.Addr(), s.CAFile(), token, "eu.acme.test", upstream)...)
	input, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	line, err = lines.ReadString('\n')
	if err != nil {
		t.Errorf("no line from the client: %v", err)
	}
	return strings.TrimSpace(line), func() {
		defer cancel()
		_ = input.Close()
		_, _ = io.Copy(io.Discard, lines)
		_ = command.Wait() // the client's exit status does not matter
	}
}

func clientServes(t *testing.T, argv []string) {
	t.Helper()
	s := start(t, ngroktest.Options{Tokens: []string{good}})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "upstream saw %s for %s", r.URL.Path, r.Header.Get("X-Forwarded-Host"))
	}))
	defer upstream.Close()
	line, end := started(t, s, argv, good, upstream.Listener.Addr().String())
	if line != "url https://eu.acme.test" {
		t.Errorf("the client printed %q", line)
	}
	for _, path := range []string{"/before", "/after"} {
		if got := get(t, s, "eu.acme.test", path); got.body != "upstream saw "+path+" for eu.acme.test" {
			t.Errorf("got %+v", got)
		}
		if path == "/before" {
			s.DropSessions()
			await(t, func() bool { return s.Auths() > 1 && len(s.Endpoints()) == 1 })
		}
	}
	end()
	await(t, func() bool { return s.Sessions() == 0 })
	if left := s.Endpoints(); len(left) != 0 {
		t.Errorf("left at the service: %v", left)
	}
}

func clientIsRefused(t *testing.T, argv []string) {
	t.Helper()
	s := start(t, ngroktest.Options{Tokens: []string{good}})
	line, end := started(t, s, argv, "2bad_authtoken", "127.0.0.1:1")
	end()
	if line != "error ERR_NGROK_107" {
		t.Errorf("with a bad authtoken the client printed %q", line)
	}
	s.Occupy("eu.acme.test", true)
	line, end = started(t, s, argv, good, "127.0.0.1:1")
	end()
	if line != "error ERR_NGROK_334" {
		t.Errorf("for an occupied domain the client printed %q", line)
	}
}
