package ui

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"silo/wait"
)

// closedInterval is how often CancelWhenClosed checks the reader.
const closedInterval = 100 * time.Millisecond

// CancelWhenClosed returns a context that is also canceled when the reader of the
// Printer's output closes its end, as after `| head -1`. A write would notice that too,
// but the next one may be much later. The cancel function waits for the goroutine that
// checks.
func (p *Printer) CancelWhenClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !p.ReaderClosed() && wait.Sleep(ctx, closedInterval) {
			continue
		}
		cancel()
	}()
	return ctx, func() { cancel(); <-done }
}

// WriteError returns the first error of writing, or nil. EPIPE is not an error: the
// reader, such as `head -1`, has read enough.
func (p *Printer) WriteError() error {
	if err := p.writeErr.Load(); err != nil && !errors.Is(*err, unix.EPIPE) {
		return *err
	}
	return nil
}

// ReaderClosed reports whether the writer is a pipe or socket whose other end is
// closed.
func (p *Printer) ReaderClosed() bool {
	file, ok := p.w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return false
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return false
	}
	closed := false
	_ = conn.Control(func(fd uintptr) { // fails on a closed file, which has no reader
		// Linux reports POLLERR for a pipe and POLLHUP for a socket, requested or not.
		// macOS reports POLLHUP for both, and only if it is requested.
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLHUP}} //nolint:gosec // G115: descriptors are small
		n, err := unix.Poll(polled, 0)
		closed = err == nil && n > 0 && polled[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return closed
}
