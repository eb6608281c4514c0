package proc

import "golang.org/x/sys/unix"

// WidenTable makes room for so many open files at once. The kernel doubles the table
// of a process with threads as it fills, and each time has whoever opened the file
// wait for 5 to 20 ms (fs/file.c, expand_fdtable: synchronize_rcu). It takes that long
// too; where it fails the table grows as ever.
func WidenTable(files int) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }() // it was for its number
	if high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, files); err == nil {
		_ = unix.Close(high) // as above
	}
}
