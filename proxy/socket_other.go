//go:build !linux || race

package proxy

import "syscall"

// readNow reads from a connection that never waits.
func readNow(fd uintptr, p []byte) (int, syscall.Errno) { return outcome(syscall.Read(int(fd), p)) }

// writeNow writes to one.
func writeNow(fd uintptr, p []byte) (int, syscall.Errno) { return outcome(syscall.Write(int(fd), p)) }

func outcome(n int, err error) (int, syscall.Errno) {
	errno, _ := err.(syscall.Errno) //nolint:errorlint // package syscall has no others
	return n, errno
}
