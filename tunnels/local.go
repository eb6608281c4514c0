package tunnels

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"

	"silo/proxy"
	"silo/traffic"
)

// local is a provider whose tunnels are edges on loopback in this process.
type local struct {
	config Config

	mu     sync.Mutex     // guards all below
	edges  map[*edge]bool // but for those that Close has ended
	closed bool
}

// edge serves one silo's proxy on one listener.
type edge struct {
	*lamp
	of      *local
	url     string
	forward *proxy.Proxy
	stop    context.CancelFunc
	done    chan struct{} // closed when nothing of it runs
}

func (l *local) Open(ctx context.Context, spec Spec) (Tunnel, error) {
	listener := spec.Listener
	if listener == nil {
		var err error
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return nil, fmt.Errorf("listen on loopback: %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || ctx.Err() != nil {
		_ = listener.Close()
		return nil, ended(ctx)
	}
	forward := proxy.New(proxy.Options{
		Silo: spec.Name, Target: spec.Upstream, Starting: spec.Starting, HostHeader: spec.HostHeader,
		Recording: l.config.Recording,
	})
	handler, err := newGate(spec, forward)
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := &edge{
		lamp:    newLamp(spec.Name, l.config.Changed),
		of:      l,
		url:     "http://" + listener.Addr().String(),
		forward: forward,
		stop:    stop,
		done:    make(chan struct{}),
	}
	l.edges[e] = true
	e.show(Opening, nil)
	e.show(Online, nil)
	leave := l.config.HostRouter.add(spec.Hosts, handler)
	go func() {
		defer close(e.done)
		defer leave()
		e.serve(life, listener, handler)
	}()
	return e, nil
}

func (l *local) remove(e *edge) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.edges, e)
}

func (e *edge) serve(life context.Context, listener net.Listener, handler http.Handler) {
	defer e.forward.Close()
	if err := proxy.Serve(life, listener, handler, e.of.config.Warn); err != nil {
		e.show(Lost, &Error{Code: codeEdge, Text: err.Error(), Class: Fatal, Hint: "silo down && silo up"})
	}
}

func (l *local) Close(ctx context.Context) error {
	l.mu.Lock()
	l.closed = true
	edges := slices.Collect(maps.Keys(l.edges))
	l.mu.Unlock()
	for _, e := range edges {
		e.stop()
	}
	l.config.HostRouter.end()
	var first error
	for _, e := range edges {
		if err := e.Close(ctx); err != nil && first == nil {
			first = err
		}
	}
	if err := l.config.HostRouter.Close(ctx); first == nil {
		first = err
	}
	return first
}

func (e *edge) Name() string   { return e.name }
func (e *edge) URL() string    { return e.url }
func (e *edge) Status() Status { return *e.now.Load() }

func (e *edge) Replay(ctx context.Context, x traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error) {
	return e.forward.Replay(ctx, x, caller)
}

func (e *edge) Close(ctx context.Context) error {
	e.stop()
	e.putOut()
	if err := wait(ctx, e.done, "the edge of "+e.name); err != nil {
		return err
	}
	e.of.remove(e)
	return nil
}

// ended is why an Open ends that must not begin.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errClosed
}
