package proc

import (
	"errors"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Input is the standard input of a child. Its methods may be called from any goroutine,
// and on nil.
type Input struct {
	file    *os.File
	console bool
	closing sync.Once
}

// openInput returns the two ends of a child's standard input: a duplicate of its
// terminal's near end, or a pipe. Both are nil without Spec.Input.
func openInput(spec Spec, near, far *os.File) (input *Input, stdin *os.File, err error) {
	switch {
	case !spec.Input:
		return nil, nil, nil
	case spec.Console != nil:
		file, err := duplicate(near)
		return &Input{file: file, console: true}, far, err
	}
	stdin, file, err := os.Pipe()
	return &Input{file: file}, stdin, err
}

// Write writes to the child. It blocks while the child does not read, until Close.
func (i *Input) Write(p []byte) (int, error) {
	if i == nil {
		return 0, os.ErrClosed
	}
	return i.file.Write(p)
}

// Resize changes the size of the child's terminal, which signals its foreground process
// group (SIGWINCH). It does nothing for a pipe.
func (i *Input) Resize(size Size) error {
	if i == nil || !i.console {
		return nil
	}
	conn, err := i.file.SyscallConn()
	if err != nil {
		return err
	}
	w := size.window()
	var ioctlErr error
	err = conn.Control(func(fd uintptr) { // Fd could make the file blocking
		ioctlErr = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: w.Rows, Col: w.Cols})
	})
	return errors.Join(err, ioctlErr)
}

// End ends the input of the child. A terminal stays open.
func (i *Input) End() {
	if i != nil && !i.console {
		_ = i.Close()
	}
}

// Close closes the near end, and ends a Write in progress. It may be called again.
func (i *Input) Close() (err error) {
	if i != nil {
		i.closing.Do(func() { err = i.file.Close() })
	}
	return err
}
