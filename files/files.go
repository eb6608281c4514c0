// Package files reads files whose reads may never end: a FIFO without a writer, a device,
// a file on a network file system that no longer answers.
//
// It must not know what the files contain.
package files

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// ErrNotRegular is wrapped by the error about a FIFO, a socket, a device or a directory.
var ErrNotRegular = errors.New("not a regular file")

// ErrNoAnswer is wrapped by the error about a file system that does not answer in time.
var ErrNoAnswer = errors.New("the file system does not answer")

// timeout bounds every read. It is below the time in which a command must answer.
const timeout = 3 * time.Second

// Read returns the content of a regular file, in at most three seconds.
func Read(path string) ([]byte, error) {
	return Within(path, func() ([]byte, error) {
		if err := checkRegular(path); err != nil {
			return nil, err
		}
		return os.ReadFile(path)
	})
}

// ReadUpTo is Read, but stops after limit bytes.
func ReadUpTo(path string, limit int64) ([]byte, error) {
	return Within(path, func() (data []byte, err error) {
		if err := checkRegular(path); err != nil {
			return nil, err
		}
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		return io.ReadAll(io.LimitReader(file, limit))
	})
}

// checkRegular looks at the file before it is opened, since opening a FIFO blocks.
func checkRegular(path string) error {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "read", Path: path, Err: ErrNotRegular}
	}
	return err
}

// Within returns the result of a function that uses the file at path. After three seconds
// it fails and leaves the function behind: a call that the kernel does not interrupt
// cannot be canceled.
func Within[T any](path string, use func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := use()
		done <- result{value, err}
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-timer.C:
		var none T
		return none, fmt.Errorf("%s: %w within %v", path, ErrNoAnswer, timeout)
	}
}
