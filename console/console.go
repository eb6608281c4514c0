// Package console changes the modes of the user's terminal and restores them.
//
// It must not know what is displayed there.
package console

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Console is a terminal that a program reads and writes.
type Console struct{ in, out *os.File }

// Open returns the terminal of two files. It reports false unless both are terminals, and
// this process is in the foreground there.
func Open(in, out any) (*Console, bool) {
	t := &Console{}
	var okIn, okOut bool
	t.in, okIn = in.(*os.File)
	t.out, okOut = out.(*os.File)
	return t, okIn && okOut && t.in != nil && t.out != nil && term.IsTerminal(int(t.in.Fd())) && term.IsTerminal(int(t.out.Fd())) && t.Foreground()
}

// Foreground reports whether this process may read and change the terminal.
func (t *Console) Foreground() bool {
	group, err := unix.IoctlGetInt(int(t.in.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// Size returns the size of the terminal in characters.
func (t *Console) Size() (rows, columns int) {
	columns, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil || columns == 0 || rows == 0 {
		return 24, 80 // unknown on a serial line
	}
	return rows, columns
}

// Resized returns a channel that receives after each change of the size, until stop is
// called.
func Resized() (changed <-chan os.Signal, stop func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGWINCH)
	return signals, func() { signal.Stop(signals) }
}

// Output returns the file that the terminal is written to.
func (t *Console) Output() *os.File { return t.out }

// Raw passes every key to this process unchanged, and writes output unchanged. restore
// undoes that. It may be called again.
func (t *Console) Raw() (restore func(), m Modes, err error) {
	if m.Before, err = modesOf(t.in); err != nil {
		return nil, m, err
	}
	saved, err := term.MakeRaw(int(t.in.Fd()))
	if err != nil {
		return nil, m, err
	}
	m.After, err = modesOf(t.in)
	return func() { _ = term.Restore(int(t.in.Fd()), saved) }, m, err // it may be closed
}
