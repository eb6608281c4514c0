package proc

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"silo/wait/waittest"
)

// runGuardian ends the trees of the journal, and writes the result to a file.
func runGuardian(file string) int {
	journal, err := ReadJournal(os.NewFile(JournalDescriptor, "journal"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ended, err := journal.End(context.Background(), 200*time.Millisecond)
	if err := os.WriteFile(file+".new", fmt.Append(nil, len(ended), err), 0o600); err != nil {
		return 1
	}
	_ = os.Rename(file+".new", file)
	return 0
}

// runSupervisor starts a tree under a guardian and waits until it is killed. args are
// the guardian's file and the script of the tree.
func runSupervisor(args []string) int {
	guard, err := StartGuard([]string{os.Args[0], args[0]}, withRole("guardian"), filepath.Dir(args[0]), func(error) {})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	spec := Spec{Argv: []string{"/bin/sh", "-c", args[1]}, Output: os.Stdout, DeathSignal: "TERM"}
	if marker := os.Getenv("MARKER"); marker != "" {
		spec.Marker = "MARKER=" + marker
	}
	p, err := Start(spec)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	swept, err := Start(Spec{Argv: []string{"/bin/sh", "-c", "exit"}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	swept.Sweep(context.Background())
	<-p.Done()
	p.Sweep(context.Background())
	guard.Close()
	return 0
}

// startSupervisor starts a process that runs script under a guardian. It returns when
// the script has printed "up", with the file of the guardian's result.
func startSupervisor(t *testing.T, script string) (process *exec.Cmd, file string, output *recorder) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "ended")
	output = newRecorder()
	process = exec.Command(os.Args[0], file, script)
	process.Env = withRole("supervisor", "MARKER="+file, "SELF="+os.Args[0])
	process.Stdout, process.Stderr = output, os.Stderr
	process.WaitDelay = time.Millisecond // the daemon may keep the pipe open
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = KillMarked(context.Background(), "MARKER="+file) })
	output.await(t, "up", 1)
	return process, file, output
}

func TestGuardianEndsTheTreesOfAKilledProcess(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"ends on TERM":         `echo up; while :; do sleep 60; done`,
		"ignores TERM":         `trap '' TERM; echo up; while :; do sleep 60; done`,
		"new session":          newSession() + ` -c 'trap "" TERM HUP; echo $$; echo up; while :; do sleep 60; done' & wait`,
		"no marker":            `env -u MARKER ` + newSession() + ` -c 'trap "" TERM; echo $$; echo up; while :; do sleep 60; done' & trap : TERM; wait; wait`,
		"orphan":               newSession() + ` -c 'sleep 60 & echo $!' & wait; echo up; wait; while :; do sleep 60; done`,
		"the leader has ended": newSession() + ` -c 'trap "" TERM; echo $$; while :; do sleep 60; done' & echo up; exit`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process, file, output := startSupervisor(t, `echo $$; `+script)
			if name == "the leader has ended" { // a supervisor that is alive sweeps the rest itself
				_ = process.Wait()
			} else {
				_ = process.Process.Kill()
				_ = process.Wait()
				waittest.Until(t, "the guardian has written its result", func() bool { return fileExists(file) })
				text, _ := os.ReadFile(file)
				if count, failure, _ := bytes.Cut(text, []byte(" ")); string(failure) != "<nil>" || name == "ignores TERM" && string(count) == "0" {
					t.Errorf("ended %s processes: %s", count, failure)
				}
			}
			for field := range strings.FieldsSeq(output.String()) {
				if pid, err := strconv.Atoi(field); err == nil && Alive(pid, "") {
					t.Errorf("process %d is alive", pid)
				}
			}
			waittest.Until(t, "all marked processes have ended", func() bool { return len(FindMarked("MARKER="+file)) == 0 })
		})
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// guardian returns the PID of the current guardian, or 0.
func (g *Guard) guardian() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil {
		return 0
	}
	return g.process.Pid
}

// Not parallel: a process has one Guard.
func TestGuardClose(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "ended")
	guard, err := StartGuard([]string{os.Args[0], file}, withRole("guardian"), dir, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	pid := guard.guardian()
	p, err := Start(Spec{Argv: []string{"sleep", "60"}})
	if err != nil {
		t.Fatal(err)
	}
	guard.Close()
	guard.Close()
	if Alive(pid, "") {
		t.Error("the guardian is alive after Close")
	}
	if !Alive(p.PID(), p.StartTime()) {
		t.Error("the guardian has ended a tree after Close")
	}
	p.Sweep(t.Context())
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left: %v", left)
	}
}

// Not parallel: a process has one Guard.
func TestGuardianIsReplaced(t *testing.T) {
	lost := make(chan error, 1)
	guard, err := StartGuard([]string{os.Args[0], "/nowhere"}, withRole("guardian"), t.TempDir(), func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	first := guard.guardian()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := waittest.Receive(t, lost, "the loss of the guardian"); !strings.Contains(err.Error(), "signal KILL") {
		t.Errorf("lost got %v, want signal KILL", err)
	}
	waittest.Until(t, "there is another guardian", func() bool {
		second := guard.guardian()
		return second != 0 && second != first && Alive(second, "")
	})
}

// The last line may be incomplete, and PIDs may have been reused.
func TestReadJournal(t *testing.T) {
	t.Parallel()
	journal, err := ReadJournal(strings.NewReader(`{"leader":2147480001,"start":"1","marker":"A=1"}
{"leader":2147480002,"start":"2","marker":"A=2"}
{"gone":2147480001}
{"leader":2147480003,"sta`))
	if err != nil {
		t.Fatal(err)
	}
	if len(journal.leaders) != 1 || journal.leaders[2147480002].Start != "2" {
		t.Errorf("leaders: %+v, want only 2147480002", journal.leaders)
	}
	all := table{
		10: {PID: 10, StartTime: "9", SID: 10},
		11: {PID: 11, StartTime: "9", SID: 10},
		20: {PID: 20, StartTime: "1", SID: 20},
		21: {PID: 21, StartTime: "3", SID: 20},
		31: {PID: 31, StartTime: "3", SID: 30},
	}
	journal = &Journal{leaders: map[int]entry{10: {Start: "1"}, 20: {Start: "1"}, 30: {Start: "1"}}}
	got := fmt.Sprint(all.descendants(journal.matcher(all).matches))
	if want := "[20  21  31 ]"; got != want {
		t.Errorf("members: %s, want %s", got, want)
	}
	if _, err := ReadJournal(strings.NewReader("not a journal")); err == nil {
		t.Error("ReadJournal accepts invalid JSON")
	}
}

// If a process dies between a fork and the entry with the leader, the pipe identifies
// the tree, even if the leader has ended and the rest has cleared its environment.
func TestJournalFindsATreeWithoutALeader(t *testing.T) {
	t.Parallel()
	if outputOf(os.Stdout) == "" {
		t.Skip("this system does not name pipes")
	}
	for name, found := range map[string]bool{"starting": true, "aborted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			orphan := exec.Command("sleep", "60")
			orphan.Env = []string{"PATH=" + os.Getenv("PATH")}
			orphan.Stdout = writer
			orphan.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := orphan.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = orphan.Wait() }()
			t.Cleanup(func() {
				_ = orphan.Process.Kill()
				waittest.Receive(t, ended, "the end of the orphan")
			})

			file, err := os.Create(filepath.Join(t.TempDir(), "journal"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = file.Close() }()
			guard := &Guard{journal: file}
			guard.write(entry{Fork: starting, Pipe: outputOf(writer), Marker: "MARKER=" + t.Name()})
			if !found {
				guard.write(entry{Fork: aborted, Pipe: outputOf(writer), Marker: "MARKER=" + t.Name()})
			}
			_ = writer.Close()

			journal, err := ReadJournal(file)
			if err != nil {
				t.Fatal(err)
			}
			killed, err := journal.End(t.Context(), 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(killed) == 1 && killed[0].PID == orphan.Process.Pid; got != found {
				t.Errorf("End = %v; found the orphan: %t, want %t", killed, got, found)
			}
		})
	}
}
