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
	// chaosRounds is how often a supervisor is killed in the ordinary suite;
	// CHAOS_ROUNDS=500 makes it more.
	chaosRounds = 30
	// chaosLanes is how many instances are tormented side by side.
	chaosLanes = 5
	// chaosGoal is how long anything of a killed supervisor may live. Tests share
	// the machine with others, so it is the slower half of the rounds that may be late.
	chaosGoal = time.Second
	// chaosLimit is the same for every round.
	chaosLimit = 5 * time.Second
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

const chaosConfig = "# a developer's own\nfrom sentry.conf.server import *\n"

// TestChaos kills supervisors at random moments of their lives and looks for
// what they leave: processes, and a sentry.conf.py that is not whole.
func TestChaos(t *testing.T) {
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
	t.Run("lanes", func(t *testing.T) {
		for lane := range chaosLanes {
			t.Run(strconv.Itoa(lane), func(t *testing.T) {
				t.Parallel()
				l := newLane(t)
				for round := lane; round < rounds && !t.Failed(); round += chaosLanes {
					d := l.round(round)
					mu.Lock()
					took = append(took, d)
					mu.Unlock()
				}
				l.last()
			})
		}
	})
	if len(took) == 0 {
		return // the lanes have said why
	}
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%d rounds; all was gone after %v in half of them, after %v in each", len(took), median, took[len(took)-1])
	if median > chaosGoal && !raced() {
		t.Errorf("that is more than %v", chaosGoal)
	}
}

// raced tells whether this program carries the race detector, which makes its
// start alone take a good part of a second.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// lane is one instance and its torment.
type lane struct {
	*testing.T
	folder string
	random *rand.Rand
	run    string // names the run under torment
	env    []string
	dir    *state.Dir
}

func newLane(t *testing.T) *lane {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "silo.toml"), chaosTopology)
	write(t, filepath.Join(folder, "sentry.conf.py"), chaosConfig)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l := &lane{T: t, folder: folder, random: rand.New(rand.NewPCG(seed, 0))}
	l.name("first")
	t.Cleanup(func() { // a test that fails leaves nothing either
		if _, err := proc.KillMarked(context.Background(), playLane+"="+folder); err != nil {
			t.Error(err)
		}
	})
	dir, err := state.For(func(key string) (string, bool) {
		for _, entry := range l.env {
			if value, ok := strings.CutPrefix(entry, key+"="); ok {
				return value, true
			}
		}
		return "", false
	}, filepath.Join(folder, "silo.toml"))
	if err != nil {
		t.Fatal(err)
	}
	l.dir = dir
	return l
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// name begins a run: what is started from now on is known by its name.
func (l *lane) name(run string) {
	l.run = run
	l.env = []string{
		"HOME=" + l.folder, "PATH=" + os.Getenv("PATH"), "SILO_STATE_DIR=" + filepath.Join(l.folder, "state"),
		"GORACE=atexit_sleep_ms=0", playPIDs + "=" + l.pids(run), playMarker + "=" + l.folder + run,
		playLane + "=" + l.folder,
	}
}

func (l *lane) pids(run string) string { return filepath.Join(l.folder, "pids-"+run) }

func (l *lane) silo(args ...string) *exec.Cmd {
	cmd := exec.Command("silo", args...)
	cmd.Dir, cmd.Env = l.folder, l.env
	return cmd
}

// round brings an instance up, kills its supervisor at a moment of some phase of
// its life, and returns how long it took until nothing was left.
func (l *lane) round(n int) time.Duration {
	l.name("run" + strconv.Itoa(n))
	var said bytes.Buffer
	supervisor := l.silo("up")
	supervisor.Stdout, supervisor.Stderr = &said, &said
	if err := supervisor.Start(); err != nil {
		l.Fatal(err)
	}
	phase := []string{"up", "steady", "restart", "down", "impatient"}[l.random.IntN(5)]
	delay := time.Duration(l.random.Int64N(int64(250 * time.Millisecond)))
	var wish *exec.Cmd
	if phase != "up" && !l.ready() {
		_ = supervisor.Process.Kill()
		_ = supervisor.Wait()
		l.Fatalf("round %d: not ready; up said:\n%s", n, said.String())
	}
	switch phase {
	case "restart":
		wish = l.silo("restart", "us")
	case "down":
		wish = l.silo("down")
	}
	if wish != nil {
		wish.Env = slices.DeleteFunc(slices.Clone(wish.Env), func(entry string) bool { return strings.HasPrefix(entry, playMarker+"=") })
		if err := wish.Start(); err != nil {
			l.Fatal(err)
		}
	}
	time.Sleep(delay)
	// A program that panics ends as at QUIT. `down` may have been faster.
	_ = supervisor.Process.Signal([]os.Signal{syscall.SIGKILL, syscall.SIGQUIT}[l.random.IntN(2)])
	killed, run := time.Now(), l.run
	_ = supervisor.Wait()
	if phase == "impatient" {
		l.name(run + "-again")
		if out, err := l.silo("up", "-d").CombinedOutput(); err != nil {
			l.Fatalf("round %d: up right after the kill: %v\n%s", n, err, out)
		}
	}
	took := l.gone(run, killed, fmt.Sprintf("round %d: killed %v into %s", n, delay, phase))
	if wish != nil {
		_ = wish.Wait() // it says that the supervisor has gone
	}
	l.whole()
	if phase == "impatient" {
		l.kill(fmt.Sprintf("round %d, again", n))
	}
	return took
}

// kill kills the supervisor that runs by what its snapshot says.
func (l *lane) kill(when string) {
	l.ready() // the record follows the word of it
	snapshot, err := l.dir.Last()
	if err != nil || snapshot.PID == nil || snapshot.State != state.InstanceReady {
		l.Fatalf("%s: the instance is not ready: %+v, %v", when, snapshot, err)
	}
	handle, err := os.FindProcess(*snapshot.PID)
	if err != nil {
		l.Fatal(err)
	}
	if err := handle.Kill(); err != nil {
		l.Fatal(err)
	}
	l.gone(l.run, time.Now(), when)
}

// ready waits for the instance to be ready, by its record alone.
func (l *lane) ready() bool {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		// What a killed supervisor left may still say ready.
		last, err := l.dir.Last()
		if err == nil && last.State == state.InstanceReady && last.PID != nil && proc.Alive(*last.PID, "") && l.dir.Running() {
			return true
		}
	}
	return false
}

// gone wants nothing of a run to be left in time, by two looks, and tells when
// that was so.
func (l *lane) gone(run string, killed time.Time, when string) time.Duration {
	for {
		left := l.left(run)
		took := time.Since(killed)
		if len(left) == 0 {
			time.Sleep(50 * time.Millisecond)
			if left = l.left(run); len(left) == 0 {
				return took
			}
		}
		if took > chaosLimit {
			l.Fatalf("%s: left after %v: %v", when, took, left)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// left are the living processes of a run: by a marker in their environment, and
// by the PIDs that they wrote down, since an environment can be cleared.
func (l *lane) left(run string) []string {
	var left []string
	for _, info := range proc.FindMarked(playMarker + "=" + l.folder + run) {
		left = append(left, info.String())
	}
	for _, pid := range notedPIDs(l.pids(run)) {
		if proc.Alive(pid, "") {
			left = append(left, "noted "+strconv.Itoa(pid))
		}
	}
	return left
}

// whole wants the region config's file to be as it was, or with one whole block.
func (l *lane) whole() {
	text, err := os.ReadFile(filepath.Join(l.folder, "sentry.conf.py"))
	if err != nil {
		l.Fatal(err)
	}
	if string(text) == chaosConfig {
		return
	}
	if !bytes.HasPrefix(text, []byte(chaosConfig)) || bytes.Count(text, []byte("# >>> silo:")) != 1 || !bytes.HasSuffix(text, []byte("# <<< silo <<<\n")) {
		l.Fatalf("sentry.conf.py is not whole:\n%s", text)
	}
}

// last wants an instance to come up and go down in order after all that.
func (l *lane) last() {
	l.name("last")
	for _, verb := range [][]string{{"up", "-d"}, {"down"}} {
		if out, err := l.silo(verb...).CombinedOutput(); err != nil {
			l.Fatalf("silo %v: %v\n%s", verb, err, out)
		}
	}
	l.gone("last", time.Now(), "down")
	if _, err := os.Lstat(l.dir.Socket); err == nil {
		l.Errorf("the control socket is left")
	}
}
