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

// Size is the size of a terminal in characters.
type Size struct{ Rows, Columns int }

func (s Size) window() *pty.Winsize {
	limit := func(n int) uint16 { return uint16(min(max(n, 1), 1<<15)) }
	return &pty.Winsize{Rows: limit(s.Rows), Cols: limit(s.Columns)}
}

// outputPipe returns both ends of a pipe or terminal for a child's output: near is
// read here, far is the child's. The caller closes both.
func outputPipe(spec Spec) (near, far *os.File, err error) {
	size := Size{terminalRows, terminalColumns}
	switch {
	case spec.Console != nil:
		size = *spec.Console
	case !spec.TTY:
		return os.Pipe()
	}
	master, far, err := pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("open a terminal: %w", err)
	}
	defer func() { _ = master.Close() }() // near is a duplicate
	near, err = pollable(master)
	if err == nil {
		err = pty.Setsize(far, size.window())
	}
	if err == nil && spec.Console == nil {
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
func pollable(file *os.File) (*os.File, error) { return duplicateOf(file.Fd(), file.Name()) }

// duplicate returns a duplicate of a pollable file, which stays pollable.
func duplicate(file *os.File) (copied *os.File, err error) {
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := conn.Control(func(fd uintptr) { copied, err = duplicateOf(fd, file.Name()) })
	return copied, errors.Join(controlErr, err)
}

func duplicateOf(descriptor uintptr, name string) (*os.File, error) {
	fd, err := unix.FcntlInt(descriptor, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}
