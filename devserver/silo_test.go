package devserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"silo/wait/waittest"
)

// tap records output and lets a test wait for it.
type tap struct {
	mu   sync.Mutex // guards text and more
	text strings.Builder
	more chan struct{}
}

func newTap() *tap { return &tap{more: make(chan struct{})} }

func (o *tap) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(p)
	close(o.more)
	o.more = make(chan struct{})
	return len(p), nil
}

func (o *tap) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait returns the submatches of the first match of pattern.
func (o *tap) wait(t *testing.T, pattern string) []string {
	t.Helper()
	expr := regexp.MustCompile("(?m)" + pattern)
	late := time.After(10 * time.Second)
	for {
		o.mu.Lock()
		found, more := expr.FindStringSubmatch(o.text.String()), o.more
		o.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-more:
		case <-late:
			t.Fatalf("%q was never written, but:\n%s", pattern, o)
		}
	}
}

// silo is a stand-in that runs in this process.
type silo struct {
	t        *testing.T
	out, err *tap
	port     string
	stop     context.CancelFunc
	ended    chan struct{} // closed once Run has returned
	result   error         // of Run
}

// environ is a small environment.
type environ map[string]string

func (e environ) get(name string) (string, bool) { value, set := e[name]; return value, set }

// with returns e extended by more.
func (e environ) with(more environ) environ {
	all := environ{}
	maps.Copy(all, e)
	maps.Copy(all, more)
	return all
}

// start runs a stand-in on a free port until the test ends.
func start(t *testing.T, env environ, args ...string) *silo {
	t.Helper()
	env = environ{"SENTRY_DEVSERVER_BIND": "127.0.0.1:0"}.with(env)
	ctx, stop := context.WithCancel(t.Context())
	s := &silo{t: t, out: newTap(), err: newTap(), stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(s.ended)
		s.result = Run(ctx, Options{Args: args, Env: env.get, Stdout: s.out, Stderr: s.err})
	}()
	t.Cleanup(func() { s.stop(); waittest.Receive(t, s.ended, "end of the stand-in") })
	return s
}

// bound waits until the silo listens.
func (s *silo) bound() *silo {
	s.t.Helper()
	s.port = s.err.wait(s.t, `^uWSGI http bound on [^:]+:(\d+) fd \d+$`)[1]
	return s
}

// end waits for Run and returns its result.
func (s *silo) end() error {
	waittest.Receive(s.t, s.ended, "end of the stand-in")
	return s.result
}

func (s *silo) url(path string) string { return "http://127.0.0.1:" + s.port + path }

// reply is a complete response.
type reply struct {
	status int
	header http.Header
	body   string
}

// get makes a GET request and fails the test if there is no response.
func (s *silo) get(path string) reply {
	s.t.Helper()
	answer, err := fetch(s.t.Context(), http.MethodGet, s.url(path), nil)
	if err != nil {
		s.t.Fatalf("GET %s: %v\n%s", path, err, s.err)
	}
	return answer
}

// fetch makes one request on a new connection.
func fetch(ctx context.Context, method, url string, body io.Reader) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return reply{}, err
	}
	client := http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	text, err := io.ReadAll(answer.Body)
	err = errors.Join(err, answer.Body.Close())
	return reply{answer.StatusCode, answer.Header, string(text)}, err
}

// shut closes c and reports an error to the test.
func shut(t *testing.T, c io.Closer) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return value
}

// conf writes a sentry.conf.py and returns its directory.
func conf(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	rewrite(t, dir, text)
	return dir
}

// reloaded waits until the silo has loaded its app for the second time.
func (s *silo) reloaded() {
	s.t.Helper()
	s.err.wait(s.t, `^WSGI app 0 .*\n(?:.*\n)*WSGI app 0 `)
}

// rewrite replaces a config file by renaming a new one over it, as editors do.
func rewrite(t *testing.T, dir, text string) {
	t.Helper()
	fresh := filepath.Join(dir, ".fresh")
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(dir, "sentry.conf.py")); err != nil {
		t.Fatal(err)
	}
}

// regionConfig is the text for a control silo and two regions at these ports.
func regionConfig(control, west, eu string) string {
	return fmt.Sprintf(`from sentry.conf.server import *
from sentry.types.region import Region, RegionCategory

SENTRY_REGION_CONFIG = (
    Region("us-west", 1, "http://127.0.0.1:%s", RegionCategory.MULTI_TENANT),
    Region("eu", 2, "http://127.0.0.1:%s", RegionCategory.SINGLE_TENANT),
)
SENTRY_CONTROL_ADDRESS = "http://127.0.0.1:%s"
`, west, eu, control)
}

// Environments of the silos of regionConfig.
func asControl(dir string) environ {
	return environ{"SENTRY_CONF": dir, "SENTRY_SILO_MODE": "CONTROL"}
}

func asRegion(dir, name string) environ {
	return environ{"SENTRY_CONF": dir, "SENTRY_SILO_MODE": "REGION", "SENTRY_REGION": name}
}

// ready starts a stand-in and waits until it answers.
func ready(t *testing.T, env environ, args ...string) *silo {
	t.Helper()
	s := start(t, env, args...).bound()
	s.err.wait(t, `^WSGI app 0 \(mountpoint=''\) ready in \d+ seconds on interpreter 0x[0-9a-f]+ pid: \d+ \(default app\)$`)
	return s
}
