package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// wires are the connections to a silo on which a request without a body goes and
// its answer comes in the goroutine of the one who asks. net/http.Transport keeps
// two goroutines for each connection, and hands every request and answer over
// twice: with that a proxy takes half as long again for a short answer.
type wires struct {
	dialer  net.Dialer
	timeout time.Duration // for an answer's header; 0: none

	mu    sync.Mutex // guards all below
	idle  []*wire    // the one used last at the end
	sweep *time.Timer
	spoke map[string]int // by host:port: the version of HTTP that the silo has answered in
}

func newWires(options Options) *wires {
	return &wires{dialer: net.Dialer{Timeout: dialTimeout}, timeout: options.HeaderTimeout, spoke: map[string]int{}}
}

// errHTTP2 says that a silo has answered in HTTP/2, or has not understood HTTP/1.1.
var errHTTP2 = errors.New("the silo may speak HTTP/2 alone")

// send sends a repeatable request. On a connection that has been used before the
// silo may hang up without an answer; then it goes again, on a new one.
func (w *wires) send(r *http.Request, pass early) (*http.Response, error) {
	at := r.URL.Host
	if used := w.take(at); used != nil {
		answer, err := used.exchange(r, pass)
		if err == nil || !used.mute || r.Context().Err() != nil || FaultOf(err) == Timeout {
			return answer, err
		}
	}
	fresh, err := w.dial(r.Context(), at)
	if err != nil {
		return nil, err
	}
	answer, err := fresh.exchange(r, pass)
	switch {
	case err == nil:
		w.learn(at, 1)
	case fresh.mute && w.speaks(at) == 0 && FaultOf(err) == Broken && r.Context().Err() == nil:
		err = fmt.Errorf("%w: %w", errHTTP2, err) // a server of Go's hangs up on what it does not speak
	}
	return answer, err
}

// speaks is the version of HTTP that a silo has answered in, 0 while it has not.
func (w *wires) speaks(at string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.spoke[at]
}

func (w *wires) learn(at string, version int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spoke[at] = version
}

// take gives the connection to at that was used last, if it is still quiet: what
// has come unasked would pass for the next answer.
func (w *wires) take(at string) *wire {
	for {
		found := w.pop(at)
		if found == nil || found.conn.quiet() {
			return found
		}
		_ = found.conn.Close() // it was not to be used again
	}
}

func (w *wires) pop(at string) *wire {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, found := range slices.Backward(w.idle) {
		if found.at == at {
			w.idle = slices.Delete(w.idle, i, i+1)
			return found
		}
	}
	return nil
}

// put keeps a connection for the next request, for a while.
func (w *wires) put(used *wire) {
	used.since = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.idle) >= idlePerHost {
		_ = used.conn.Close() // more than anybody needs
		return
	}
	w.idle = append(w.idle, used)
	if w.sweep == nil {
		w.sweep = time.AfterFunc(idleUpstream, w.expire)
	}
}

// expire closes what has been idle for too long, and comes again while there is
// something left.
func (w *wires) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	bound := time.Now().Add(-idleUpstream)
	old := 0
	for old < len(w.idle) && !w.idle[old].since.After(bound) {
		_ = w.idle[old].conn.Close() // nothing is on its way
		old++
	}
	w.idle = slices.Delete(w.idle, 0, old)
	w.sweep = nil
	if len(w.idle) > 0 {
		w.sweep = time.AfterFunc(w.idle[0].since.Sub(bound), w.expire)
	}
}

// close closes what is idle.
func (w *wires) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, idle := range w.idle {
		_ = idle.conn.Close() // nothing is on its way
	}
	w.idle = nil
	if w.sweep != nil {
		w.sweep.Stop()
		w.sweep = nil
	}
}
