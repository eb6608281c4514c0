package proc

import (
	"errors"
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// The size of a terminal that nobody sees: wide, since programs fold their lines.
const (
	terminalRows    = 40
	terminalColumns = 120
)

// channel makes what a child's output goes through: near is read here, far is the
// child's. Both are the caller's to close.
func channel(tty bool) (near, far *os.File, err error) {
	if !tty {
		return os.Pipe()
	}
	master, far, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer func() { _ = master.Close() }() // near is another descriptor of it
	near, err = pollable(master)
	if err == nil {
		err = pty.Setsize(far, &pty.Winsize{Rows: terminalRows, Cols: terminalColumns})
	}
	if err == nil {
		// Else the kernel makes \r\n of each \n, and the bytes are not those written.
		_, err = term.MakeRaw(int(far.Fd()))
	}
	if err == nil {
		err = unix.SetNonblock(int(far.Fd()), false) // children expect that a write waits
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("set up a terminal: %w", err), near.Close(), far.Close())
	}
	return near, far, nil
}

// pollable is a file that a goroutine can wait for without a thread: pty.Open asks
// for its descriptor, which ends that.
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
