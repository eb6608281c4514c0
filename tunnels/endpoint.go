package tunnels

import (
	"context"
	"net"
	"sync"
	"time"

	"silo/proxy"
	"silo/traffic"
	"silo/wait"
)

const (
	firstRebind   = 500 * time.Millisecond
	longestRebind = 5 * time.Second
)

// endpoint is one silo's tunnel at the ngrok service. It serves the silo's proxy on every
// session that it is bound to.
type endpoint struct {
	*tracker
	provider *ngrokProvider
	spec     Spec
	host     string // requested domain; set by the first answer if the service chose it
	conns    *proxy.ChanListener
	forward  *proxy.Proxy
	stop     context.CancelFunc
	done     chan struct{} // closed when all its goroutines have ended
}

func (p *ngrokProvider) newEndpoint(spec Spec, stop context.CancelFunc) *endpoint {
	return &endpoint{
		tracker:  newTracker(spec.Name, "", p.config),
		provider: p,
		spec:     spec,
		host:     spec.Domain,
		conns:    proxy.NewChanListener(new(net.TCPAddr)),
		forward:  newProxy(spec, p.config, true),
		stop:     stop,
		done:     make(chan struct{}),
	}
}

// run serves the endpoint until life ends.
func (e *endpoint) run(life context.Context, first *boundEndpoint) {
	defer close(e.done)
	defer e.provider.remove(e)
	defer e.forward.Close()
	var keeping sync.WaitGroup
	keeping.Go(func() { e.keepBound(life, first) })
	_ = proxy.Serve(life, e.conns, e.forward, e.provider.config.Warn) // a ChanListener never fails
	keeping.Wait()
}

// keepBound delivers connections to the proxy and rebinds the endpoint when it ends,
// until life ends or the service stops the endpoint.
func (e *endpoint) keepBound(life context.Context, b *boundEndpoint) {
	for b != nil {
		keep := context.AfterFunc(life, func() { b.session.release(b.Tunnel) }) // ends Accept
		err := e.deliver(b)
		keep()
		why := e.classifier().stoppedBy(err)
		b.session.detach(e, why != nil)
		if life.Err() != nil {
			return
		}
		if why != nil {
			e.set(Lost, why)
			return
		}
		b = e.rebind(life)
	}
}

// deliver accepts connections until Accept fails. Once life has ended it drops them,
// because the SDK cannot close a listener while a connection is waiting.
func (e *endpoint) deliver(b *boundEndpoint) error {
	for {
		stream, err := b.Accept()
		if err != nil {
			return err
		}
		e.conns.Deliver(pipeStream(stream, e.provider.spawn))
	}
}

// rebind binds the endpoint until it succeeds. It returns nil when life ends.
func (e *endpoint) rebind(life context.Context) *boundEndpoint {
	for pause := firstRebind; ; pause = min(2*pause, longestRebind) {
		b, err := e.provider.bind(life, e)
		if err == nil || life.Err() != nil {
			return b
		}
		e.fail(e.classifier().classify(err))
		if !wait.Sleep(life, pause) {
			return nil
		}
	}
}

func (e *endpoint) classifier() classifier { return e.provider.classifier(e.host) }

func (e *endpoint) Replay(ctx context.Context, x traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error) {
	return e.forward.Replay(ctx, x, caller)
}

func (e *endpoint) Close(ctx context.Context) error {
	e.mute()
	e.stop()
	return awaitClose(ctx, e.done, "the ngrok tunnel of "+e.Name())
}
