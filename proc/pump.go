package proc

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pumpBlock is the maximum size of one read, in bytes.
const pumpBlock = 32 << 10

// pump copies from a pipe to a writer in one goroutine. While the pipe is empty, the
// goroutine waits in the network poller, without a thread.
type pump struct {
	file  *os.File
	to    io.Writer
	stage atomic.Int32
	empty chan struct{} // closed once the pipe was empty in stage leaderExited, or has ended
	ended chan struct{} // closed once the goroutine has ended and the pipe is closed

	emptyOnce sync.Once
	block     []byte
	n         int // bytes in block
	err       error
}

// The stages decide what a pump does when the pipe is empty.
const (
	leaderRuns   = int32(iota) // wait
	leaderExited               // close pump.empty, and wait
	treeEnded                  // end: only foreign processes can still write
)

func newPump(file *os.File, to io.Writer) *pump {
	if to == nil {
		to = io.Discard
	}
	return &pump{file: file, to: to, empty: make(chan struct{}), ended: make(chan struct{}), block: make([]byte, pumpBlock)}
}

func (p *pump) run() {
	defer close(p.ended)
	defer func() { _ = p.file.Close() }()
	defer p.markEmpty()
	conn, err := p.file.SyscallConn()
	for err == nil {
		err = p.read(conn)
		if p.n > 0 {
			// Errors of the writer are ignored: a full disk must not block the child.
			_, _ = p.to.Write(p.block[:p.n])
		}
	}
}

// read waits for a block. A deadline only means that the stage has changed.
func (p *pump) read(conn syscall.RawConn) error {
	p.n, p.err = 0, nil
	err := conn.Read(p.tryRead)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return p.file.SetReadDeadline(time.Time{})
	}
	return errors.Join(err, p.err)
}

// tryRead reads without blocking. It returns false to wait for more.
func (p *pump) tryRead(fd uintptr) bool {
	n, err := unix.Read(int(fd), p.block)
	for errors.Is(err, unix.EINTR) {
		n, err = unix.Read(int(fd), p.block)
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		switch p.stage.Load() {
		case treeEnded:
			p.err = io.EOF
			return true
		case leaderExited:
			p.markEmpty()
		}
		return false
	case err != nil:
		p.err = err
	case n == 0:
		p.err = io.EOF
	default:
		p.n = n
	}
	return true
}

func (p *pump) markEmpty() { p.emptyOnce.Do(func() { close(p.empty) }) }

// advance sets a later stage and wakes the goroutine.
func (p *pump) advance(stage int32) {
	for {
		old := p.stage.Load()
		if old >= stage || p.stage.CompareAndSwap(old, stage) {
			break
		}
	}
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // fails only if the pipe is closed
}

// drain returns once everything that was written before the call has been passed on,
// or after timeout.
func (p *pump) drain(timeout time.Duration) {
	p.advance(leaderExited)
	waitClosed(p.empty, timeout)
}

// finish passes on the remaining output and closes the pipe, even if a foreign process
// still has it open. It takes at most timeout.
func (p *pump) finish(timeout time.Duration) {
	p.advance(treeEnded)
	waitClosed(p.ended, timeout)
}

// waitClosed reports whether a channel is closed within timeout.
func waitClosed(ch <-chan struct{}, timeout time.Duration) bool {
	if isClosed(ch) {
		return true
	}
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-ch:
		return true
	case <-timer.C:
		return false
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
