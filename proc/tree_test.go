package proc

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"

	"silo/wait/waittest"
)

// The result is every living process that can be reached from a seed, once.
func TestDescendants(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		all, seeds := table{}, map[int]bool{}
		for pid := 1; pid <= rapid.IntRange(0, 20).Draw(rt, "processes"); pid++ {
			all[pid] = Info{
				PID:   pid,
				PPID:  rapid.IntRange(0, 22).Draw(rt, "parent"), // cycles are possible, since processes are read one after another
				State: rapid.SampledFrom([]string{"S", "R", "T", "Z"}).Draw(rt, "state"),
			}
			seeds[pid] = rapid.IntRange(0, 4).Draw(rt, "seed") == 0
		}
		reached := func(pid int) bool {
			for range len(all) + 1 {
				info, there := all[pid]
				if !there {
					return false
				}
				if seeds[pid] {
					return true
				}
				pid = info.PPID
			}
			return false
		}
		got := all.descendants(func(info Info) bool { return seeds[info.PID] })
		for pid, info := range all {
			count := 0
			for _, member := range got {
				if member.PID == pid {
					count++
				}
			}
			if want := reached(pid) && info.State != "Z"; want != (count == 1) || count > 1 {
				rt.Errorf("process %d occurs %d times in %v", pid, count, got)
			}
		}
	})
}

func TestDescendantsOrder(t *testing.T) {
	t.Parallel()
	all := table{9: {PID: 9}, 3: {PID: 3, PPID: 9}, 7: {PID: 7, PPID: 9}, 5: {PID: 5, PPID: 7}, 4: {PID: 4, PPID: 1}}
	got := fmt.Sprint(all.descendants(func(info Info) bool { return info.PID == 9 }))
	if want := "[9  3  7  5 ]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A process that reuses the PID of an earlier member does not match.
func TestMatcherDetectsReusedPIDs(t *testing.T) {
	t.Parallel()
	m := matcher{leaders: map[int]string{10: "1"}, known: map[int]string{20: "2"}}
	for _, test := range []struct {
		info   Info
		reused bool
		want   bool
	}{
		{Info{PID: 10, SID: 10, StartTime: "1"}, false, true},
		{Info{PID: 10, SID: 10, StartTime: "9"}, false, false},
		{Info{PID: 20, SID: 20, StartTime: "2"}, false, true},
		{Info{PID: 20, SID: 20, StartTime: "9"}, false, false},
		{Info{PID: 30, SID: 10, StartTime: "3"}, false, true},
		{Info{PID: 30, SID: 10, StartTime: "3"}, true, false},
		{Info{PID: 30, SID: 5, PGID: 10, StartTime: "3"}, false, true},
		{Info{PID: 30, SID: 5, PGID: 10, StartTime: "3"}, true, false},
	} {
		m.groups = map[int]bool{10: !test.reused}
		if got := m.matches(test.info); got != test.want {
			t.Errorf("%+v, leader's PID reused %t: matches = %t", test.info, test.reused, got)
		}
	}
}

func TestTreeMeasures(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `sleep 60 & i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo up; wait`)
	tr.output.await(t, "up", 1)
	members := tr.Tree()
	if len(members) != 2 || members[0].PID != tr.PID() || members[1].PPID != tr.PID() || members[1].Name != "sleep" {
		t.Fatalf("%+v", members)
	}
	if members[0].CPU <= 0 || members[0].RSS < 100_000 || members[1].RSS < 100_000 {
		t.Errorf("%+v", members)
	}
	tr.Sweep(t.Context())
}

func TestZombiesAreNotAlive(t *testing.T) {
	t.Parallel()
	zombie := exec.Command("true")
	if err := zombie.Start(); err != nil {
		t.Fatal(err)
	}
	pid := zombie.Process.Pid
	start, err := StartTime(pid)
	if err != nil || start == "" {
		t.Fatal(start, err)
	}
	waittest.Until(t, "the child is a zombie", func() bool { return !Alive(pid, start) })
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("kill of a zombie: %v", err)
	}
	_ = zombie.Wait()
	if _, err := StartTime(pid); err == nil {
		t.Error("a reaped process has a start time")
	}
	self, err := StartTime(os.Getpid())
	if err != nil || !Alive(os.Getpid(), self) || !Alive(os.Getpid(), "") || Alive(os.Getpid(), self+"0") {
		t.Errorf("start time of this process: %q, %v", self, err)
	}
}

func TestKillComparesStartTimes(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `echo up; exec sleep 60`)
	tr.output.await(t, "up", 1)
	if err := kill(Info{PID: tr.PID(), StartTime: "1"}, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if !Alive(tr.PID(), tr.StartTime()) {
		t.Error("a process with another start time was killed")
	}
	if err := kill(Info{PID: tr.PID(), StartTime: tr.StartTime()}, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if exit := tr.Exit(); exit.Signal != "KILL" {
		t.Error(exit)
	}
}

func TestKillMarked(t *testing.T) {
	t.Parallel()
	marker := fmt.Sprintf("PROC_TEST_RUN=%d-%s", os.Getpid(), t.Name())
	marked := startTree(t, `(`+newSession()+` -c 'echo up; exec sleep 60' &); env -u PROC_TEST_RUN sh -c 'echo up; sleep 60; exit' & wait`, marker) // the last child may not have been forked yet
	other := startTree(t, `echo up; exec sleep 60`, marker+"0")
	marked.output.await(t, "up", 2)
	other.output.await(t, "up", 1)
	found := FindMarked(marker)
	if len(found) < 3 || !slices.ContainsFunc(found, func(i Info) bool { return i.PID == marked.PID() }) {
		t.Errorf("found %v", found)
	}
	killed, err := KillMarked(t.Context(), marker)
	if err != nil || len(killed) < 3 {
		t.Errorf("killed %v, %v", killed, err)
	}
	marked.gone(t)
	if len(FindMarked(marker)) != 0 {
		t.Error("FindMarked still finds processes")
	}
	if !Alive(other.PID(), other.StartTime()) {
		t.Error("a process with another marker was killed")
	}
}

// If the leader of a group is marked, the whole group is killed: a child that has just
// been forked may not be recognizable otherwise.
func TestKillMarkedKillsGroups(t *testing.T) {
	t.Parallel()
	marker := fmt.Sprintf("PROC_TEST_RUN=%d-%s", os.Getpid(), t.Name())
	tr := startTree(t, `(env -u PROC_TEST_RUN sh -c 'echo up; exec sleep 60' &); echo up; exec sleep 60`, marker)
	tr.output.await(t, "up", 2)
	if killed, err := KillMarked(t.Context(), marker); err != nil || len(killed) != 1 || killed[0].PID != tr.PID() {
		t.Errorf("KillMarked = %v, %v; want only the leader", killed, err)
	}
	waittest.Until(t, "the unmarked member of the group is killed", func() bool {
		n, err := unix.Read(int(tr.alive.Fd()), make([]byte, 1))
		return n == 0 && err == nil
	})
}

// The caller and its shell survive, even if that shell leads a session, or a group that
// contains processes to kill.
func TestKillMarkedSparesTheCaller(t *testing.T) {
	t.Parallel()
	const call = roleKey + `=killmarked "$SELF" "$PROC_TEST_MARKER"`
	for name, line := range map[string]string{
		"in its session":   call,
		"in a new session": newSession() + ` -c '` + call + `; exit'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			marker := fmt.Sprintf("PROC_TEST_RUN=%d-%s", os.Getpid(), t.Name())
			tr := startTree(t, `sleep 60 & `+line+`; wait; echo shell survives`, marker, "PROC_TEST_MARKER="+marker)
			waittest.Receive(t, tr.Done(), "the end of the leader")
			if got := tr.output.String(); !strings.HasSuffix(got, "1 <nil>\nshell survives\n") {
				t.Errorf("got %q", got)
			}
			tr.gone(t)
		})
	}
}

func TestKillTree(t *testing.T) {
	t.Parallel()
	tr := startTree(t, `sh -c 'echo up; sleep 60; exit' & `+newSession()+` -c 'echo up; exec sleep 60' & wait`)
	tr.output.await(t, "up", 2)
	if killed, err := KillTree(t.Context(), tr.PID(), "1"); err != nil || len(killed) != 0 || !Alive(tr.PID(), tr.StartTime()) {
		t.Errorf("KillTree with another start time = %v, %v", killed, err)
	}
	killed, err := KillTree(t.Context(), tr.PID(), tr.StartTime())
	if err != nil || len(killed) < 3 {
		t.Errorf("killed %v, %v", killed, err)
	}
	tr.gone(t)
}

// The layouts are those of sysctl kern.procargs2 on macOS.
func TestEnvironmentOf(t *testing.T) {
	t.Parallel()
	layout := func(argc uint32, rest string) []byte {
		return append(binary.NativeEndian.AppendUint32(nil, argc), rest...)
	}
	for name, test := range map[string]struct {
		raw  []byte
		want string
		ok   bool
	}{
		"padded path":         {layout(2, "/bin/sleep\x00\x00\x00\x00\x00\x00sleep\x0060\x00A=1\x00SILO_RUN_ID=x\x00\x00"), "A=1\x00SILO_RUN_ID=x\x00\x00", true},
		"apple strings":       {layout(1, "/usr/bin/python3\x00\x00\x00\x00python3\x00A=\x00ptr_munge=\x00main_stack=\x00"), "A=\x00ptr_munge=\x00main_stack=\x00", true},
		"empty argument":      {layout(3, "/bin/sh\x00sh\x00\x00x\x00A=1\x00"), "A=1\x00", true},
		"hidden environment":  {layout(1, "/bin/sh\x00sh\x00"), "", true},
		"cut off":             {layout(3, "/bin/sh\x00sh\x00-c"), "", false},
		"no path":             {layout(0, "abc"), "", false},
		"nothing":             {nil, "", false},
		"marker as argument":  {layout(2, "/bin/echo\x00\x00echo\x00SILO_RUN_ID=x\x00B=2\x00"), "B=2\x00", true},
		"arguments only, odd": {layout(1<<31-1, "/bin/sh\x00sh\x00"), "", false},
	} {
		got, ok := environmentOf(test.raw)
		if ok != test.ok || string(got) != test.want {
			t.Errorf("%s: got %q, %t", name, got, ok)
		}
	}
}

func TestSignalNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"TERM": "TERM", "SIGINT": "INT", "usr1": "USR1", "KILL": "KILL"} {
		signal, err := Signal(name)
		if err != nil || SignalName(signal) != want {
			t.Errorf("%s: %v, %v", name, signal, err)
		}
	}
	for _, name := range []string{"", "NOPE", "SIG", "9"} {
		if signal, err := Signal(name); err == nil {
			t.Errorf("%q is %v", name, signal)
		}
	}
	if got := (Exit{Code: 3}).String() + ", " + (Exit{Signal: "KILL"}).String(); got != "exit status 3, signal KILL" {
		t.Error(got)
	}
}
