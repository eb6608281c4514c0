package cmd

import (
	"io"
	"sync"
	"time"

	"silo/ui"
)

const (
	// outletPatience is how long somebody who says something waits for it to be taken.
	outletPatience = time.Second
	// outletMost bounds what waits for a reader who has stopped reading, in bytes.
	outletMost = 64 << 10
)

// outlet passes on what a supervisor says to a reader who may stop reading: a pager
// that nobody scrolls, a pipe that nobody empties. Once nothing has been taken for a
// second nobody waits any more: what is said is kept, as far as there is room, and
// is there when the reader goes on. So neither a warning nor the end of it all is
// held up by who does not listen.
//
// It has a goroutine while something waits. One whose reader never goes on ends
// with the process.
type outlet struct {
	to io.Writer

	mu      sync.Mutex    // guards what follows
	waiting []byte        // said, and not yet handed to the writer
	writing bool          // a goroutine is
	stuck   bool          // nothing was taken for too long
	moved   chan struct{} // closed and replaced when the writer has taken something
	err     error         // the first that the writer met
}

// terminal is what ui asks a writer for, to find out whether it is one.
type terminal interface{ Fd() uintptr }

// newOutlet makes an outlet of a writer, and leaves a terminal one.
func newOutlet(to io.Writer) io.Writer {
	o := &outlet{to: to, moved: make(chan struct{})}
	if t, ok := to.(terminal); ok {
		return struct {
			*outlet
			terminal
		}{o, t}
	}
	return o
}

// Write returns once p is taken or there is no more waiting for that.
func (o *outlet) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	if len(o.waiting) > 0 && len(o.waiting)+len(p) > outletMost {
		return len(p), nil
	}
	o.waiting = append(o.waiting, p...)
	if !o.writing {
		o.writing = true
		go o.pass()
	}
	for o.writing && !o.stuck {
		o.await()
	}
	return len(p), o.err
}

// await lets go of the lock until something is taken, or for as long as patience goes.
func (o *outlet) await() {
	moved := o.moved
	o.mu.Unlock()
	timer := time.NewTimer(outletPatience)
	defer timer.Stop()
	select {
	case <-moved:
		o.mu.Lock()
	case <-timer.C:
		o.mu.Lock()
		o.stuck = o.stuck || o.moved == moved
	}
}

// pass hands on what waits until nothing does.
func (o *outlet) pass() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.waiting) > 0 && o.err == nil {
		block := o.waiting
		o.waiting = nil
		o.mu.Unlock()
		_, err := o.to.Write(block)
		o.mu.Lock()
		o.err, o.stuck = err, false
		o.signal()
	}
	o.writing = false
	o.signal()
}

func (o *outlet) signal() {
	close(o.moved)
	o.moved = make(chan struct{})
}

// speakUnheard lets this process go on whether or not anybody takes what it says,
// as a supervisor must, and returns the standard output as it is, for the silos' lines.
func (a *app) speakUnheard() io.Writer {
	lines := a.Stdout
	a.unheard = true
	a.Stdout, a.Stderr = newOutlet(a.Stdout), newOutlet(a.Stderr)
	a.printers(a.color)
	return lines
}

// talkUnheard is the same for talk alone, where a command has output and terminal.
func (a *app) talkUnheard() {
	a.talk = ui.New(newOutlet(a.Stderr), ui.Options{Color: a.color, Env: a.lookup})
}
