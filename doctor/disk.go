package doctor

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes this user may still write to path's file system.
func freeSpace(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // G115: a block size is positive
}
