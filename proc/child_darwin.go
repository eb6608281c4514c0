package proc

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitExit returns at once: the wait that follows blocks a thread.
func awaitExit(int) {}

// setDeathSignal only validates the name: macOS has no such signal.
func setDeathSignal(_ *syscall.SysProcAttr, name string) error {
	if name == "" {
		return nil
	}
	_, err := Signal(name)
	return err
}

// closeOnExec hides inherited descriptors from child processes: Go sets close-on-exec
// only for those that it opens.
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
