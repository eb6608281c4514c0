package ui_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"silo/state"
	"silo/ui"
)

// A pseudo-terminal is detected, its size is used, and no query is sent to it: a terminal
// that does not answer would stall the program.
func TestRealTerminal(t *testing.T) {
	t.Parallel()
	master, terminal := openTerminal(t, 60, 20)
	p := ui.New(terminal, ui.Options{Env: variables("TERM=xterm-256color")})
	if !p.Terminal() {
		t.Error("not detected as a terminal")
	}
	silo := state.Silo{Name: "control", Mode: state.Control, State: state.Ready, Port: 8000, URL: "http://127.0.0.1:41001"}
	p.Status(state.Snapshot{Name: "acme", State: state.InstanceReady, Silos: []state.Silo{silo}})
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	read, err := io.ReadAll(master)
	if len(read) == 0 {
		t.Fatal(err) // Linux reports EIO when the other side is closed
	}
	got := string(read)
	if !strings.HasPrefix(got, "\x1b[1macme\x1b[0m") || strings.Contains(got, "\x1b]") || strings.Contains(got, "RESTARTS") || !strings.Contains(got, "PORT") {
		t.Errorf("got %q", got)
	}
}

func openTerminal(t *testing.T, columns, rows uint16) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("this machine has no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, terminal
}
