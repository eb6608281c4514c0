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

const (
	quietBlock = 4 << 10  // the buffer of a child that says little
	busyBlock  = 64 << 10 // of one that fills it: as much as a pipe holds
	calmReads  = 64       // reads that would have fitted, after which the large buffer goes
)

// pump carries what comes out of a pipe to a writer, in one goroutine that is
// parked in the poller, without a thread, while nothing comes.
type pump struct {
	file  *os.File
	to    io.Writer
	stage atomic.Int32
	empty chan struct{} // closed once the pipe was seen empty at stage leaderGone, or ended
	ended chan struct{} // closed once the goroutine is over and the pipe closed

	emptied sync.Once
	block   []byte
	got     int
	failed  error
	calm    int
}

// The stages of a pump: how it takes an empty pipe.
const (
	leaderLives = int32(iota) // more will come
	leaderGone                // all that the leader wrote has been read
	treeGone                  // nobody is left whose output matters
)

func newPump(file *os.File, to io.Writer) *pump {
	if to == nil {
		to = io.Discard
	}
	return &pump{file: file, to: to, empty: make(chan struct{}), ended: make(chan struct{}), block: make([]byte, quietBlock)}
}

func (p *pump) run() {
	defer close(p.ended)
	defer func() { _ = p.file.Close() }()
	defer p.markEmpty()
	conn, err := p.file.SyscallConn()
	for err == nil {
		err = p.read(conn)
		if p.got > 0 {
			// What the writer makes of it is its own business: the child must never
			// stand still because a disk is full.
			_, _ = p.to.Write(p.block[:p.got])
			p.resize()
		}
	}
}

// read waits for a block. A deadline only means that the stage has changed.
func (p *pump) read(conn syscall.RawConn) error {
	p.got, p.failed = 0, nil
	err := conn.Read(p.attempt)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return p.file.SetReadDeadline(time.Time{})
	}
	return errors.Join(err, p.failed)
}

// attempt reads what is there; false parks the goroutine until there is more.
func (p *pump) attempt(fd uintptr) bool {
	var err error
	for {
		p.got, err = unix.Read(int(fd), p.block)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		p.got = 0
		switch p.stage.Load() {
		case treeGone:
			p.failed = io.EOF
			return true
		case leaderGone:
			p.markEmpty()
		}
		return false
	case err != nil:
		p.got, p.failed = 0, err
	case p.got == 0:
		p.failed = io.EOF
	}
	return true
}

// resize gives a busy child the large buffer and takes it back when it has been
// calm for a while: a hundred silent children shall not hold six megabytes.
func (p *pump) resize() {
	switch {
	case len(p.block) == quietBlock && p.got == quietBlock:
		p.block, p.calm = make([]byte, busyBlock), 0
	case len(p.block) == busyBlock && p.got > quietBlock:
		p.calm = 0
	case len(p.block) == busyBlock:
		if p.calm++; p.calm >= calmReads {
			p.block = make([]byte, quietBlock)
		}
	}
}

func (p *pump) markEmpty() { p.emptied.Do(func() { close(p.empty) }) }

// advance moves to a later stage and wakes the goroutine so that it looks at it.
func (p *pump) advance(stage int32) {
	for {
		old := p.stage.Load()
		if old >= stage || p.stage.CompareAndSwap(old, stage) {
			break
		}
	}
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // fails only where the pipe is closed already
}

// settle returns once all that was written before the call has been handed on,
// but no later than after limit.
func (p *pump) settle(limit time.Duration) {
	p.advance(leaderGone)
	await(p.empty, limit)
}

// finish hands on what is left and closes the pipe, even where a stranger still
// holds its other end. It returns no later than after limit.
func (p *pump) finish(limit time.Duration) {
	p.advance(treeGone)
	await(p.ended, limit)
}

// await waits for a channel to be closed and tells whether it was in time.
func await(closed <-chan struct{}, limit time.Duration) bool {
	select {
	case <-closed:
		return true
	default:
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-closed:
		return true
	case <-timer.C:
		return false
	}
}
