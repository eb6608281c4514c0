package proxy

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"silo/traffic"
)

// peerKey is where a connection's context keeps its *peer.
type peerKey struct{}

// peer is the far end of a connection that Serve serves. Who that is, is looked up
// when a request first wants to know, beside the request.
type peer struct {
	conn    net.Conn
	lookups *sync.WaitGroup // Serve's

	introduction atomic.Pointer[introduction] // of its latest request; nil: it made none

	mu      sync.Mutex // guards all below
	found   chan struct{}
	known   bool
	caller  traffic.Caller
	waiting []func(traffic.Caller) // to be told once it is known
}

// look tells who it is, or begins to find out.
func (p *peer) look(find func(local, remote net.Addr) traffic.Caller) (traffic.Caller, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		p.found = make(chan struct{})
		p.lookups.Go(func() { p.settle(find(p.conn.LocalAddr(), p.conn.RemoteAddr())) })
	}
	return p.caller, p.known
}

func (p *peer) settle(caller traffic.Caller) {
	p.mu.Lock()
	waiting := p.waiting
	p.caller, p.known, p.waiting = caller, true, nil
	close(p.found)
	p.mu.Unlock()
	for _, tell := range waiting {
		tell(caller)
	}
}

// tell calls f with the caller, once that is known; at once, where it is. f is
// called before Serve returns.
func (p *peer) tell(f func(traffic.Caller)) {
	p.mu.Lock()
	if !p.known {
		p.waiting = append(p.waiting, f)
		p.mu.Unlock()
		return
	}
	p.mu.Unlock()
	f(p.caller) // never changes any more
}

// await waits until it is known; false: ctx ended first.
func (p *peer) await(ctx context.Context) (traffic.Caller, bool) {
	select {
	case <-p.found: // made by look, which came before
		return p.caller, true
	case <-ctx.Done():
		return traffic.Caller{}, false
	}
}
