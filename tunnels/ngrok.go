package tunnels

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.ngrok.com/ngrok/config"

	"silo/files"
)

const (
	answerTimeout = 15 * time.Second
	conflictGrace = 10 * time.Second

	// defaultServer is the SDK's default, for error messages.
	defaultServer = "connect.ngrok-agent.com:443"
)

// ngrokProvider keeps one session with the ngrok service for the endpoints of all
// silos, and connects when the first endpoint is opened.
type ngrokProvider struct {
	config Config
	roots  *x509.CertPool // nil: the SDK's

	mu        sync.Mutex // guards all below
	session   *session   // the latest; nil before the first Open
	endpoints map[*endpoint]bool
	closed    bool
	running   sync.WaitGroup // every goroutine; nothing is added once closed is set

	warned sync.Map // lines already passed to Warn
}

func newNgrok(config Config) (Provider, error) {
	c := &config.Ngrok
	c.TokenSource = cmp.Or(c.TokenSource, "tunnels.ngrok.authtoken")
	c.AnswerTimeout = cmp.Or(c.AnswerTimeout, answerTimeout)
	c.ConflictGrace = cmp.Or(c.ConflictGrace, conflictGrace)
	if c.Authtoken == "" {
		return nil, missingToken(nil)
	}
	p := &ngrokProvider{config: config, endpoints: map[*endpoint]bool{}}
	if c.RootCAs == "" {
		return p, nil
	}
	invalid := func(text string) error {
		return &Error{Code: codeRootCAs, Class: Fatal, Text: "tunnels.ngrok.root_cas: " + text, Hint: "set it to a PEM file with the CA's certificate, or remove it"}
	}
	pem, err := files.Read(c.RootCAs)
	if err != nil {
		return nil, invalid(err.Error())
	}
	p.roots = x509.NewCertPool()
	if !p.roots.AppendCertsFromPEM(pem) {
		return nil, invalid("no PEM certificate in " + c.RootCAs)
	}
	return p, nil
}

// classifier returns the classifier of SDK errors about a domain.
func (p *ngrokProvider) classifier(domain string) classifier {
	c := p.config.Ngrok
	return classifier{token: c.Authtoken, source: c.TokenSource, server: cmp.Or(c.ServerAddr, defaultServer), domain: domain}
}

func (p *ngrokProvider) Open(ctx context.Context, spec Spec) (Tunnel, error) {
	if spec.Listener != nil {
		_ = spec.Listener.Close()
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	e := p.newEndpoint(spec, stop)
	if !p.add(e) {
		stop()
		return nil, closedError(ctx)
	}
	e.set(Opening, nil)
	b, err := p.bind(ctx, e)
	if err != nil {
		e.mute()
		stop()
		p.remove(e)
		return nil, err
	}
	e.url = strings.TrimRight(b.URL(), "/")
	if !p.spawn(func() { e.run(life, b) }) {
		stop()
		return nil, errClosed // Close ends the session, and with it the endpoint
	}
	return e, nil
}

// bind binds e on the session, connecting first if necessary.
func (p *ngrokProvider) bind(ctx context.Context, e *endpoint) (*boundEndpoint, error) {
	for {
		s, err := p.connect(ctx)
		if err != nil {
			return nil, err
		}
		b, err := s.bind(ctx, e)
		if !errors.Is(err, errReplaced) {
			return b, err
		}
	}
}

// connect returns the session once it is connected. Concurrent calls share one attempt
// and its outcome.
func (p *ngrokProvider) connect(ctx context.Context) (*session, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	s := p.session
	if s == nil || s.isOver() {
		// The session outlives the Open that connects it.
		life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		previous := s
		s = newSession(p, cancel)
		p.session = s
		p.running.Go(func() { s.run(life, previous) })
	}
	p.mu.Unlock()
	select {
	case <-s.tried:
		return s, s.failure
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// warn passes on each warning once: the service repeats it on every connection.
func (p *ngrokProvider) warn(line string) {
	if _, known := p.warned.LoadOrStore(line, true); !known {
		p.config.Warn(line)
	}
}

// add reports false if the provider is closed.
func (p *ngrokProvider) add(e *endpoint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.endpoints[e] = true
	}
	return !p.closed
}

func (p *ngrokProvider) remove(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.endpoints, e)
}

// spawn runs f in a goroutine that Close waits for. If the provider is closed, it
// returns false and does not run f.
func (p *ngrokProvider) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Go(f)
	return true
}

// Close ends the session, which unbinds all endpoints. It does not unbind them one by
// one, because a hung service would not reply.
func (p *ngrokProvider) Close(ctx context.Context) error {
	p.mu.Lock()
	s := p.session
	p.closed = true
	endpoints := slices.Collect(maps.Keys(p.endpoints))
	p.mu.Unlock()
	for _, e := range endpoints {
		e.mute()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if s != nil {
			s.close(errClosed)
		}
		for _, e := range endpoints {
			e.stop()
		}
		p.running.Wait()
	}()
	return awaitClose(ctx, done, "the ngrok tunnels")
}

// endpointConfig returns the endpoint's options for the SDK. The Host header is not
// among them: the proxy sets it.
func endpointConfig(spec Spec, host string) config.Tunnel {
	options := []config.HTTPEndpointOption{config.WithForwardsTo("silo " + spec.Name)}
	if host != "" {
		options = append(options, config.WithDomain(host))
	}
	for _, pair := range spec.BasicAuth {
		user, password, _ := strings.Cut(pair, ":")
		options = append(options, config.WithBasicAuth(user, password))
	}
	if len(spec.AllowCIDRs) > 0 {
		options = append(options, config.WithAllowCIDRString(spec.AllowCIDRs...))
	}
	if spec.TrafficPolicy != "" {
		options = append(options, config.WithTrafficPolicy(spec.TrafficPolicy))
	}
	return config.HTTPEndpoint(options...)
}
