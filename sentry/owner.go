package sentry

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner and the group of like. Go tells them only through
// the system's own stat structure.
func keepOwner(f *os.File, like fs.FileInfo) error {
	made, err := f.Stat()
	if err != nil {
		return err
	}
	have, known := made.Sys().(*syscall.Stat_t)
	want, knownToo := like.Sys().(*syscall.Stat_t)
	if !known || !knownToo {
		return errors.New("the system does not tell who owns a file")
	}
	if have.Uid == want.Uid && have.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
