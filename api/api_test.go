package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"silo/orchestrator"
	"silo/plan"
	"silo/ports"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/wait/waittest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// instance is an instance of two processes that only sleep, with its API socket.
type instance struct {
	*orchestrator.Instance
	dir     *state.Dir
	client  *Client
	options Options
	ran     chan error
	server  *Server
}

// launch starts an instance in the directory home whose silos only sleep. The caller stops
// it.
func launch(t testing.TB, home string) instance {
	t.Helper()
	return launchCommand(t, home, `["sleep", "1000"]`)
}

func launchCommand(t testing.TB, home, command string) instance {
	t.Helper()
	config := filepath.Join(home, "sentry.conf.py")
	must(t, os.WriteFile(config, nil, 0o600))
	text := "version = 1\n[sentry]\ncommand = " + command + "\nconfig = \"sentry.conf.py\"\ndialect = \"tuple-id\"\nready = false\n" +
		"[tunnels]\nprovider = \"none\"\n[control]\nport = 0\n[region.us]\nid = 1\nport = 0\n"
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"HOME": home, "SILO_STATE_DIR": filepath.Join(home, "state")}[name]
		return value, ok
	}
	ctx := context.Background() // a fuzzed instance outlives the input for which it was started
	topo, err := topology.Parse(filepath.Join(home, "silo.toml"), []byte(text), nil, env)
	must(t, err)
	choice, err := sentry.Choose(ctx, "tuple-id", sentry.Finder{Dir: home, Env: env})
	must(t, err)
	p, err := plan.New(topo, choice, false, nil)
	must(t, err)
	i := instance{ran: make(chan error, 1)}
	i.dir, err = state.DirFor(env, topo.File)
	must(t, err)
	i.Instance, err = orchestrator.Prepare(ctx, p, orchestrator.Host{
		Dir: i.dir, Environ: os.Environ(), Env: env, Warn: func(string) {}, Trace: func(string) {},
	}, nil)
	must(t, err)
	i.options = Options{
		Replan:       func(context.Context, []string, bool) (plan.Plan, error) { return p, nil },
		StripEscapes: func(line []byte) []byte { return bytes.ReplaceAll(line, []byte("\x1b[1m"), nil) },
		Version:      "test",
		Page:         Page{URL: "http://127.0.0.1:1/token/", OneTimeURL: func() string { return "http://127.0.0.1:1/ticket" }},
	}
	i.server, err = Serve(ctx, i.dir, i.Supervisor, i.options)
	must(t, err)
	i.Defer(func() error { return i.server.Close(context.Background()) })
	go func() { i.ran <- i.Run(context.Background()) }()
	i.client, err = Dial(ctx, i.dir)
	must(t, err)
	return i
}

func (i instance) end(t testing.TB) {
	t.Helper()
	i.client.Close()
	i.Down(true)
	must(t, waittest.Receive(t, i.ran, "the end of the instance"))
}

// ending reports whether the instance is shutting down.
func (i instance) ending() bool {
	now := i.Snapshot().State
	return now == state.InstanceStopping || now == state.InstanceStopped
}

func serve(t *testing.T) (*state.Dir, *orchestrator.Instance, *Client) {
	t.Helper()
	i := launch(t, t.TempDir())
	t.Cleanup(func() { i.end(t) })
	must(t, i.Await(t.Context()))
	return i.dir, i.Instance, i.client
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	dir, in, client := serve(t)
	got, err := client.Snapshot(t.Context(), true)
	must(t, err)
	want := in.Snapshot()
	if got.RunID != want.RunID || len(got.Silos) != 2 || got.Silos[1].Name != "us" || got.State != state.InstanceReady {
		t.Errorf("got %+v", got)
	}
	info, err := os.Stat(dir.Socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	_, in, client := serve(t)
	var unknown *plan.UnknownSiloError
	if err := client.Restart(t.Context(), "nosuch"); !errors.As(err, &unknown) || unknown.Name != "nosuch" || len(unknown.Known) != 2 {
		t.Errorf("an unknown silo: %v", err)
	}
	must(t, client.Stop(t.Context(), "us"))
	must(t, client.Watch(t.Context(), func(u Update) bool { return u.Snapshot.Silos[1].State != state.Stopped }))
	changes, err := client.Up(t.Context(), false)
	must(t, err)
	if changes.Any() {
		t.Errorf("nothing has changed, but Up reports %+v", changes)
	}
	must(t, in.Await(t.Context(), "us"))
}

func TestWatchEndsWithTheInstance(t *testing.T) {
	t.Parallel()
	dir, _, client := serve(t)
	var last *state.Snapshot
	err := client.Watch(t.Context(), func(u Update) bool {
		if last == nil {
			must(t, client.Down(t.Context(), false))
		}
		last = u.Snapshot
		return true
	})
	if !errors.Is(err, ErrNotRunning) || last.State != state.InstanceStopped {
		t.Errorf("Watch returns %v, the last state is %v", err, last.State)
	}
	waittest.Until(t, "the release of the lock", func() bool { return !dir.Running() })
	if _, err := Dial(t.Context(), dir); !errors.Is(err, ErrNotRunning) {
		t.Errorf("Dial after the end: %v", err)
	}
	if _, err := os.Stat(dir.Socket); err == nil {
		t.Error("the socket still exists")
	}
}

// While silos stop, updates are sent without a change, because they contain last lines.
func TestWatchRepeatsLastLines(t *testing.T) {
	t.Parallel()
	i := launchCommand(t, t.TempDir(), `["sh", "-c", "trap '' TERM; while :; do echo alive; sleep 0.05; done"]`)
	defer i.end(t)
	must(t, i.Await(t.Context()))
	waittest.Until(t, "output", func() bool { return i.LastLine("us") == "alive" })
	must(t, i.client.Down(t.Context(), false))
	ctx, cancel := context.WithTimeout(t.Context(), waittest.Limit)
	defer cancel()
	updates := 0
	must(t, i.client.Watch(ctx, func(u Update) bool {
		if u.LastLines["us"] == "alive" {
			updates++
		}
		return updates < 8
	}))
}

func TestErrorsOverTheSocket(t *testing.T) {
	t.Parallel()
	for _, want := range []error{
		&plan.UnknownSiloError{Name: "nosuch", Known: []string{"control", "us"}},
		&plan.ImmutableError{Settings: []string{"name"}},
		&orchestrator.UnmanagedError{Names: []string{"us"}},
		&orchestrator.UnrepeatableError{ID: 7, Why: "its body is too long"},
		ports.Conflicts{{Name: "us", Port: 8000}},
		orchestrator.ErrNotKept, sentry.ErrMissing, sentry.ErrMarkers, errors.New("any other"),
	} {
		w := httptest.NewRecorder()
		writeError(w, fmt.Errorf("%w", want))
		response := w.Result()
		got := decodeError(response)
		_ = response.Body.Close() // of a recorder
		if remote, ok := errors.AsType[*remoteError](got); ok && remote.text == want.Error() {
			got = remote.sentinel
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%#v arrives as %#v", want, got)
		}
	}
}

// raw posts a body that the client would not send.
func raw(t *testing.T, dir *state.Dir, path string, body []byte) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", dir.Socket)
		},
	}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://silo"+path, bytes.NewReader(body))
	must(t, err)
	response, err := client.Do(request)
	must(t, err)
	must(t, response.Body.Close())
	return response.StatusCode
}

func TestInvalidBodies(t *testing.T) {
	t.Parallel()
	dir, in, _ := serve(t)
	for _, body := range []string{"", "{", `{"silos": 1}`, `{"silo": ["us"]}`, `[]`, "\x00"} {
		if got := raw(t, dir, "/v1/restart", []byte(body)); got != http.StatusBadRequest {
			t.Errorf("%q: %d", body, got)
		}
	}
	if got := raw(t, dir, "/v1/restart", bytes.Repeat([]byte(" "), 2*maxBody)); got != http.StatusBadRequest {
		t.Errorf("an oversized body: %d", got)
	}
	if in.Snapshot().State != state.InstanceReady {
		t.Error("a rejected request had an effect")
	}
}
