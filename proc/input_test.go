package proc

import (
	"strings"
	"testing"

	"silo/wait/waittest"
)

// A console is a terminal like that of a shell: it echoes, it signals, it has a size.
func TestConsole(t *testing.T) {
	t.Parallel()
	output := newRecorder()
	p, err := Start(Spec{
		Argv:  []string{"sh", "-c", `trap 'echo interrupted' INT; trap 'stty size' WINCH; stty size; : </dev/tty && read -r line && echo "got $line"; read -r line; read -r line; exit 7`},
		Input: true, Console: &Size{Rows: 33, Columns: 77}, Output: output,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Sweep(t.Context()) })
	output.await(t, "33 77\r\n", 1)
	write(t, p, "hello\n")
	output.await(t, "hello\r\ngot hello\r\n", 1)
	write(t, p, "\x03")
	output.await(t, "interrupted", 1)
	if err := p.Input().Resize(Size{Rows: 44, Columns: 99}); err != nil {
		t.Fatal(err)
	}
	write(t, p, "\n") // the shell runs a trap once its read has ended
	output.await(t, "44 99", 1)
	write(t, p, "\n\n")
	waittest.Receive(t, p.Done(), "the end of the leader")
	if exit := p.Exit(); exit.Code != 7 {
		t.Error(exit)
	}
	p.Sweep(t.Context())
	if _, err := p.Input().Write([]byte("x")); err == nil {
		t.Error("the input is still open")
	}
}

func TestPipeAsInput(t *testing.T) {
	t.Parallel()
	var output strings.Builder
	p, err := Start(Spec{Argv: []string{"sh", "-c", `test -t 0 || cat`}, Input: true, Output: &output})
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, "a\nb")
	p.Input().End()
	waittest.Receive(t, p.Done(), "the end of the leader")
	p.Sweep(t.Context())
	if got := output.String(); got != "a\nb" {
		t.Errorf("got %q", got)
	}
	var none *Input
	if _, err := none.Write(nil); err == nil || none.Resize(Size{}) != nil || none.Close() != nil {
		t.Error("a child without input has one")
	}
}

func write(t *testing.T, p *Process, text string) {
	t.Helper()
	if _, err := p.Input().Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}
