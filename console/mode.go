package console

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Modes are the modes of a terminal before and after a change, as text.
type Modes struct{ Before, After string }

// modesOf returns the present modes of a terminal as text.
func modesOf(file *os.File) (string, error) {
	mode, err := unix.IoctlGetTermios(int(file.Fd()), getTermios)
	if err != nil {
		return "", err
	}
	var text bytes.Buffer
	err = binary.Write(&text, binary.LittleEndian, mode)
	return hex.EncodeToString(text.Bytes()), err
}

// RestoreAfter waits for the end of a pipe, whose other end is held by the process that has
// changed the modes of a terminal. If that process has not written anything, it was killed.
// Then RestoreAfter restores the modes, unless something else, such as a shell, has changed
// them since.
func RestoreAfter(pipe io.Reader, tty *os.File, m Modes) error {
	if word, _ := io.ReadAll(pipe); len(word) > 0 {
		return nil
	}
	now, err := modesOf(tty)
	if err != nil || now != m.After {
		return err
	}
	data, err := hex.DecodeString(m.Before)
	if err != nil {
		return fmt.Errorf("restore the terminal: %w", err)
	}
	mode := new(unix.Termios)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, mode); err != nil {
		return fmt.Errorf("restore the terminal: %w", err)
	}
	return unix.IoctlSetTermios(int(tty.Fd()), setTermios, mode)
}
