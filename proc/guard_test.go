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
)

// mourn is the guardian of the tests: it says what it ends in a file.
func mourn(file string) int {
	in, err := ReadJournal(os.NewFile(JournalDescriptor, "record"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ended, err := in.End(context.Background(), 200*time.Millisecond)
	if err := os.WriteFile(file+".new", fmt.Append(nil, len(ended), err), 0o600); err != nil {
		return 1
	}
	_ = os.Rename(file+".new", file)
	return 0
}

// bequeath plants a tree under a guardian and waits to be killed: args are the
// guardian's file, and the script of the tree.
func bequeath(args []string) int {
	guard, err := StartGuard([]string{os.Args[0], args[0]}, as("mourn"), filepath.Dir(args[0]), func(error) {})
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

// bereaved starts a process that bequeaths script, and returns it once the script
// has said "up", with the file of its guardian.
func bereaved(t *testing.T, script string) (process *exec.Cmd, file string, output *transcript) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "mourned")
	output = newTranscript()
	process = exec.Command(os.Args[0], file, script)
	process.Env = as("bequeath", "MARKER="+file, "SELF="+os.Args[0])
	process.Stdout, process.Stderr = output, os.Stderr
	process.WaitDelay = time.Millisecond // a daemon may hold the pipe
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = KillMarked(context.Background(), "MARKER="+file) })
	output.await(t, "up", 1)
	return process, file, output
}

func TestGuardEndsWhatDeathLeaves(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"polite":     `echo up; while :; do sleep 60; done`,
		"deaf":       `trap '' TERM; echo up; while :; do sleep 60; done`,
		"session":    newSession() + ` -c 'trap "" TERM HUP; echo $$; echo up; while :; do sleep 60; done' & wait`,
		"no marker":  `env -u MARKER ` + newSession() + ` -c 'trap "" TERM; echo $$; echo up; while :; do sleep 60; done' & trap : TERM; wait; wait`,
		"orphan":     newSession() + ` -c 'sleep 60 & echo $!' & wait; echo up; wait; while :; do sleep 60; done`,
		"dead first": newSession() + ` -c 'trap "" TERM; while :; do sleep 60; done' & echo up; exit`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			process, file, output := bereaved(t, `echo $$; `+script)
			if name == "dead first" { // the supervisor sweeps it: nothing is to be left either way
				_ = process.Wait()
				return
			}
			_ = process.Process.Kill()
			killed := time.Now()
			_ = process.Wait()
			eventually(t, "the guardian has said what it ended", func() bool { _, err := os.Stat(file); return err == nil })
			text, _ := os.ReadFile(file)
			if count, rest, _ := bytes.Cut(text, []byte(" ")); string(rest) != "<nil>" {
				t.Errorf("ended %s: %s", count, rest)
			}
			for field := range strings.FieldsSeq(output.String()) {
				if pid, err := strconv.Atoi(field); err == nil && Alive(pid, "") {
					t.Errorf("%d lives %v after the kill", pid, time.Since(killed))
				}
			}
			eventually(t, "nothing is marked", func() bool { return len(FindMarked("MARKER="+file)) == 0 })
		})
	}
}

// guardian is the PID of the present one, 0 while there is none.
func (g *Guard) guardian() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.process == nil {
		return 0
	}
	return g.process.Pid
}

// A guard that is closed leaves all in peace, and nothing of itself. Not beside
// other tests: a process has one guard.
func TestGuardCloses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "mourned")
	guard, err := StartGuard([]string{os.Args[0], file}, as("mourn"), dir, func(err error) { t.Error(err) })
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
		t.Error("the guardian lives on")
	}
	if !Alive(p.PID(), p.StartTime()) {
		t.Error("the guardian has ended what it was not to")
	}
	p.Sweep(t.Context())
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// A guardian that is killed is missed, and replaced. Not beside other tests either.
func TestGuardIsReplaced(t *testing.T) {
	lost := make(chan error, 1)
	guard, err := StartGuard([]string{os.Args[0], "/nowhere"}, as("mourn"), t.TempDir(), func(err error) { lost <- err })
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	first := guard.guardian()
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-lost; !strings.Contains(err.Error(), "signal KILL") {
		t.Error(err)
	}
	eventually(t, "there is another", func() bool {
		second := guard.guardian()
		return second != 0 && second != first && Alive(second, "")
	})
}

// Numbers that have passed to others are not the dead one's any more, and a line
// that death has cut off is not missed.
func TestInheritReadsTheRecord(t *testing.T) {
	t.Parallel()
	record := strings.NewReader(`{"leader":2147480001,"start":"1","marker":"A=1"}
{"leader":2147480002,"start":"2","marker":"A=2"}
{"gone":2147480001}
{"leader":2147480003,"sta`)
	in, err := ReadJournal(record)
	if err != nil {
		t.Fatal(err)
	}
	if len(in.leaders) != 1 || in.leaders[2147480002].Start != "2" {
		t.Errorf("%+v", in.leaders)
	}
	look := table{
		10: {PID: 10, StartTime: "9", SID: 10},
		11: {PID: 11, StartTime: "9", SID: 10},
		20: {PID: 20, StartTime: "1", SID: 20},
		21: {PID: 21, StartTime: "3", SID: 20},
		31: {PID: 31, StartTime: "3", SID: 30},
	}
	in = &Journal{leaders: map[int]note{10: {Start: "1"}, 20: {Start: "1"}, 30: {Start: "1"}}, known: map[int]string{}}
	got := fmt.Sprint(look.kin(in.kinship(look).member))
	if want := "[20  21  31 ]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := ReadJournal(strings.NewReader("not a record")); err == nil {
		t.Error("a record that is none was read")
	}
}

// A process that dies between a fork and its note of it leaves a tree whose leader
// nobody knows. By the time somebody looks the leader may have gone, and what it
// left may have cleared its environment: the pipe still tells.
func TestInheritFindsATreeThatWasOnlyExpected(t *testing.T) {
	t.Parallel()
	if nameOf(os.Stdout) == "" {
		t.Skip("this system does not tell who writes to a pipe")
	}
	for name, born := range map[string]bool{"expected": true, "miscarried": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reader, writer, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = reader.Close() }()
			stray := exec.Command("sleep", "60")
			stray.Env = []string{"PATH=" + os.Getenv("PATH")}
			stray.Stdout = writer
			stray.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := stray.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = stray.Wait() }()
			t.Cleanup(func() { _ = stray.Process.Kill(); <-ended })

			record, err := os.Create(filepath.Join(t.TempDir(), "record"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = record.Close() }()
			guard := &Guard{record: record}
			guard.born, _ = StartTime(os.Getpid())
			guard.expect(nameOf(writer), "MARKER="+t.Name())
			if !born {
				guard.miscarried(nameOf(writer), "MARKER="+t.Name())
			}
			_ = writer.Close()

			in, err := ReadJournal(record)
			if err != nil {
				t.Fatal(err)
			}
			found, err := in.End(t.Context(), 50*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if got := len(found) == 1 && found[0].PID == stray.Process.Pid; got != born {
				t.Errorf("ended %v", found)
			}
		})
	}
}
