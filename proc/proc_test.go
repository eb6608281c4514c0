package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"silo/wait/waittest"
)

func TestExit(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]Exit{
		"exit 0":        {},
		"exit 3":        {Code: 3},
		"kill -KILL $$": {Code: 137, Signal: "KILL"},
		"kill -TERM $$": {Code: 143, Signal: "TERM"},
		"exit 143":      {Code: 143},
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			p, err := Start(Spec{Argv: []string{"sh", "-c", script}})
			if err != nil {
				t.Fatal(err)
			}
			waittest.Receive(t, p.Done(), "the end of the leader")
			got := p.Exit()
			if got.At.IsZero() {
				t.Error("At is zero")
			}
			if got.At = want.At; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if result := p.Sweep(t.Context()); result.Killed || result.Swept != 0 || result.Left != nil {
				t.Errorf("Sweep = %+v, want nothing killed", result)
			}
		})
	}
}

func TestStartErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("data", "x", 0o600)
	write("moved", "#!/no/such/python\n", 0o700)
	write("blob", "\x00\x01\x02", 0o700)
	tests := []struct {
		argv []string
		dir  string
		want error
		text string
	}{
		{nil, "", ErrNotFound, "start: command not found: no command"},
		{[]string{"no-such-program"}, "", ErrNotFound, `start "no-such-program": command not found in PATH`},
		{[]string{"./none"}, dir, ErrNotFound, `start "./none": command not found: no such file: ` + dir + "/none"},
		{[]string{"./data"}, dir, ErrNotExecutable, `start "./data": not an executable file: ` + dir + "/data"},
		{[]string{"./moved"}, dir, ErrNotExecutable, `start "./moved": not an executable file: the interpreter in the first line of ` + dir + "/moved does not exist"},
		{[]string{"./blob"}, dir, ErrNotExecutable, `start "./blob": not an executable file: ` + dir + "/blob is neither a program for this system nor a script that begins with #! and an interpreter"},
		{[]string{"sh"}, dir + "/none", os.ErrNotExist, `start "sh": working directory: stat ` + dir + "/none: no such file or directory"},
		{[]string{"sh"}, dir + "/data", nil, `start "sh": working directory: ` + dir + "/data is not a directory"},
	}
	for _, test := range tests {
		_, err := Start(Spec{Argv: test.argv, Dir: test.dir})
		if err == nil || err.Error() != test.text || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%q: got error %v, want %s", test.argv, err, test.text)
		}
	}
	if _, err := Start(Spec{Argv: []string{"sh"}, DeathSignal: "NOPE"}); err == nil || !strings.Contains(err.Error(), `unknown signal "NOPE"`) {
		t.Error(err)
	}
}

func TestProgramIsFoundInTheChildsPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "hello"), []byte("#!/bin/sh\necho hello from \"$PWD\" $NAME\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	home, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "bin"), "bin"} {
		output := newRecorder()
		p, err := Start(Spec{Argv: []string{"hello"}, Dir: home, Env: []string{"PATH=/nowhere", "NAME=a", "NAME=b", "PATH=" + path + ":/bin:/usr/bin"}, Output: output})
		if err != nil {
			t.Fatal(err)
		}
		waittest.Receive(t, p.Done(), "the end of the leader")
		if got, want := output.String(), "hello from "+home+" b\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		p.Sweep(t.Context())
	}
}

func TestOutputInOrder(t *testing.T) {
	t.Parallel()
	tr := startTree(t, "exec 9>&-; echo a; echo b >&2; printf c; printf d >&2")
	waittest.Receive(t, tr.Done(), "the end of the leader")
	if got := tr.output.String(); got != "a\nb\ncd" {
		t.Errorf("got %q", got)
	}
	tr.gone(t)
}

func TestOutputIsCompleteAtDone(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, pumpBlock, pumpBlock + 1, 64 << 10, 5_000_000} {
		tr := startTree(t, fmt.Sprintf("exec 9>&-; yes 0123456789 | head -c %d", size))
		waittest.Receive(t, tr.Done(), "the end of the leader")
		want := bytes.Repeat([]byte("0123456789\n"), size/11+1)[:size]
		if got := tr.output.String(); got != string(want) {
			t.Errorf("got %d bytes of output, want %d", len(got), size)
		}
	}
}

type failingWriter struct{ seen int }

func (r *failingWriter) Write(block []byte) (int, error) {
	r.seen += len(block)
	return 0, errors.New("disk full")
}

func TestWriteErrorDoesNotStopTheChild(t *testing.T) {
	t.Parallel()
	sink := &failingWriter{}
	p, err := Start(Spec{Argv: []string{"sh", "-c", "yes | head -c 1000000; exit 4"}, Output: sink})
	if err != nil {
		t.Fatal(err)
	}
	if exit := p.Exit(); exit.Code != 4 || sink.seen != 1000000 {
		t.Errorf("%v after %d bytes, want exit status 4 after 1000000", exit, sink.seen)
	}
	p.Sweep(t.Context())
}

func TestGrandchildKeepsThePipeOpen(t *testing.T) {
	t.Parallel()
	for _, tty := range []bool{false, true} {
		t.Run(fmt.Sprintf("tty=%t", tty), func(t *testing.T) {
			t.Parallel()
			testGrandchildKeepsPipe(t, tty)
		})
	}
}

func testGrandchildKeepsPipe(t *testing.T, tty bool) {
	release := filepath.Join(t.TempDir(), "release")
	if err := unix.Mkfifo(release, 0o600); err != nil {
		t.Fatal(err)
	}
	tr := startTreeOn(t, tty, `(read x <"$RELEASE"; echo late; exec sleep 60) & echo early`, "RELEASE="+release)
	waittest.Receive(t, tr.Done(), "the end of the leader") // although the pipe is open
	if got := tr.output.String(); got != "early\n" {
		t.Errorf("got %q", got)
	}
	if len(tr.Tree()) == 0 {
		t.Error("Tree does not contain the grandchild")
	}
	if err := os.WriteFile(release, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	tr.output.await(t, "late", 1) // the output is still passed on
	if result := tr.Sweep(t.Context()); result.Killed || result.Swept == 0 {
		t.Errorf("%+v", result)
	}
	tr.gone(t)
}

// A process outside the tree, here the test itself, may keep the pipe open.
func TestForeignProcessKeepsThePipeOpen(t *testing.T) {
	t.Parallel()
	tr := startTree(t, "echo up; exec sleep 60")
	tr.output.await(t, "up", 1)
	if foreign, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/1", tr.PID()), os.O_WRONLY, 0); err == nil {
		defer func() { _ = foreign.Close() }()
	} else if _, missing := os.Stat("/proc/self/fd"); missing == nil {
		t.Fatal(err)
	}
	tr.Stop(t.Context(), "TERM", 0, nil)
	tr.gone(t)
	if !isClosed(tr.pump.ended) {
		t.Error("the pipe is still being read")
	}
}

func TestChildInheritsNothing(t *testing.T) {
	t.Parallel()
	// A descriptor without close-on-exec, which this process may have inherited.
	leaky, err := unix.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(leaky) }()
	tr := startTree(t, `exec 9>&-; read x; echo "in $?"; test -e /dev/fd/`+fmt.Sprint(leaky)+`; echo "leaky $?"; echo up; exec sleep 60`)
	tr.output.await(t, "up", 1)
	if got := tr.output.String(); got != "in 1\nleaky 1\nup\n" {
		t.Errorf("got %q", got)
	}
	info, err := inspect(tr.PID())
	if err != nil || info.SID != tr.PID() || info.PGID != tr.PID() || info.PPID != os.Getpid() || info.StartTime != tr.StartTime() {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestDeathSignal(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("only Linux has a parent death signal")
	}
	tr := startTree(t, roleKey+`=parent exec "$SELF" sh -c 'trap "echo bye >\"$FIFO\"; exit 0" TERM; echo up; while :; do sleep 0.01; done'`)
	tr.output.await(t, "up", 1)
	if err := unix.Kill(tr.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waittest.Receive(t, tr.Done(), "the end of the leader")
	waittest.Until(t, "the child of a killed parent gets TERM", func() bool {
		n, err := unix.Read(int(tr.alive.Fd()), make([]byte, 1))
		return n == 1 && err == nil
	})
	tr.Sweep(t.Context())
}

// Between fork and exec a child has a copy of every open listener. Not parallel: other
// tests start processes by os/exec.
func TestWithForkLockFreesPorts(t *testing.T) {
	const rounds, workers = 60, 3
	var starts sync.WaitGroup
	stop := make(chan struct{})
	for range workers {
		starts.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p, err := Start(Spec{Argv: []string{"true"}})
				if err != nil {
					t.Error(err)
					return
				}
				p.Sweep(context.Background())
			}
		})
	}
	for range rounds {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		WithForkLock(func() { _ = listener.Close() })
		again, err := net.Listen("tcp", listener.Addr().String())
		if err != nil {
			t.Errorf("the port is still taken: %v", err)
			break
		}
		_ = again.Close()
	}
	close(stop)
	starts.Wait()
}
