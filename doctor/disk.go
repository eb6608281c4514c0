package doctor

import "golang.org/x/sys/unix"

// freeSpace returns the number of bytes that this user may still write to the file
// system of path.
func freeSpace(path string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // G115: a block size is positive
}
