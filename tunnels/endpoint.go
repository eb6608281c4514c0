package tunnels

import (
	"context"
	"net"
	"strings"
	"sync"
	"time"

	"silo/proxy"
	"silo/traffic"
)

const (
	rebindFirst   = 500 * time.Millisecond
	rebindLongest = 5 * time.Second
)

// endpoint is one silo's tunnel at the ngrok service. It serves the silo's proxy
// on whatever legs it has in its life.
type endpoint struct {
	*lamp
	provider *ngrokProvider
	spec     Spec
	host     string // to ask for; set by the first answer where the service made one up
	url      string
	came     *proxy.ChanListener // from all legs, one after the other
	forward  *proxy.Proxy
	running  sync.WaitGroup // keep and serve
	once     sync.Once      // begins closing
	done     chan struct{}  // closed when nothing of it runs

	mu    sync.Mutex // guards all below
	stop  context.CancelFunc
	leg   *leg
	ended bool
}

func (p *ngrokProvider) newEndpoint(spec Spec) *endpoint {
	host := spec.Domain
	if host == "" {
		host = hostOf(spec.URL)
	}
	return &endpoint{
		lamp:     newLamp(spec.Name, p.config.Changed),
		provider: p,
		spec:     spec,
		host:     host,
		came:     proxy.NewChanListener(new(net.TCPAddr)),
		forward: proxy.New(proxy.Options{
			Silo: spec.Name, Target: spec.Upstream, Starting: spec.Starting,
			HostHeader: spec.HostHeader, TrustForwarded: true, Recording: p.config.Recording,
		}),
		done: make(chan struct{}),
	}
}

// start serves what comes in on a first leg, and keeps legs coming.
func (e *endpoint) start(ctx context.Context, first *leg) error {
	e.url = strings.TrimRight(first.URL(), "/")
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		stop()
		first.link.take(e)
		_ = first.Close()
		return errClosed
	}
	e.stop, e.leg = stop, first
	e.running.Go(func() { e.keep(life, first) })
	e.running.Go(func() { e.serve(life) })
	if !e.provider.spawn(e.running.Wait) {
		stop() // Close is at work: its link takes the leg away
	}
	return nil
}

// keep hands connections to the proxy and binds the endpoint again whenever its
// leg ends, until life does or the service stops the endpoint.
func (e *endpoint) keep(life context.Context, l *leg) {
	for l != nil {
		err := e.pump(l)
		l.link.take(e)
		if life.Err() != nil {
			return
		}
		if why := e.words().stoppedBy(err); why != nil {
			l.link.stoppedOne()
			e.show(Lost, why)
			return
		}
		l = e.rebind(life)
	}
}

// pump feeds the proxy until a leg fails. It takes connections even after the end, to
// drop them: the SDK cannot close a listener on which one is waiting.
func (e *endpoint) pump(l *leg) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		e.came.Deliver(newStream(conn, e.provider.spawn))
	}
}

func (e *endpoint) rebind(life context.Context) *leg {
	for pause := rebindFirst; ; pause = min(2*pause, rebindLongest) {
		l, err := e.provider.bind(life, e)
		if err == nil && e.hold(l) {
			return l
		}
		if err == nil {
			l.link.take(e)
			_ = l.Close()
		}
		if life.Err() != nil {
			return nil
		}
		e.fail(e.words().classify(err))
		select {
		case <-life.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// hold makes l the current leg, unless the endpoint is at its end.
func (e *endpoint) hold(l *leg) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.leg = l
	}
	return !e.ended
}

func (e *endpoint) serve(life context.Context) {
	defer e.forward.Close()
	_ = proxy.Serve(life, e.came, e.forward, e.provider.config.Warn) // the listener does not fail
}

func (e *endpoint) fail(why *Error) { e.lamp.fail(why, e.provider.config.Ngrok.ConflictGrace) }

func (e *endpoint) words() words { return e.provider.words(e.host) }

// mentions tells whether the service speaks of host.
func mentions(said, host string) bool { return host != "" && strings.Contains(said, host) }

// end lets nothing begin any more and everything end.
func (e *endpoint) end() *leg {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	if e.stop != nil {
		e.stop()
	}
	return e.leg
}

func (e *endpoint) Name() string   { return e.name }
func (e *endpoint) URL() string    { return e.url }
func (e *endpoint) Status() Status { return *e.now.Load() }

func (e *endpoint) Replay(ctx context.Context, x traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error) {
	return e.forward.Replay(ctx, x, caller)
}

func (e *endpoint) Close(ctx context.Context) error {
	e.putOut()
	e.once.Do(func() {
		l := e.end()
		go func() {
			defer close(e.done)
			l.link.take(e)
			l.link.release(l.Tunnel)
			e.running.Wait()
			e.provider.remove(e)
		}()
	})
	return wait(ctx, e.done, "the ngrok tunnel of "+e.name)
}
