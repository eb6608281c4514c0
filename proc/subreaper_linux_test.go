package proc

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"silo/wait/waittest"
)

// becomeSubreaper makes this process the subreaper until the test ends.
func becomeSubreaper(t *testing.T) {
	t.Helper()
	if err := BecomeSubreaper(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		children.mu.Lock()
		defer children.mu.Unlock()
		children.subreaper = false
	})
}

func TestReapReapsOnlyOrphans(t *testing.T) {
	becomeSubreaper(t)
	ctx, cancel := context.WithCancel(t.Context())
	var reaper sync.WaitGroup
	reaper.Go(func() { Reap(ctx) })
	defer reaper.Wait()
	defer cancel()

	tr := startTree(t, `exec 9>&-; for i in 1 2 3 4 5; do (sh -c 'echo up $$' &) ; done; exec sleep 60`)
	tr.output.await(t, "up", 5)
	for _, pid := range numbersIn(tr.output.String()) {
		waittest.Until(t, fmt.Sprintf("orphan %d is reaped", pid), func() bool {
			_, err := StartTime(pid)
			return err != nil
		})
	}
	tr.Stop(ctx, "TERM", 0, nil)
	if exit := tr.Exit(); exit.Signal != "KILL" {
		t.Errorf("the leader ended with %v, want signal KILL", exit)
	}
}

// Orphans finds an orphan that has left its session, its output and its marker.
func TestOrphans(t *testing.T) {
	becomeSubreaper(t)
	tr := startTree(t, `env -i "$SETSID" sh -c 'echo up $$; exec sleep 60 >/dev/null 2>&1' & while :; do sleep 60; done`, "SETSID="+requireCommand(t, "setsid"))
	tr.output.await(t, "up", 1)
	pid := numbersIn(tr.output.String())[0]
	waittest.Until(t, "the child has left the pipe", func() bool { return !slices.Contains(outputs(pid), tr.pipe) })
	if err := unix.Kill(tr.PID(), unix.SIGKILL); err != nil { // before the first time that the tree is read
		t.Fatal(err)
	}
	waittest.Receive(t, tr.Done(), "the end of the leader")
	tr.Sweep(t.Context())
	if orphans := Orphans(); !slices.ContainsFunc(orphans, func(i Info) bool { return i.PID == pid }) {
		t.Errorf("Orphans = %v, want process %d", orphans, pid)
	}
	killed, err := KillOrphans(t.Context())
	if err != nil || len(killed) != 1 || killed[0].PID != pid {
		t.Errorf("KillOrphans = %v, %v; want process %d", killed, err, pid)
	}
	tr.gone(t)
}

func requireCommand(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("needs the command ", name)
	}
	return path
}

func TestIdleChildrenHoldNoThread(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), unix.PIDFD_NONBLOCK)
	if err != nil {
		t.Skip("needs Linux 5.10: ", err)
	}
	_ = unix.Close(fd)
	becomeSubreaper(t)
	before := len(numbers("/proc/self/task"))
	var running []*Process
	for range 40 {
		p, err := Start(Spec{Argv: []string{"sleep", "60"}})
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, p)
	}
	if after := len(numbers("/proc/self/task")); after > before+10 {
		t.Errorf("%d threads with 40 children, %d before", after, before)
	}
	for _, p := range running {
		p.Stop(t.Context(), "KILL", 0, nil)
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	line := "4242 (a) b (c)) S 1 4242 4240 0 -1 4194560 1 2 3 4 150 50 7 8 20 0 3 0 987654 1000000 25 18446744073709551615 1 1 0\n"
	got, err := parseStat([]byte(line))
	want := Info{
		PID: 4242, PPID: 1, PGID: 4242, SID: 4240, StartTime: "987654", Name: "a) b (c)", State: "S",
		CPU: 2e9, RSS: int64(25 * os.Getpagesize()),
	}
	if err != nil || got != want {
		t.Errorf("parseStat = %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1", "1 (x", "1 (x) S 2 3", ") ("} {
		if info, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("parseStat accepts %q: %+v", bad, info)
		}
	}
	if self, err := inspect(os.Getpid()); err != nil || self.PPID != os.Getppid() || self.RSS == 0 || !strings.HasPrefix(self.Name, "proc.test") {
		t.Errorf("inspect this process = %+v, %v", self, err)
	}
}
