package proc

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"silo/wait/waittest"
)

func TestTTY(t *testing.T) {
	t.Parallel()
	tr := startTreeOn(t, true, `test -t 1 && test -t 2 && ! test -t 0 && echo terminal; (: </dev/tty) 2>/dev/null || echo no session; printf 'a\nb\r\n\tc\001\377\n'; echo e >&2`)
	if exit := tr.Exit(); exit.Code != 0 {
		t.Error(exit)
	}
	if got, want := tr.output.String(), "terminal\nno session\na\nb\r\n\tc\x01\xff\ne\n"; got != want {
		t.Errorf("got %q, not %q", got, want)
	}
	tr.Sweep(t.Context())
	tr.gone(t)
}

func TestTTYSize(t *testing.T) {
	t.Parallel()
	tr := startTreeOn(t, true, `stty size <&1; exec sleep 60`)
	tr.output.await(t, "40 120\n", 1)
}

// Done includes all output of a terminal, and Sweep closes it.
func TestTTYOutputIsComplete(t *testing.T) {
	t.Parallel()
	const lines = 200000
	var output bytes.Buffer
	p, err := Start(Spec{Argv: []string{"seq", fmt.Sprint(lines)}, Output: &output, TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	waittest.Receive(t, p.Done(), "the end of the leader")
	n := 0
	for line := range strings.Lines(output.String()) {
		if n++; line != fmt.Sprintln(n) {
			t.Fatalf("line %d is %q", n, line)
		}
	}
	if n != lines {
		t.Errorf("got %d of %d lines", n, lines)
	}
	p.Sweep(t.Context())
	if !isClosed(p.pump.ended) || p.terminal.Close() == nil {
		t.Error("the terminal is still open")
	}
}

// Processes are not attributed to a tree on another terminal.
func TestTTYsAreDistinct(t *testing.T) {
	t.Parallel()
	one := startTreeOn(t, true, `(env -i `+newSession()+` -c "echo up; exec sleep 60" 9>&9 &) ; exec sleep 60`)
	two := startTreeOn(t, true, `(env -i `+newSession()+` -c "echo up; exec sleep 60" 9>&9 &) ; exec sleep 60`)
	one.output.await(t, "up", 1)
	two.output.await(t, "up", 1)
	if one.pipe == two.pipe && one.pipe != "" {
		t.Errorf("both terminals are named %s", one.pipe)
	}
	before := len(two.Tree())
	one.Stop(t.Context(), "TERM", 0, nil)
	if after := len(two.Tree()); after != before {
		t.Errorf("the other tree has %d processes, %d before", after, before)
	}
	two.Stop(t.Context(), "TERM", 0, nil)
	two.gone(t)
}

// The kernel may reuse the name of a terminal while the journal exists.
func TestJournalOmitsTerminals(t *testing.T) {
	t.Parallel()
	journal, err := os.CreateTemp(t.TempDir(), "trees-*")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = journal.Close() }()
	for _, tty := range []bool{false, true} {
		tr := startTreeOn(t, tty, "exec sleep 60")
		(&Guard{journal: journal}).started(tr.Process)
		text, err := os.ReadFile(journal.Name())
		if err != nil {
			t.Fatal(err)
		}
		if want := !tty && tr.pipe != ""; strings.Contains(string(text), `"pipe"`) != want {
			t.Errorf("terminal %t: the journal contains %s", tty, text)
		}
		if err := journal.Truncate(0); err != nil {
			t.Fatal(err)
		}
	}
}

// Children expect a write to block until it is read.
func TestTTYIsBlocking(t *testing.T) {
	t.Parallel()
	near, far, err := outputPipe(Spec{TTY: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = near.Close(), far.Close() }()
	conn, err := far.SyscallConn() // Fd would make it blocking
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
