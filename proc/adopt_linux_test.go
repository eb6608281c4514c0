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
)

// adopt makes this process a reaper of orphans until the test is over.
func adopt(t *testing.T) {
	t.Helper()
	if err := BecomeSubreaper(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
		ours.mu.Lock()
		defer ours.mu.Unlock()
		ours.adopts = false
	})
}

func TestReapTakesOrphansAlone(t *testing.T) {
	adopt(t)
	ctx, cancel := context.WithCancel(t.Context())
	var reaper sync.WaitGroup
	reaper.Go(func() { Reap(ctx) })
	defer reaper.Wait()
	defer cancel()

	foreign := exec.Command("sh", "-c", "exit 7") // started behind the package's back, ends, is not waited for yet
	if err := foreign.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the foreign child ends", func() bool { return !Alive(foreign.Process.Pid, "") })

	tr := plant(t, `exec 9>&-; for i in 1 2 3 4 5; do (sh -c 'echo up $$' &) ; done; exec sleep 60`)
	tr.output.await(t, "up", 5)
	for _, pid := range numbersIn(tr.output.String()) {
		eventually(t, fmt.Sprint("orphan reaped: ", pid), func() bool {
			_, err := StartTime(pid)
			return err != nil
		})
	}
	if err := foreign.Wait(); err == nil || err.Error() != "exit status 7" {
		t.Errorf("the foreign child's end is lost: %v", err)
	}
	tr.Stop(ctx, "TERM", 0, nil)
	if exit := tr.Exit(); exit.Signal != "KILL" {
		t.Errorf("the leader's end is lost: %v", exit)
	}
}

// What has left its session and its output, lost its marker and its parents, is a stray.
func TestStrays(t *testing.T) {
	adopt(t)
	tr := plant(t, `env -i "$SETSID" sh -c 'echo up $$; exec sleep 60 >/dev/null 2>&1' & while :; do sleep 60; done`, "SETSID="+lookup(t, "setsid"))
	tr.output.await(t, "up", 1)
	pid := numbersIn(tr.output.String())[0]
	eventually(t, "the child has left the pipe", func() bool { return !writesTo(pid, tr.pipe) })
	if err := unix.Kill(tr.PID(), unix.SIGKILL); err != nil { // before anybody has looked at the tree
		t.Fatal(err)
	}
	<-tr.Done()
	tr.Sweep(t.Context())
	if strays := Orphans(); !slices.ContainsFunc(strays, func(i Info) bool { return i.PID == pid }) {
		t.Errorf("%d is not among %v", pid, strays)
	}
	killed, err := KillOrphans(t.Context())
	if err != nil || len(killed) != 1 || killed[0].PID != pid {
		t.Errorf("killed %v, %v", killed, err)
	}
	tr.gone(t)
}

func lookup(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip("needs util-linux's ", name)
	}
	return path
}

// A quiet child holds no thread.
func TestIdleChildrenHoldNoThread(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), unix.PIDFD_NONBLOCK)
	if err != nil {
		t.Skip("needs Linux 5.10: ", err)
	}
	_ = unix.Close(fd)
	adopt(t)
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
		t.Errorf("%d threads before, %d with 40 children", before, after)
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
		CPU: 2e9, RSS: int64(25 * os.Getpagesize()), threads: 3,
	}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"", "1", "1 (x", "1 (x) S 2 3", ") ("} {
		if info, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, info)
		}
	}
	if self, err := inspect(os.Getpid()); err != nil || self.PPID != os.Getppid() || self.RSS == 0 || !strings.HasPrefix(self.Name, "proc.test") {
		t.Errorf("%+v, %v", self, err)
	}
}
