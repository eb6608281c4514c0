//go:build linux && !race

package proxy

import (
	"syscall"
	"unsafe"
)

// readNow reads from a connection that never waits. Unlike syscall.Read it does not
// tell Go's scheduler of the call. That takes each call within which the kernel lets
// another program run for one that waits: where all cores are at work it looks 4000
// times a second, and has other threads go on, which is a twelfth of what a proxy
// takes for a short answer.
func readNow(fd uintptr, p []byte) (int, syscall.Errno) { return now(syscall.SYS_READ, fd, p) }

// writeNow writes to one in the same way.
func writeNow(fd uintptr, p []byte) (int, syscall.Errno) { return now(syscall.SYS_WRITE, fd, p) }

func now(call, fd uintptr, p []byte) (int, syscall.Errno) {
	n, _, err := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p))) //nolint:gosec // G103: p stays where it is for as long
	return int(n), err
}
