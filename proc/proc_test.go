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
			<-p.Done()
			got := p.Exit()
			if got.At.IsZero() {
				t.Error("no time")
			}
			if got.At = want.At; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if result := p.Sweep(t.Context()); result.Killed || result.Swept != 0 || result.Left != nil {
				t.Errorf("swept %+v", result)
			}
		})
	}
}

func TestStartRefuses(t *testing.T) {
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
			t.Errorf("%q: got %v, want %s", test.argv, err, test.text)
		}
	}
	if _, err := Start(Spec{Argv: []string{"sh"}, DeathSignal: "NOPE"}); err == nil || !strings.Contains(err.Error(), `unknown signal "NOPE"`) {
		t.Error(err)
	}
}

func TestProgramIsFoundByTheChildsEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "bin", "hello"), []byte("#!/bin/sh\necho hello from \"$PWD\" $WHO\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	home, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "bin"), "bin"} {
		output := newTranscript()
		p, err := Start(Spec{Argv: []string{"hello"}, Dir: home, Env: []string{"PATH=/nowhere", "WHO=a", "WHO=b", "PATH=" + path + ":/bin:/usr/bin"}, Output: output})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		if got, want := output.String(), "hello from "+home+" b\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		p.Sweep(t.Context())
	}
}

func TestOutputInOrder(t *testing.T) {
	t.Parallel()
	tr := plant(t, "exec 9>&-; echo a; echo b >&2; printf c; printf d >&2")
	<-tr.Done()
	if got := tr.output.String(); got != "a\nb\ncd" {
		t.Errorf("got %q", got)
	}
	tr.gone(t)
}

// nothing that the leader wrote before it died may be missing at Done.
func TestOutputIsWholeAtDone(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, quietBlock, busyBlock, busyBlock + 1, 5_000_000} {
		tr := plant(t, fmt.Sprintf("exec 9>&-; yes 0123456789 | head -c %d", size))
		<-tr.Done()
		want := bytes.Repeat([]byte("0123456789\n"), size/11+1)[:size]
		if got := tr.output.String(); got != string(want) {
			t.Errorf("%d bytes: got %d", size, len(got))
		}
	}
}

type refusing struct{ seen int }

func (r *refusing) Write(block []byte) (int, error) {
	r.seen += len(block)
	return 0, errors.New("disk full")
}

func TestWriteErrorStopsNothing(t *testing.T) {
	t.Parallel()
	sink := &refusing{}
	p, err := Start(Spec{Argv: []string{"sh", "-c", "yes | head -c 1000000; exit 4"}, Output: sink})
	if err != nil {
		t.Fatal(err)
	}
	if exit := p.Exit(); exit.Code != 4 || sink.seen != 1000000 {
		t.Errorf("%v after %d bytes", exit, sink.seen)
	}
	p.Sweep(t.Context())
}

func TestGrandchildHoldsThePipe(t *testing.T) {
	t.Parallel()
	for _, tty := range []bool{false, true} {
		t.Run(fmt.Sprintf("tty=%t", tty), func(t *testing.T) {
			t.Parallel()
			testGrandchildHolds(t, tty)
		})
	}
}

func testGrandchildHolds(t *testing.T, tty bool) {
	gate := filepath.Join(t.TempDir(), "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	tr := plantOn(t, tty, `(read x <"$GATE"; echo late; exec sleep 60) & echo early`, "GATE="+gate)
	<-tr.Done() // though the pipe is open
	if got := tr.output.String(); got != "early\n" {
		t.Errorf("got %q", got)
	}
	if len(tr.Tree()) == 0 {
		t.Error("the grandchild is not seen")
	}
	if err := os.WriteFile(gate, []byte("\n"), 0); err != nil {
		t.Fatal(err)
	}
	tr.output.await(t, "late", 1) // is still passed on
	if result := tr.Sweep(t.Context()); result.Killed || result.Swept == 0 {
		t.Errorf("%+v", result)
	}
	tr.gone(t)
}

// Somebody outside the tree, here the test itself, may hold the pipe for ever.
func TestStrangerHoldsThePipe(t *testing.T) {
	t.Parallel()
	tr := plant(t, "echo up; exec sleep 60")
	tr.output.await(t, "up", 1)
	if stranger, err := os.OpenFile(fmt.Sprintf("/proc/%d/fd/1", tr.PID()), os.O_WRONLY, 0); err == nil {
		defer func() { _ = stranger.Close() }()
	} else if _, missing := os.Stat("/proc/self/fd"); missing == nil {
		t.Fatal(err)
	}
	tr.Stop(t.Context(), "TERM", 0, nil)
	tr.gone(t)
	if !await(tr.pump.ended, 0) {
		t.Error("the pipe is still read")
	}
}

func TestChildsSurroundings(t *testing.T) {
	t.Parallel()
	// A descriptor such as this process may itself have been given.
	leaky, err := unix.Dup(2)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(leaky) }()
	tr := plant(t, `exec 9>&-; read x; echo "in $?"; test -e /dev/fd/`+fmt.Sprint(leaky)+`; echo "leaky $?"; ps -o sid= -p $$ >/dev/null 2>&1; echo up; exec sleep 60`)
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
		t.Skip("the kernel offers it on Linux only")
	}
	tr := plant(t, roleKey+`=parent exec "$SELF" sh -c 'trap "echo bye >\"$FIFO\"; exit 0" TERM; echo up; while :; do sleep 0.01; done'`)
	tr.output.await(t, "up", 1)
	if err := unix.Kill(tr.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-tr.Done()
	eventually(t, "the child of a killed parent says goodbye", func() bool {
		n, err := unix.Read(int(tr.alive.Fd()), make([]byte, 1))
		return n == 1 && err == nil
	})
	tr.Sweep(t.Context())
}

// A child that is being born has a copy of every listener that is open: who lets go
// of a port meanwhile, for another child to take, must wait for the birth. Not
// beside other tests, which start processes behind this package's back.
func TestBetweenBirthsFreesPortsForGood(t *testing.T) {
	const rounds, hands = 60, 3
	var crowd sync.WaitGroup
	over := make(chan struct{})
	for range hands { // births without end
		crowd.Go(func() {
			for {
				select {
				case <-over:
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
	close(over)
	crowd.Wait()
}
