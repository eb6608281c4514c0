package proc

import (
	"errors"
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// The size of a child's terminal. It is wide because programs wrap their lines.
const (
	terminalRows    = 40
	terminalColumns = 120
)

// outputPipe returns both ends of a pipe or terminal for a child's output: near is
// read here, far is the child's. The caller closes both.
func outputPipe(tty bool) (near, far *os.File, err error) {
	if !tty {
		return os.Pipe()
	}
	master, far, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer func() { _ = master.Close() }() // near is a duplicate
	near, err = pollable(master)
	if err == nil {
		err = pty.Setsize(far, &pty.Winsize{Rows: terminalRows, Cols: terminalColumns})
	}
	if err == nil {
		// Otherwise the kernel converts each \n to \r\n.
		_, err = term.MakeRaw(int(far.Fd()))
	}
	if err == nil {
		err = unix.SetNonblock(int(far.Fd()), false) // children expect a write to block
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("set up a terminal: %w", err), near.Close(), far.Close())
	}
	return near, far, nil
}

// pollable returns a duplicate that works with the network poller: pty.Open calls Fd,
// which makes a file blocking.
func pollable(file *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), file.Name()), nil
}
