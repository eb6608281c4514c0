package ui

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readerEvery is how often WhileRead looks whether there is still a reader.
const readerEvery = 100 * time.Millisecond

// WhileRead is ctx, which also ends once nobody reads any more what the Printer's
// writer writes, as after `| head -1`. A writer would find that out by its next
// word, which may be long in coming. The function that comes with it waits until
// nothing looks any more.
func (p *Printer) CancelWhenClosed(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, enough := context.WithCancel(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		tick := time.NewTicker(readerEvery)
		defer tick.Stop()
		for !p.ReaderClosed() {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
		enough()
	}()
	return ctx, func() { enough(); <-looked }
}

// Lost is the first error of writing; nil where there was none, or nobody reads any
// more, as after `| head -1`, who has what he wanted.
func (p *Printer) WriteError() error {
	if err := p.lost.Load(); err != nil && !errors.Is(*err, unix.EPIPE) {
		return *err
	}
	return nil
}

// Unread tells whether the writer is a pipe or a socket whose other end is closed.
func (p *Printer) ReaderClosed() bool {
	file, ok := p.w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return false
	}
	connection, err := file.SyscallConn()
	if err != nil {
		return false
	}
	gone := false
	_ = connection.Control(func(fd uintptr) { // fails where it is closed: nobody asks that
		// Linux tells of a pipe by POLLERR, and of a socket by POLLHUP, asked or not;
		// macOS of both by POLLHUP, and only where that is asked for.
		polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLHUP}} //nolint:gosec // G115: descriptors are small
		n, err := unix.Poll(polled, 0)
		gone = err == nil && n > 0 && polled[0].Revents&(unix.POLLERR|unix.POLLHUP) != 0
	})
	return gone
}
