package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"silo/logs"
	"silo/plan"
	"silo/proc"
	"silo/sentry"
	"silo/state"
	"silo/topology"
	"silo/wait/waittest"
)

// standInEnv makes this test binary a devserver instead of running tests.
const standInEnv = "ORCHESTRATOR_TEST_PLAY"

func TestMain(m *testing.M) {
	if role := os.Getenv(standInEnv); role != "" {
		standIn(role)
		return
	}
	goleak.VerifyTestMain(m)
}

// standIn is a minimal devserver. Its role determines how it behaves.
func standIn(role string) {
	fmt.Println("starting", os.Getenv("SILO_NAME"))
	if role == "exits" {
		fmt.Println("last line")
		os.Exit(3)
	}
	mux := http.NewServeMux()
	var sick atomic.Bool
	mux.HandleFunc("/toggle-health", func(http.ResponseWriter, *http.Request) { sick.Store(!sick.Load()) })
	mux.HandleFunc("/_health/", func(w http.ResponseWriter, _ *http.Request) {
		if sick.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "ok")
	})
	mux.HandleFunc("/crash", func(http.ResponseWriter, *http.Request) { os.Exit(4) })
	mux.HandleFunc("/call", func(w http.ResponseWriter, r *http.Request) { // calls another silo on a new connection
		client := &http.Client{Transport: &http.Transport{}} // keeps its connection open, so that the caller can be found
		response, err := client.Get(r.FormValue("url"))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	})
	mux.HandleFunc("/fired", func(http.ResponseWriter, *http.Request) { fmt.Println("fired") })
	mux.HandleFunc("/fire", func(_ http.ResponseWriter, r *http.Request) { // does not wait for the answer
		conn, err := net.Dial("tcp", r.FormValue("at"))
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "POST /fired HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
		_ = conn.Close()
	})
	if role == "other-mode" { // a region that answers like control
		mux.HandleFunc("/api/0/users/me/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	}
	if role == "silent" {
		select {}
	}
	_ = http.ListenAndServe(os.Getenv("SENTRY_DEVSERVER_BIND"), mux)
}

// fixture is a running instance.
type fixture struct {
	*Instance

	dir    *state.Dir
	ran    chan error
	config string
	text   string // of the topology
	parse  func(text string) plan.Plan
	before atomic.Pointer[func()] // if set, called before each launch
}

// plan returns the plan of the topology with additional lines at its end.
func (f *fixture) plan(more string) plan.Plan { return f.parse(f.text + more) }

// start runs an instance of control and the region us, whose stand-in has the given
// role. extra are lines of [region.us].
func start(t *testing.T, role, extra string) *fixture {
	t.Helper()
	return startAs(t, role, extra, "")
}

// startAs is start with a line of [sentry].
func startAs(t *testing.T, role, extra, sentryLine string) *fixture {
	t.Helper()
	home := t.TempDir()
	config := filepath.Join(home, "sentry.conf.py")
	must(t, os.WriteFile(config, []byte("# mine\n"), 0o600))
	self, err := os.Executable()
	must(t, err)
	text := fmt.Sprintf(`version = 1
name = "bench"
[sentry]
command = [%q]
config = %q
dialect = "tuple-id"
restart = { backoff = "10ms" }
%s
[control]
port = 0
env = { %s = "plain" }
[region.us]
id = 1
port = 0
env = { %s = %q }
%s
`, self, config, sentryLine, standInEnv, standInEnv, role, extra)
	env := func(name string) (string, bool) {
		value, ok := map[string]string{"HOME": home, "SILO_STATE_DIR": filepath.Join(home, "state")}[name]
		return value, ok
	}
	parse := func(text string) plan.Plan {
		topo, err := topology.Parse(filepath.Join(home, "silo.toml"), []byte(text), nil, env)
		must(t, err)
		choice, err := sentry.Choose(t.Context(), topo.Sentry.Dialect, sentry.Finder{Dir: home, Command: topo.Sentry.Command, Env: env})
		must(t, err)
		p, err := plan.New(topo, choice, false, nil)
		must(t, err)
		return p
	}
	first := parse(text)
	dir, err := state.DirFor(env, first.Topology.File)
	must(t, err)
	b := &fixture{parse: parse, text: text, dir: dir, ran: make(chan error, 1), config: config}
	mux := logs.NewMux(io.Discard, func(name string) string {
		if before := b.before.Load(); before != nil {
			(*before)()
		}
		return name + " | "
	})
	b.Instance, err = Prepare(t.Context(), first, Host{
		Dir: dir, Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GORACE=atexit_sleep_ms=0"}, Env: env,
		Version: "test", Warn: func(string) {}, Trace: func(string) {},
	}, mux)
	must(t, err)
	go func() { b.ran <- b.Run(context.Background()) }()
	t.Cleanup(func() { b.down(t); _ = mux.Close() })
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// down stops the instance, if it runs.
func (f *fixture) down(t *testing.T) {
	t.Helper()
	select {
	case <-f.Ended():
		return
	default:
	}
	f.Down(false)
	must(t, waittest.Receive(t, f.ran, "end of the instance"))
}

// us returns the region.
func (f *fixture) us() state.Silo { return f.Snapshot().Silos[1] }

// until waits for a snapshot that satisfies a condition.
func (f *fixture) until(t *testing.T, what string, met func() bool) {
	t.Helper()
	timeout := time.After(waittest.Limit)
	for {
		_, replaced := f.Next()
		if met() {
			return
		}
		select {
		case <-replaced:
		case <-timeout:
			t.Fatalf("not %s within %v: %+v", what, waittest.Limit, f.Snapshot())
		}
	}
}

// measured refreshes until the usage of us is known.
func (f *fixture) measured(t *testing.T) (s *state.Snapshot) {
	t.Helper()
	waittest.Until(t, "the usage is known", func() bool {
		s = f.Refresh(t.Context())
		return s.Silos[1].RSSBytes != nil && s.Silos[1].CPUPercent != nil
	})
	return s
}

func TestUpAndDown(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	s := b.Snapshot()
	if s.State != state.InstanceReady || s.Silos[0].Name != "control" || s.Silos[1].ReadyAt == nil {
		t.Fatalf("got %+v, want a ready instance", s)
	}
	if got := b.measured(t); *got.Silos[1].RSSBytes == 0 || got.Config.InStep == nil || !*got.Config.InStep {
		t.Errorf("refreshed: %+v, config %+v", got.Silos[1], got.Config)
	}
	text, err := os.ReadFile(b.config)
	must(t, err)
	if !strings.Contains(string(text), b.Block().Text()) {
		t.Errorf("%s does not hold the region config", b.config)
	}
	pids := []int{*s.Silos[0].PID, *s.Silos[1].PID}
	times := []string{*s.Silos[0].ProcessTime, *s.Silos[1].ProcessTime}
	if !b.dir.Running() {
		t.Error("the instance runs, but does not hold its lock")
	}
	b.down(t)
	for i, pid := range pids {
		if proc.Alive(pid, times[i]) {
			t.Errorf("process %d is still running", pid)
		}
	}
	last, err := b.dir.Last()
	must(t, err)
	if last.State != state.InstanceStopped || last.Silos[0].State != state.Stopped || b.dir.Running() {
		t.Errorf("at the end %+v, running %v", last, b.dir.Running())
	}
}

func TestPrepareRefusesRunningInstance(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	if _, err := Prepare(t.Context(), b.placement().Plan, b.placement().Host, nil); !errors.Is(err, state.ErrRunning) {
		t.Fatalf("a second Prepare: %v", err)
	}
}

func TestExitBeforeReadyFails(t *testing.T) {
	t.Parallel()
	b := start(t, "exits", "")
	var failed *FailedError
	if err := b.Await(t.Context()); !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	f := failed.Silos[0]
	if f.Name != "us" || f.Reason != "exited with code 3" || f.Tail[len(f.Tail)-1] != "last line" || failed.TimedOut {
		t.Fatalf("got %+v", failed)
	}
}

func TestCrashIsRestarted(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	before := b.us()
	response, err := http.Get("http://" + before.Bind + "/crash")
	if err == nil {
		_ = response.Body.Close()
	}
	b.until(t, "ready again", func() bool { s := b.us(); return s.Restarts == 1 && s.State == state.Ready })
	after := b.us()
	if after.URL != before.URL || after.Port != before.Port || *after.PID == *before.PID || *after.Exit.Code != 4 {
		t.Fatalf("before %+v, after %+v", before, after)
	}
}

func TestRefreshNoticesHealth(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	for _, want := range []state.Phase{state.Unready, state.Ready} {
		response, err := http.Get("http://" + b.us().Bind + "/toggle-health")
		must(t, err)
		must(t, response.Body.Close())
		b.until(t, string(want), func() bool { return b.Refresh(t.Context()).Silos[1].State == want })
	}
}

// An unready silo is probed until it is ready, although no one asks.
func TestUnreadyBecomesReadyUnasked(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	toggle := func() {
		response, err := http.Get("http://" + b.us().Bind + "/toggle-health")
		must(t, err)
		must(t, response.Body.Close())
	}
	toggle()
	b.until(t, "unready", func() bool { return b.Refresh(t.Context()).Silos[1].State == state.Unready })
	toggle()
	b.until(t, "ready", func() bool { return b.us().State == state.Ready })
}

func TestRefreshDoesNotWaitForSlowMeasurement(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	resume := make(chan struct{})
	var calls atomic.Int32
	b.measure = func(processes []*proc.Process) []proc.Usage {
		calls.Add(1)
		<-resume
		return proc.Measure(processes)
	}
	for _, refresh := range []func() *state.Snapshot{func() *state.Snapshot { return b.Refresh(t.Context()) }, b.Measure} {
		refreshed := make(chan *state.Snapshot, 1)
		go func() { refreshed <- refresh() }()
		s := waittest.Receive(t, refreshed, "a snapshot")
		if us := s.Silos[1]; us.PID == nil || us.CPUPercent != nil || us.RSSBytes != nil || s.Config.InStep == nil {
			t.Errorf("got %+v, want a silo without usage", us)
		}
	}
	if n := calls.Load(); n > 1 {
		t.Errorf("%d measurements run at the same time", n)
	}
	close(resume)
	b.measured(t)
}

func TestReadyTimeout(t *testing.T) {
	t.Parallel()
	b := start(t, "silent", `ready = { timeout = "300ms" }`)
	var failed *FailedError
	if err := b.Await(t.Context()); !errors.As(err, &failed) || !failed.TimedOut {
		t.Fatalf("got %v", err)
	}
}

func TestForeignListenerIsNotReady(t *testing.T) {
	t.Parallel()
	b := start(t, "silent", "")
	b.until(t, "launched", func() bool { return b.us().PID != nil })
	stranger := listen(t, b.us().Bind)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	})}
	go func() { _ = server.Serve(stranger) }()
	defer func() { _ = server.Close() }()
	b.until(t, "rejected", func() bool {
		s := b.us()
		return s.Reason != nil && strings.Contains(*s.Reason, fmt.Sprintf("pid %d", os.Getpid()))
	})
	if s := b.us(); s.State != state.Starting {
		t.Fatalf("the silo is %s", s.State)
	}
}

func TestWrongModeFails(t *testing.T) {
	t.Parallel()
	b := start(t, "other-mode", "")
	var failed *FailedError
	if err := b.Await(t.Context()); !errors.As(err, &failed) || !strings.Contains(failed.Error(), "another mode") {
		t.Fatalf("got %v", err)
	}
}

func TestStopAndStartKeepAddress(t *testing.T) {
	t.Parallel()
	b := start(t, "plain", "")
	must(t, b.Await(t.Context()))
	url := b.us().URL
	must(t, b.Stop("us"))
	b.until(t, "stopped", func() bool { return b.us().State == state.Stopped })
	must(t, b.Start("us"))
	must(t, b.Await(t.Context(), "us"))
	must(t, b.Restart("us"))
	must(t, b.Await(t.Context(), "us"))
	if got := b.us(); got.URL != url || got.Restarts != 0 {
		t.Fatalf("got %+v, want the address %s", got, url)
	}
	var unknown *plan.UnknownSiloError
	if err := b.Restart("nosuch"); !errors.As(err, &unknown) {
		t.Fatalf("got %v", err)
	}
}

func TestCleanAfterKilledSupervisor(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	env := func(name string) (string, bool) { return home, name == "SILO_STATE_DIR" }
	dir, err := state.DirFor(env, filepath.Join(home, "silo.toml"))
	must(t, err)
	marked, err := proc.Start(proc.Spec{Argv: []string{"sleep", "100"}, Env: append(os.Environ(), instanceMarker(dir))})
	must(t, err)
	recorded, err := proc.Start(proc.Spec{Argv: []string{"sleep", "100"}})
	must(t, err)
	other, err := proc.Start(proc.Spec{Argv: []string{"sleep", "100"}})
	must(t, err)
	defer other.Sweep(context.Background())
	pid, started := recorded.PID(), recorded.StartTime()
	reused, earlier := other.PID(), "1" // another process now has the PID of eu
	must(t, dir.Save(&state.Snapshot{
		SchemaVersion: state.SchemaVersion, State: state.InstanceReady,
		Silos: []state.Silo{
			{Name: "us", State: state.Ready, PID: &pid, ProcessTime: &started},
			{Name: "eu", State: state.Ready, PID: &reused, ProcessTime: &earlier},
		},
	}))
	must(t, dir.Acquire(t.Context()))
	defer func() { must(t, dir.Release()) }()
	ended, err := Clean(t.Context(), dir)
	must(t, err)
	if len(ended) != 2 || !proc.Alive(other.PID(), other.StartTime()) {
		t.Errorf("ended %v, a process with a reused PID is alive: %v", ended, proc.Alive(other.PID(), other.StartTime()))
	}
	for _, p := range []*proc.Process{marked, recorded} {
		waittest.Receive(t, p.Done(), "end of a process that was left")
		p.Sweep(t.Context())
	}
	last, err := dir.Last()
	must(t, err)
	if last.State != state.InstanceStopped {
		t.Errorf("the saved state is %s", last.State)
	}
}
