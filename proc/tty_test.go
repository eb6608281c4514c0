package proc

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What a child sees that asked for a terminal, and what comes out of it.
func TestTTY(t *testing.T) {
	t.Parallel()
	tr := plantOn(t, true, `test -t 1 && test -t 2 && ! test -t 0 && echo terminal; (: </dev/tty) 2>/dev/null || echo no session; printf 'a\nb\r\n\tc\001\377\n'; echo e >&2`)
	if exit := tr.Exit(); exit.Code != 0 {
		t.Error(exit)
	}
	if got, want := tr.output.String(), "terminal\nno session\na\nb\r\n\tc\x01\xff\ne\n"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	tr.Sweep(t.Context())
	tr.gone(t)
}

func TestTTYIsWide(t *testing.T) {
	t.Parallel()
	tr := plantOn(t, true, `stty size <&1; exec sleep 60`)
	tr.output.await(t, "40 120\n", 1)
}

// A terminal is done with when its leader is, with all of its output, however fast
// it came, and nothing of it stays open.
func TestTTYLosesNothing(t *testing.T) {
	t.Parallel()
	const lines = 200000
	var output bytes.Buffer
	p, err := Start(Spec{Argv: []string{"seq", fmt.Sprint(lines)}, Output: &output, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	n := 0
	for line := range strings.Lines(output.String()) {
		if n++; line != fmt.Sprintln(n) {
			t.Fatalf("line %d is %q", n, line)
		}
	}
	if n != lines {
		t.Errorf("%d lines of %d", n, lines)
	}
	p.Sweep(t.Context())
	if !await(p.pump.ended, 0) || p.far.Close() == nil {
		t.Error("the terminal is still open")
	}
}

// Two trees on terminals are told apart, also from whoever else is on one.
func TestTTYsAreApart(t *testing.T) {
	t.Parallel()
	one := plantOn(t, true, `(env -i `+newSession()+` -c "echo up; exec sleep 60" 9>&9 &) ; exec sleep 60`)
	two := plantOn(t, true, `(env -i `+newSession()+` -c "echo up; exec sleep 60" 9>&9 &) ; exec sleep 60`)
	one.output.await(t, "up", 1)
	two.output.await(t, "up", 1)
	if one.pipe == two.pipe && one.pipe != "" {
		t.Errorf("both are called %s", one.pipe)
	}
	before := len(two.Tree())
	one.Stop(t.Context(), "TERM", 0, nil)
	if after := len(two.Tree()); after != before {
		t.Errorf("%d of the other's %d are left", after, before)
	}
	two.Stop(t.Context(), "TERM", 0, nil)
	two.gone(t)
}

// A record outlives the terminals, whose names go to others then.
func TestATerminalIsNotRecorded(t *testing.T) {
	t.Parallel()
	record, err := os.CreateTemp(t.TempDir(), "trees-*")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = record.Close() }()
	for _, tty := range []bool{false, true} {
		tr := plantOn(t, tty, "exec sleep 60")
		(&Guard{record: record}).planted(tr.Process)
		text, err := os.ReadFile(record.Name())
		if err != nil {
			t.Fatal(err)
		}
		if want := !tty && tr.pipe != ""; strings.Contains(string(text), `"pipe"`) != want {
			t.Errorf("with terminal %t the record says %s", tty, text)
		}
		if err := record.Truncate(0); err != nil {
			t.Fatal(err)
		}
	}
}

// Children expect that a write waits for its reader.
func TestTTYsWritesWait(t *testing.T) {
	t.Parallel()
	near, far, err := channel(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = near.Close(), far.Close() }()
	conn, err := far.SyscallConn() // Fd would make it wait
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Control(func(fd uintptr) {
		if flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
			t.Errorf("flags %x, %v", flags, err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}
