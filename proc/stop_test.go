package proc

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// stubborn lists trees that survive the usual ways of stopping a process. Each prints "up"
// once for each of its processes that a test must wait for.
var stubborn = []struct {
	name, script string
	up           int
	killed       bool // the leader must be killed
	swept        bool // descendants must be killed
}{
	{"plain", `echo up; exec sleep 60`, 1, false, false},
	{"a child in the group", `sleep 60 & echo up; wait`, 1, false, false},
	{"the leader ignores signals", `trap "" TERM INT HUP QUIT; echo up; while :; do sleep 60; done`, 1, true, true},
	{"a child ignores signals", `(trap "" TERM INT HUP; echo up; while :; do sleep 60; done) & wait`, 1, false, true},
	{"a new session", `SETSID -c "echo up; exec sleep 60" & wait`, 1, false, false},
	{"a session that ignores signals", `SETSID -c 'trap "" TERM INT HUP; echo up; exec sleep 60' & wait`, 1, false, true},
	{"forked twice", `(SETSID -c "echo up; exec sleep 60" &) ; echo up; exec sleep 60`, 2, false, false},
	{"forked twice, no marker", `(env -i SETSID -c "echo up; exec sleep 60" 9>&9 &) ; exec sleep 60`, 1, false, false},
	{"the leader has ended", `SETSID -c "echo up; exec sleep 60" & exit 0`, 1, false, false},
	{"stopped", `echo up; kill -STOP $$; exit 0`, 1, false, false},
	{"a stopped child", `sh -c 'echo up; kill -STOP $$' & wait`, 1, false, false},
	{"forks without pause", `trap '' TERM; echo up; i=0; while :; do sleep 60 & sleep 0.001; done`, 1, true, true},
	{"forks and exits in a loop", `f() { (trap "" TERM; echo up; sleep 0.01; f) & }; f; exec sleep 60`, 3, false, true},
}

func TestStopStubbornTrees(t *testing.T) {
	for _, way := range []struct{ subreaper, tty bool }{{false, false}, {false, true}, {true, false}, {true, true}} {
		for _, test := range stubborn {
			t.Run(fmt.Sprintf("subreaper=%t/tty=%t/%s", way.subreaper, way.tty, test.name), func(t *testing.T) {
				if way.subreaper {
					becomeSubreaper(t)
				}
				tr := startTreeOn(t, way.tty, strings.ReplaceAll(test.script, "SETSID", newSession()))
				tr.output.await(t, "up", test.up)
				grace := 20 * time.Second
				if test.killed || test.swept {
					grace = 300 * time.Millisecond
				}
				result := tr.Stop(t.Context(), "TERM", grace, nil)
				tr.gone(t)
				if result.Killed != test.killed || result.Swept > 0 != test.swept || result.Left != nil {
					t.Errorf("%+v", result)
				}
				if left := tr.Tree(); len(left) > 0 {
					t.Errorf("Tree after Stop: %v", left)
				}
			})
		}
	}
}

func TestStopLetsTheLeaderExit(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.01; done`)
	tr.output.await(t, "up", 1)
	result := tr.Stop(t.Context(), "TERM", 10*time.Second, nil)
	if exit := tr.Exit(); exit.Code != 7 || result.Killed || !strings.HasSuffix(tr.output.String(), "bye\n") {
		t.Errorf("%v, %+v, %q", exit, result, tr.output.String())
	}
	tr.gone(t)
}

// Grace continues for descendants when the leader has ended.
func TestGraceIsForTheWholeTree(t *testing.T) {
	t.Parallel()
	tr := startTree(t, newSession()+` -c 'trap "sleep 0.2; echo bye; exit" TERM; echo up; while :; do sleep 0.01; done' & wait`)
	tr.output.await(t, "up", 1)
	result := tr.Stop(t.Context(), "TERM", 10*time.Second, nil)
	if !strings.HasSuffix(tr.output.String(), "bye\n") || result.Swept != 0 {
		t.Errorf("%q, %+v", tr.output.String(), result)
	}
	tr.gone(t)
}

func TestProgress(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `trap "" TERM; echo up; while :; do sleep 60; done`)
	tr.output.await(t, "up", 1)
	var lefts []time.Duration
	result := tr.Stop(t.Context(), "TERM", 500*time.Millisecond, func(left time.Duration, remaining []Info) {
		lefts = append(lefts, left)
		if len(remaining) == 0 || remaining[0].PID != tr.PID() {
			t.Errorf("remaining: %v, want the leader", remaining)
		}
	})
	if len(lefts) == 0 || len(lefts) > 3 || !slices.IsSortedFunc(lefts, func(a, b time.Duration) int { return cmp.Compare(b, a) }) || lefts[0] > 450*time.Millisecond {
		t.Errorf("progress got %v", lefts)
	}
	if !result.Killed {
		t.Errorf("%+v", result)
	}
}

func TestConcurrentStops(t *testing.T) {
	t.Parallel()
	shorten := map[string]func(*Process) Result{
		"a shorter grace": func(p *Process) Result { return p.Stop(context.Background(), "TERM", 0, nil) },
		"an ended context": func(p *Process) Result {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return p.Stop(ctx, "TERM", time.Hour, nil)
		},
		"a sweep": func(p *Process) Result { return p.Sweep(context.Background()) },
	}
	for name, second := range shorten {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := startTree(t, `trap "echo signaled" TERM; echo up; while :; do sleep 0.01; done`)
			tr.output.await(t, "up", 1)
			var first Result
			var callers sync.WaitGroup
			callers.Go(func() { first = tr.Stop(context.Background(), "TERM", time.Hour, nil) })
			tr.output.await(t, "signaled", 1)
			latter := second(tr.Process)
			callers.Wait()
			if !first.Killed || !latter.Killed || first.Swept != latter.Swept {
				t.Errorf("%+v, %+v", first, latter)
			}
			if again := tr.Stop(context.Background(), "TERM", time.Hour, nil); !again.Killed {
				t.Errorf("%+v", again)
			}
			tr.gone(t)
		})
	}
}

func TestContextEndsGrace(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `trap "echo signaled" TERM; echo up; while :; do sleep 0.01; done`)
	tr.output.await(t, "up", 1)
	ctx, cancel := context.WithCancel(t.Context())
	var stops sync.WaitGroup
	stops.Go(func() { tr.Stop(ctx, "TERM", time.Hour, nil) })
	tr.output.await(t, "signaled", 1)
	cancel()
	stops.Wait()
	tr.gone(t)
}

func TestOwns(t *testing.T) {
	for _, subreaper := range []bool{false, true} {
		if subreaper {
			becomeSubreaper(t)
		}
		mine := startTree(t, `sleep 60 & echo up $!; `+newSession()+` -c 'echo up $$; exec sleep 60' & (`+newSession()+` -c 'echo up $$; exec sleep 60' &); wait`)
		other := startTree(t, `echo up $$; exec sleep 60`)
		mine.output.await(t, "up", 3)
		other.output.await(t, "up", 1)
		pids := append(numbersIn(mine.output.String()), mine.PID())
		for _, pid := range pids {
			if !mine.Owns(pid) || other.Owns(pid) {
				t.Errorf("subreaper=%t: Owns must attribute %d to its own tree only", subreaper, pid)
			}
		}
		for _, pid := range []int{other.PID(), os.Getpid(), os.Getppid(), 1, 0, -1, 1 << 30} {
			if mine.Owns(pid) {
				t.Errorf("Owns is true for %d", pid)
			}
		}
		mine.Sweep(t.Context())
		for _, pid := range pids {
			if mine.Owns(pid) {
				t.Errorf("Owns is true for %d after its end", pid)
			}
		}
		mine.gone(t)
	}
}

func numbersIn(text string) (found []int) {
	for field := range strings.FieldsSeq(text) {
		var n int
		if _, err := fmt.Sscan(field, &n); err == nil {
			found = append(found, n)
		}
	}
	return found
}

// node is one shell of a random tree.
type node struct {
	session, daemon, ignores, unmarked bool
	children                           []node
}

func randomNode(rng *rand.Rand, depth int) node {
	coin := func() bool { return rng.IntN(2) == 0 }
	n := node{session: coin(), daemon: coin(), ignores: coin(), unmarked: coin()}
	if depth > 0 {
		for range rng.IntN(3) {
			n.children = append(n.children, randomNode(rng, depth-1))
		}
	}
	return n
}

// script returns the node's shell script. Children run scripts in files, to avoid
// nested quotes.
func (n node) script(t testing.TB, dir string, count *int) string {
	var text strings.Builder
	if n.ignores {
		text.WriteString("trap '' TERM INT HUP\n")
	}
	for _, child := range n.children {
		*count++
		file := fmt.Sprintf("%s/%d", dir, *count)
		if err := os.WriteFile(file, []byte(child.script(t, dir, count)), 0o600); err != nil {
			t.Fatal(err)
		}
		start := "sh " + file
		if child.session {
			start = newSession() + " " + file
		}
		if child.unmarked {
			start = "env -u PROC_TEST_TREE " + start
		}
		if child.daemon {
			start = "(" + start + " &)"
		} else {
			start += " &"
		}
		text.WriteString(start + "\n")
	}
	text.WriteString("echo up\nwhile :; do sleep 60; done\n")
	return text.String()
}

// Random trees are stopped at random moments.
func TestChaos(t *testing.T) {
	for _, subreaper := range []bool{false, true} {
		t.Run(fmt.Sprintf("subreaper=%t", subreaper), func(t *testing.T) {
			if subreaper {
				becomeSubreaper(t)
			}
			for range 8 {
				seed := rand.Uint64()
				stopRandomTree(t, rand.New(rand.NewPCG(seed, 0)))
				if t.Failed() {
					t.Fatal("seed: ", seed)
				}
			}
		})
	}
}

func stopRandomTree(t *testing.T, rng *rand.Rand) {
	count := 1
	tr := startTree(t, randomNode(rng, 3).script(t, t.TempDir(), &count))
	tr.output.await(t, "up", rng.IntN(count+1)) // between the first and the last fork
	if rng.IntN(2) == 0 {
		_ = unix.Kill(tr.PID(), unix.SIGKILL)
	}
	grace := time.Duration(rng.IntN(20)) * time.Millisecond
	if result := tr.Stop(context.Background(), "TERM", grace, nil); result.Left != nil {
		t.Errorf("%+v", result)
	}
	tr.gone(t)
}
