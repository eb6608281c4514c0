package proxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// lookoutAfter is how long a request may take before anybody looks whether its
// client is still there: most are answered by then.
const lookoutAfter = 10 * time.Millisecond

// lookout reads a connection for one goroutine, and while that serves a request
// sees whether the client leaves, as net/http does: by reading one byte, which is
// the next request's if it comes.
type lookout struct {
	conn  net.Conn
	timer *time.Timer
	on    bool               // between watch and rest
	gone  context.CancelFunc // to be called once the client has left
	done  chan struct{}      // one is sent each time that the timer has run out

	byte   [1]byte
	stolen bool // it is there and has not been read by Read

	mu      sync.Mutex // guards resting, and the deadline while it is false
	resting bool       // nobody is to look any more
}

func newLookout(conn net.Conn) *lookout {
	l := &lookout{conn: conn, done: make(chan struct{}, 1)}
	l.timer = time.AfterFunc(time.Hour, l.look)
	l.timer.Stop()
	return l
}

// Read must not be called between watch and rest.
func (l *lookout) Read(p []byte) (int, error) {
	if l.stolen && len(p) > 0 {
		p[0], l.stolen = l.byte[0], false
		return 1, nil
	}
	return l.conn.Read(p)
}

// watch has gone called if the client leaves before rest.
func (l *lookout) watch(gone context.CancelFunc) {
	l.gone, l.on, l.resting = gone, true, false // nobody looks now
	l.timer.Reset(lookoutAfter)
}

// rest ends the watch. True: the deadline for reads has gone with it.
func (l *lookout) rest() bool {
	if !l.on {
		return false
	}
	l.on = false
	if l.timer.Stop() {
		return false
	}
	l.mu.Lock()
	l.resting = true
	_ = l.conn.SetReadDeadline(time.Unix(1, 0)) // on one that is closed nobody waits
	l.mu.Unlock()
	<-l.done
	_ = l.conn.SetReadDeadline(time.Time{}) // as above
	return true
}

func (l *lookout) look() {
	defer func() { l.done <- struct{}{} }()
	if !l.begin() {
		return
	}
	n, err := l.conn.Read(l.byte[:])
	l.stolen = n == 1
	if err != nil && !l.rested() {
		l.gone()
	}
}

// begin takes the deadline away, which is that of an idle connection.
func (l *lookout) begin() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.resting {
		_ = l.conn.SetReadDeadline(time.Time{}) // a dead connection says so when it is read
	}
	return !l.resting
}

func (l *lookout) rested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.resting
}
