package proxy

import (
	"net"
	"sync"

	"silo/traffic"
)

// callerKey is the context key of a connection's *callerLookup.
type callerKey struct{}

// callerLookup finds the caller at the far end of a connection that Serve accepted. It
// runs once, for the connection's first request, in its own goroutine.
type callerLookup struct {
	local, remote net.Addr
	running       *sync.WaitGroup // Serve waits for it

	once   sync.Once
	done   chan struct{} // closed once caller is set
	caller traffic.Caller
}

func newCallerLookup(conn net.Conn, running *sync.WaitGroup) *callerLookup {
	return &callerLookup{local: conn.LocalAddr(), remote: conn.RemoteAddr(), running: running, done: make(chan struct{})}
}

// start starts the lookup unless it has been started.
func (l *callerLookup) start(find func(local, remote net.Addr) traffic.Caller) {
	l.once.Do(func() {
		l.running.Go(func() {
			defer close(l.done)
			l.caller = find(l.local, l.remote)
		})
	})
}

// then calls f with the caller once it is known, from another goroutine, before Serve
// returns.
func (l *callerLookup) then(f func(traffic.Caller)) {
	l.running.Go(func() {
		<-l.done
		f(l.caller)
	})
}
