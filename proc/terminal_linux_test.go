package proc

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"silo/wait/waittest"
)

// The kernel sends a typed interrupt to the command, once. This process survives it and
// returns the command's exit code.
func TestForegroundOnATerminal(t *testing.T) {
	t.Parallel()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals: ", err)
	}
	defer func() { _ = master.Close() }()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "sh", "-c", `trap "n=x\$n" INT; trap 'echo "interrupts: $n."; exit 9' USR1; echo up; while :; do sleep 0.01; [ -n "$n" ] && echo hit; done`)
	cmd.Env = withRole("foreground")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = terminal.Close()
	screen := newRecorder()
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		block := make([]byte, 1024)
		for n, err := 0, error(nil); err == nil; n, err = master.Read(block) {
			_, _ = screen.Write(block[:n])
		}
	}()
	screen.await(t, "up", 1)
	if _, err := master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	screen.await(t, "hit", 3)
	_ = cmd.Process.Signal(unix.SIGUSR1)
	if err := cmd.Wait(); err == nil || err.Error() != "exit status 9" {
		t.Error(err)
	}
	_ = master.Close()
	waittest.Receive(t, drained, "the end of the terminal")
	if got := screen.String(); !strings.Contains(got, "interrupts: x.") {
		t.Errorf("got %q", got)
	}
}
