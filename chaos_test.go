package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"silo/proc"
	"silo/state"
)

const (
	// chaosRounds is the default number of kills. CHAOS_ROUNDS=500 overrides it.
	chaosRounds = 30
	// chaosInstances is the number of instances that run concurrently.
	chaosInstances = 5
	// cleanupLimit bounds how long a process may outlive its killed supervisor. On an idle
	// machine it takes less than a second.
	cleanupLimit = 30 * time.Second
)

const chaosTopology = `version = 1
[sentry]
command = ["play", "polite"]
config = "sentry.conf.py"
dialect = "tuple-id"
stop = { grace = "200ms" }
[control]
port = 0
[region.us]
id = 1
port = 0
command = ["play", "deaf"]
[region.eu]
id = 2
port = 0
command = ["play", "hasty"]
`

const chaosConfig = "# the developer's settings\nfrom sentry.conf.server import *\n"

// TestChaos kills supervisors at random moments. It fails if a process or an incomplete
// sentry.conf.py remains.
func TestChaos(t *testing.T) {
	t.Parallel()
	rounds := chaosRounds
	if text := os.Getenv("CHAOS_ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("CHAOS_ROUNDS=%s is not a number of rounds", text)
		}
		rounds = n
	}
	var mu sync.Mutex // guards took
	var took []time.Duration
	t.Run("instances", func(t *testing.T) {
		for i := range chaosInstances {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				in := newTestInstance(t)
				for round := i; round < rounds && !t.Failed(); round += chaosInstances {
					d := in.round(round)
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}
				in.last()
			})
		}
	})
	if len(took) == 0 {
		return // the instances have failed
	}
	slices.Sort(took)
	t.Logf("%d rounds; cleanup took %v (median), %v (longest)", len(took), took[len(took)/2], took[len(took)-1])
}

// raceEnabled reports whether this program was built with the race detector, which uses
// several times the memory.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// testInstance is a topology in its own directory, and the silo program.
type testInstance struct {
	*testing.T
	folder string
	random *rand.Rand
	run    string // identifies the processes of a run
	env    []string
	dir    *state.Dir
}

func newTestInstance(t *testing.T) *testInstance {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "silo.toml"), chaosTopology)
	write(t, filepath.Join(folder, "sentry.conf.py"), chaosConfig)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	in := &testInstance{T: t, folder: folder, random: rand.New(rand.NewPCG(seed, 0))}
	in.name("first")
	t.Cleanup(func() { // also after a failed test
		if _, err := proc.KillMarked(context.Background(), envTestDir+"="+folder); err != nil {
			t.Error(err)
		}
	})
	dir, err := state.DirFor(func(key string) (string, bool) {
		for _, entry := range in.env {
			if value, ok := strings.CutPrefix(entry, key+"="); ok {
				return value, true
			}
		}
		return "", false
	}, filepath.Join(folder, "silo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	in.dir = dir
	return in
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// name sets the marker of all processes that are started from now on.
func (in *testInstance) name(run string) {
	in.run = run
	in.env = []string{
		"HOME=" + in.folder, "PATH=" + os.Getenv("PATH"), "SILO_STATE_DIR=" + filepath.Join(in.folder, "state"),
		"GORACE=atexit_sleep_ms=0", envPIDs + "=" + in.pids(run), envRun + "=" + in.folder + run,
		envTestDir + "=" + in.folder,
	}
}

func (in *testInstance) pids(run string) string { return filepath.Join(in.folder, "pids-"+run) }

func (in *testInstance) silo(args ...string) *exec.Cmd {
	cmd := exec.Command("silo", args...)
	cmd.Dir, cmd.Env = in.folder, in.env
	return cmd
}

// round starts the instance, kills its supervisor at a random moment, and returns how long
// it took until no process was left.
func (in *testInstance) round(n int) time.Duration {
	in.name("run" + strconv.Itoa(n))
	var output bytes.Buffer
	supervisor := in.silo("up")
	supervisor.Stdout, supervisor.Stderr = &output, &output
	if err := supervisor.Start(); err != nil {
		in.Fatal(err)
	}
	phase := []string{"up", "steady", "restart", "down", "impatient"}[in.random.IntN(5)]
	delay := time.Duration(in.random.Int64N(int64(250 * time.Millisecond)))
	var command *exec.Cmd
	if phase != "up" && !in.ready() {
		_ = supervisor.Process.Kill()
		_ = supervisor.Wait()
		in.Fatalf("round %d: not ready; output of up:\n%s", n, output.String())
	}
	switch phase {
	case "restart":
		command = in.silo("restart", "us")
	case "down":
		command = in.silo("down")
	}
	if command != nil {
		command.Env = slices.DeleteFunc(slices.Clone(command.Env), func(entry string) bool { return strings.HasPrefix(entry, envRun+"=") })
		if err := command.Start(); err != nil {
			in.Fatal(err)
		}
	}
	time.Sleep(delay)
	// SIGQUIT ends a Go program like a panic. `down` may be faster.
	_ = supervisor.Process.Signal([]os.Signal{syscall.SIGKILL, syscall.SIGQUIT}[in.random.IntN(2)])
	killed, run := time.Now(), in.run
	_ = supervisor.Wait()
	if phase == "impatient" {
		in.name(run + "-again")
		if out, err := in.silo("up", "-d").CombinedOutput(); err != nil {
			in.Fatalf("round %d: up right after the kill: %v\n%s", n, err, out)
		}
	}
	took := in.gone(run, killed, fmt.Sprintf("round %d: killed %v into %s", n, delay, phase))
	if command != nil {
		_ = command.Wait() // fails if the supervisor has already exited
	}
	in.checkConfig()
	if phase == "impatient" {
		in.kill(fmt.Sprintf("round %d, again", n))
	}
	return took
}

// kill kills the supervisor that the snapshot names.
func (in *testInstance) kill(when string) {
	in.ready() // the snapshot is written after the message
	snapshot, err := in.dir.Last()
	if err != nil || snapshot.PID == nil || snapshot.State != state.InstanceReady {
		in.Fatalf("%s: the instance is not ready: %+v, %v", when, snapshot, err)
	}
	handle, err := os.FindProcess(*snapshot.PID)
	if err != nil {
		in.Fatal(err)
	}
	if err := handle.Kill(); err != nil {
		in.Fatal(err)
	}
	in.gone(in.run, time.Now(), when)
}

// ready waits until the snapshot shows the instance as ready. It reports whether it does.
func (in *testInstance) ready() bool {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		// The snapshot of a killed supervisor may still show ready.
		last, err := in.dir.Last()
		if err == nil && last.State == state.InstanceReady && last.PID != nil && proc.Alive(*last.PID, "") && in.dir.Running() {
			return true
		}
	}
	return false
}

// gone waits until no process of a run is left, in two consecutive checks, and returns how
// long that took.
func (in *testInstance) gone(run string, killed time.Time, when string) time.Duration {
	for {
		left := in.left(run)
		took := time.Since(killed)
		if len(left) == 0 {
			time.Sleep(50 * time.Millisecond)
			if left = in.left(run); len(left) == 0 {
				return took
			}
		}
		if took > cleanupLimit {
			in.Fatalf("%s: left after %v: %v", when, took, left)
		}
		time.Sleep(20 * time.Millisecond) // each check reads the environment of every process
	}
}

// left returns the living processes of a run, found by a marker in their environment and
// by the PIDs that they recorded, because an environment can be cleared.
func (in *testInstance) left(run string) []string {
	var left []string
	for _, info := range proc.FindMarked(envRun + "=" + in.folder + run) {
		left = append(left, info.String())
	}
	for _, pid := range readPIDs(in.pids(run)) {
		if proc.Alive(pid, "") {
			left = append(left, "recorded "+strconv.Itoa(pid))
		}
	}
	return left
}

// checkConfig fails the test unless sentry.conf.py is unchanged or has one complete block.
func (in *testInstance) checkConfig() {
	text, err := os.ReadFile(filepath.Join(in.folder, "sentry.conf.py"))
	if err != nil {
		in.Fatal(err)
	}
	if string(text) == chaosConfig {
		return
	}
	if !bytes.HasPrefix(text, []byte(chaosConfig)) || bytes.Count(text, []byte("# >>> silo:")) != 1 || !bytes.HasSuffix(text, []byte("# <<< silo <<<\n")) {
		in.Fatalf("sentry.conf.py is incomplete:\n%s", text)
	}
}

// last checks that the instance still starts and stops in order.
func (in *testInstance) last() {
	in.name("last")
	for _, verb := range [][]string{{"up", "-d"}, {"down"}} {
		if out, err := in.silo(verb...).CombinedOutput(); err != nil {
			in.Fatalf("silo %v: %v\n%s", verb, err, out)
		}
	}
	in.gone("last", time.Now(), "down")
	if _, err := os.Lstat(in.dir.Socket); err == nil {
		in.Errorf("the API socket remains")
	}
}
