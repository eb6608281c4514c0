package proc

import (
	"errors"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// awaitExit returns once the child has ended. It does not block a thread: the network
// poller watches a pidfd (Linux 5.10). Without a pidfd it returns at once, and the wait
// that follows blocks a thread.
func awaitExit(pid int) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer func() { _ = file.Close() }()
	conn, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Read(func(fd uintptr) bool { // fails only if the poller cannot watch it
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}} //nolint:gosec // G115: a descriptor is 32 bits
		n, err := unix.Poll(ready, 0)
		return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
	})
}

// setDeathSignal makes the kernel signal the child if this process dies. The kernel
// watches the thread that forked (PR_SET_PDEATHSIG, prctl(2)); Go ends a thread only
// when a goroutine that locked it ends.
func setDeathSignal(attr *syscall.SysProcAttr, name string) error {
	if name == "" {
		return nil
	}
	number, err := Signal(name)
	attr.Pdeathsig = number
	return err
}

// closeOnExec hides inherited descriptors from child processes: Go sets close-on-exec
// only for those that it opens.
func closeOnExec() {
	if unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	for _, fd := range numbers("/proc/self/fd") { // before Linux 5.11
		if fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}
