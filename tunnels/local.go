package tunnels

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"

	"silo/proxy"
	"silo/traffic"
)

// local is a provider whose tunnels are listeners on loopback in this process.
type local struct {
	config Config

	mu      sync.Mutex            // guards all below
	tunnels map[*localTunnel]bool // open tunnels
	closed  bool
}

// localTunnel serves one silo's proxy on one listener.
type localTunnel struct {
	*tracker
	provider *local
	forward  *proxy.Proxy
	stop     context.CancelFunc
	done     chan struct{} // closed when all its goroutines have ended
}

func (l *local) Open(ctx context.Context, spec Spec) (Tunnel, error) {
	listener := spec.Listener
	if listener == nil {
		var err error
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listen on loopback: %w", err)
		}
	}
	t, err := l.open(ctx, spec, listener)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return t, nil
}

func (l *local) open(ctx context.Context, spec Spec, listener net.Listener) (*localTunnel, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || ctx.Err() != nil {
		return nil, closedError(ctx)
	}
	forward := newProxy(spec, l.config, false)
	handler, err := newAuthHandler(spec, forward)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	t := &localTunnel{
		tracker:  newTracker(spec.Name, "http://"+listener.Addr().String(), l.config),
		provider: l,
		forward:  forward,
		stop:     stop,
		done:     make(chan struct{}),
	}
	l.tunnels[t] = true
	t.set(Opening, nil)
	t.set(Online, nil)
	removeRoute := l.config.HostRouter.add(spec.Hosts, handler)
	go func() {
		defer close(t.done)
		defer removeRoute()
		defer forward.Close()
		if err := proxy.Serve(life, listener, handler, l.config.Warn); err != nil {
			t.set(Lost, &Error{Code: codeListener, Text: err.Error(), Class: Fatal, Hint: "silo down && silo up"})
		}
	}()
	return t, nil
}

func (l *local) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	tunnels := slices.Collect(maps.Keys(l.tunnels))
	l.mu.Unlock()
	for _, t := range tunnels { // stop all before waiting for any
		t.stop()
	}
	l.config.HostRouter.stop()
	errs := make([]error, 0, len(tunnels)+1)
	for _, t := range tunnels {
		errs = append(errs, t.Close(ctx))
	}
	return errors.Join(append(errs, l.config.HostRouter.Close(ctx))...)
}

func (t *localTunnel) Replay(ctx context.Context, x traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error) {
	return t.forward.Replay(ctx, x, caller)
}

func (t *localTunnel) Close(ctx context.Context) error {
	t.stop()
	t.mute()
	if err := awaitClose(ctx, t.done, "the tunnel of "+t.name); err != nil {
		return err
	}
	t.provider.mu.Lock()
	defer t.provider.mu.Unlock()
	delete(t.provider.tunnels, t)
	return nil
}
