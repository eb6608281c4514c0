package proc

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// steadyStarts: start times are of the wall clock (xnu, bsd/kern/kern_fork.c), which
// may be set back while a tree grows.
const steadyStarts = false

// awaitExit leaves the waiting to os, which blocks a thread for it.
func awaitExit(int) {}

// setDeathSignal only checks the name: macOS has no such thing.
func setDeathSignal(_ *syscall.SysProcAttr, name string) error {
	if name == "" {
		return nil
	}
	_, err := Signal(name)
	return err
}

// closeOnExec keeps from children what this process has itself inherited: Go
// marks its own descriptors, not those it was started with.
func closeOnExec() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
