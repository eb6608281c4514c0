package proc

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// kin is exactly what can be reached from a seed, living, each once, and no
// child before its parent.
func TestKin(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		look, seeds := table{}, map[int]bool{}
		for pid := 1; pid <= rapid.IntRange(0, 20).Draw(rt, "processes"); pid++ {
			look[pid] = Info{
				PID:   pid,
				PPID:  rapid.IntRange(0, 22).Draw(rt, "parent"), // a loop too, as a look that is not of one moment may show
				State: rapid.SampledFrom([]string{"S", "R", "T", "Z"}).Draw(rt, "state"),
			}
			seeds[pid] = rapid.IntRange(0, 4).Draw(rt, "seed") == 0
		}
		reached := func(pid int) bool {
			for range len(look) + 1 {
				info, there := look[pid]
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
		got := look.kin(func(info Info) bool { return seeds[info.PID] })
		for pid, info := range look {
			count := 0
			for _, member := range got {
				if member.PID == pid {
					count++
				}
			}
			if want := reached(pid) && info.State != "Z"; want != (count == 1) || count > 1 {
				rt.Errorf("%d: %d times in %v", pid, count, got)
			}
		}
	})
}

func TestKinOrder(t *testing.T) {
	t.Parallel()
	look := table{9: {PID: 9}, 3: {PID: 3, PPID: 9}, 7: {PID: 7, PPID: 9}, 5: {PID: 5, PPID: 7}, 4: {PID: 4, PPID: 1}}
	got := fmt.Sprint(look.kin(func(info Info) bool { return info.PID == 9 }))
	if want := "[9  3  7  5 ]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A number that has passed to another process does not make that one a member.
func TestMemberKnowsReusedNumbers(t *testing.T) {
	t.Parallel()
	line := lineage{leader: 10, start: "1", known: map[int]string{20: "2"}}
	for _, test := range []struct {
		info   Info
		passed bool
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
		line.passed = test.passed
		if got := line.member(test.info); got != test.want {
			t.Errorf("%+v, passed %t: %t", test.info, test.passed, got)
		}
	}
}

func TestTreeIsMeasured(t *testing.T) {
	t.Parallel()
	tr := plant(t, `sleep 60 & i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo up; wait`)
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

func TestAliveIsNotFooledByZombies(t *testing.T) {
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
	eventually(t, "the zombie is seen", func() bool { return !Alive(pid, start) })
	if err := unix.Kill(pid, 0); err != nil {
		t.Errorf("the kernel has no zombie: %v", err)
	}
	_ = zombie.Wait()
	if _, err := StartTime(pid); err == nil {
		t.Error("a start time of nobody")
	}
	self, err := StartTime(os.Getpid())
	if err != nil || !Alive(os.Getpid(), self) || !Alive(os.Getpid(), "") || Alive(os.Getpid(), self+"0") {
		t.Errorf("start time of this process: %q, %v", self, err)
	}
}

func TestKillComparesStartTimes(t *testing.T) {
	t.Parallel()
	tr := plant(t, `echo up; exec sleep 60`)
	tr.output.await(t, "up", 1)
	if err := kill(Info{PID: tr.PID(), StartTime: "1"}, unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if !Alive(tr.PID(), tr.StartTime()) {
		t.Error("a process of another time was killed")
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
	mark := fmt.Sprintf("PROC_TEST_RUN=%d-%s", os.Getpid(), t.Name())
	marked := plant(t, `(`+newSession()+` -c 'echo up; exec sleep 60' &); env -u PROC_TEST_RUN sh -c 'echo up; sleep 60; exit' & wait`, mark) // the last one's child may not be born yet
	other := plant(t, `echo up; exec sleep 60`, mark+"0")
	marked.output.await(t, "up", 2)
	other.output.await(t, "up", 1)
	found := FindMarked(mark)
	if len(found) < 3 || !slices.ContainsFunc(found, func(i Info) bool { return i.PID == marked.PID() }) {
		t.Errorf("found %v", found)
	}
	killed, err := KillMarked(t.Context(), mark)
	if err != nil || len(killed) < 3 {
		t.Errorf("killed %v, %v", killed, err)
	}
	marked.gone(t)
	if len(FindMarked(mark)) != 0 {
		t.Error("some are still found")
	}
	if !Alive(other.PID(), other.StartTime()) {
		t.Error("a process of another mark was killed")
	}
}

// Who asks from a shell inside the tree does not mean himself or his shell, also
// where that one leads a group of those whom he means, in a session that is not his.
func TestKillMarkedSparesTheAsking(t *testing.T) {
	t.Parallel()
	const ask = roleKey + `=killmarked "$SELF" "$PROC_TEST_MARK"`
	for name, line := range map[string]string{
		"in its session":          ask,
		"in a session of his own": newSession() + ` -c '` + ask + `; exit'`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mark := fmt.Sprintf("PROC_TEST_RUN=%d-%s", os.Getpid(), t.Name())
			tr := plant(t, `sleep 60 & `+line+`; wait; echo shell lives`, mark, "PROC_TEST_MARK="+mark)
			<-tr.Done()
			if got := tr.output.String(); !strings.HasSuffix(got, "1 <nil>\nshell lives\n") {
				t.Errorf("got %q", got)
			}
			tr.gone(t)
		})
	}
}

func TestKillTree(t *testing.T) {
	t.Parallel()
	tr := plant(t, `sh -c 'echo up; sleep 60; exit' & `+newSession()+` -c 'echo up; exec sleep 60' & wait`)
	tr.output.await(t, "up", 2)
	if killed, err := KillTree(t.Context(), tr.PID(), "1"); err != nil || len(killed) != 0 || !Alive(tr.PID(), tr.StartTime()) {
		t.Errorf("killed %v of another time, %v", killed, err)
	}
	killed, err := KillTree(t.Context(), tr.PID(), tr.StartTime())
	if err != nil || len(killed) < 3 {
		t.Errorf("killed %v, %v", killed, err)
	}
	tr.gone(t)
}

// The layouts are those of sysctl kern.procargs2 on macOS.
func TestProcessArguments(t *testing.T) {
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
		got, ok := processArguments(test.raw)
		if ok != test.ok || string(got) != test.want {
			t.Errorf("%s: got %q, %t", name, got, ok)
		}
	}
	environ := []byte("A=1\x00SILO_RUN_ID=x\x00\x00")
	if !holds(environ, "SILO_RUN_ID=x") || holds(environ, "SILO_RUN_ID=") || holds(environ, "RUN_ID=x") || holds(environ, "SILO_RUN_ID=xy") {
		t.Error("markers are compared wrongly")
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

// A silent child's buffer is small; a busy one's grows, and is given back.
func TestPumpsBuffer(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(chan int)
	p := newPump(reader, writerFunc(func(block []byte) { sizes <- len(block) }))
	go p.run()
	write := func(size int) int {
		if _, err := writer.Write(bytes.Repeat([]byte{'x'}, size)); err != nil {
			t.Error(err)
		}
		return <-sizes
	}
	if got := write(10); got != 10 {
		t.Error(got)
	}
	if got := write(quietBlock + 1); got != quietBlock {
		t.Errorf("a quiet child's block: %d", got)
	}
	if got := <-sizes; got != 1 {
		t.Error(got)
	}
	if got := write(busyBlock); got != busyBlock {
		t.Errorf("a busy child's block: %d", got)
	}
	for range calmReads {
		write(1)
	}
	if got := write(quietBlock + 1); got != quietBlock {
		t.Errorf("the block of a child that has become quiet: %d", got)
	}
	<-sizes
	_ = writer.Close()
	<-p.ended
}

type writerFunc func([]byte)

func (f writerFunc) Write(block []byte) (int, error) {
	f(block)
	return len(block), nil
}
