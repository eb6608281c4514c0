package tunnels

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"golang.ngrok.com/ngrok/config"
)

const (
	answerTimeout = 15 * time.Second
	patience      = 10 * time.Second

	// defaultServer is the SDK's, for errors that name it.
	defaultServer = "connect.ngrok-agent.com:443"

	// minPassword is the shortest that the service accepts for basic_auth
	// (github.com/ngrok/ngrok-docs, agent/config/v2.mdx).
	minPassword = 8
)

// ngrokProvider keeps one link to the ngrok service, made when first needed,
// for the endpoints of all silos.
type ngrokProvider struct {
	config Config
	roots  *x509.CertPool // nil: the SDK's own

	mu        sync.Mutex // guards all below
	link      *link      // nil before the first Open and after a failure
	endpoints map[*endpoint]bool
	closed    bool
	warned    map[string]bool
	running   sync.WaitGroup // every goroutine; joined only once closed is set
}

func newNgrok(config Config) (Provider, error) {
	c := &config.Ngrok
	if c.TokenSource == "" {
		c.TokenSource = "tunnels.ngrok.authtoken"
	}
	if c.AnswerTimeout == 0 {
		c.AnswerTimeout = answerTimeout
	}
	if c.ConflictGrace == 0 {
		c.ConflictGrace = patience
	}
	if c.Authtoken == "" {
		return nil, missingToken(nil)
	}
	p := &ngrokProvider{config: config, endpoints: map[*endpoint]bool{}, warned: map[string]bool{}}
	if c.RootCAs == "" {
		return p, nil
	}
	pem, err := os.ReadFile(c.RootCAs)
	if err != nil {
		return nil, badRoots(fmt.Sprintf("cannot read tunnels.ngrok.root_cas: %v", err))
	}
	p.roots = x509.NewCertPool()
	if !p.roots.AppendCertsFromPEM(pem) {
		return nil, badRoots(fmt.Sprintf("tunnels.ngrok.root_cas: no PEM certificate in %s", c.RootCAs))
	}
	return p, nil
}

func badRoots(text string) *Error {
	return &Error{Code: codeRootCAs, Class: Fatal, Text: text, Hint: "name a PEM file with the certificate of the authority to trust, or leave it out"}
}

// words are what an error about a domain is put into words with.
func (p *ngrokProvider) words(domain string) words {
	c := p.config.Ngrok
	w := words{token: c.Authtoken, source: c.TokenSource, server: c.ServerAddr, domain: domain}
	if w.server == "" {
		w.server = defaultServer
	}
	return w
}

func (p *ngrokProvider) Open(ctx context.Context, spec Spec) (Tunnel, error) {
	if spec.Listener != nil {
		_ = spec.Listener.Close()
	}
	if err := check(spec); err != nil {
		return nil, err
	}
	e := p.newEndpoint(spec)
	if !p.add(e) {
		return nil, ended(ctx)
	}
	e.show(Opening, nil)
	leg, err := p.bind(ctx, e)
	if err != nil {
		e.putOut()
		p.remove(e)
		return nil, err
	}
	if err := e.start(ctx, leg); err != nil {
		return nil, err
	}
	return e, nil
}

// bind binds e on the link, which it makes where there is none.
func (p *ngrokProvider) bind(ctx context.Context, e *endpoint) (*leg, error) {
	for {
		l, err := p.connect(ctx)
		if err != nil {
			return nil, err
		}
		bound, err := l.bind(ctx, e)
		if !errors.Is(err, errReplaced) {
			return bound, err
		}
	}
}

// connect returns the link, once it has been up. Calls at the same time share
// one attempt and its outcome.
func (p *ngrokProvider) connect(ctx context.Context) (*link, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	l := p.link
	if l != nil && l.isOver() {
		p.mu.Unlock()
		select {
		case <-l.gone:
			return p.connect(ctx)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if l == nil {
		l = newLink(p)
		p.link = l
		// The link outlives the Open that is first to need it.
		life, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		l.cancel = cancel
		p.running.Go(func() { l.run(life) })
	}
	p.mu.Unlock()
	select {
	case <-l.tried:
		return l, l.failure
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// drop forgets a link that failed, so that the next bind makes another.
func (p *ngrokProvider) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link == l {
		p.link = nil
		close(l.gone)
	}
}

// warn passes a warning on once: the service repeats it at each connection.
func (p *ngrokProvider) warn(line string) {
	p.mu.Lock()
	said := p.warned[line]
	p.warned[line] = true
	p.mu.Unlock()
	if !said {
		p.config.Warn(line)
	}
}

func (p *ngrokProvider) add(e *endpoint) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.endpoints[e] = true
	return true
}

func (p *ngrokProvider) remove(e *endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.endpoints, e)
}

func (p *ngrokProvider) all() []*endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]*endpoint, 0, len(p.endpoints))
	for e := range p.endpoints {
		all = append(all, e)
	}
	return all
}

// spawn runs f, which Close waits for, unless the provider is closed.
func (p *ngrokProvider) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.running.Go(f)
	return true
}

// Close ends the link, which unbinds all endpoints at the service without a
// word about each: a service that has frozen would answer none.
func (p *ngrokProvider) Close(ctx context.Context) error {
	p.mu.Lock()
	l, first := p.link, !p.closed
	p.closed = true
	p.mu.Unlock()
	for _, e := range p.all() {
		e.putOut()
		e.end()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if l != nil && first {
			l.close(errClosed)
			l.shed()
		}
		p.running.Wait()
	}()
	return wait(ctx, done, "the ngrok tunnels")
}

// check refuses what the SDK would panic at, or the service answer obscurely.
func check(spec Spec) error {
	bad := func(format string, args ...any) error {
		return &Error{Code: codeOptions, Class: Fatal, Text: fmt.Sprintf(format, args...)}
	}
	for _, pair := range spec.BasicAuth {
		user, password, found := strings.Cut(pair, ":")
		if !found || user == "" || len(password) < minPassword {
			return bad("basic_auth: each must be user:password, with %d characters or more in the password", minPassword)
		}
	}
	if strings.Contains(spec.Domain, "/") {
		return bad("domain %q: a bare host is needed, not a URL", spec.Domain)
	}
	if spec.TrafficPolicy != "" && !isPolicy(spec.TrafficPolicy) {
		return bad("traffic_policy: neither a YAML nor a JSON mapping")
	}
	return nil
}

// options are the endpoint's, in the SDK's words. The Host header is not among
// them: the proxy sees to it.
func (p *ngrokProvider) options(spec Spec, host string) config.Tunnel {
	options := []config.HTTPEndpointOption{
		config.WithForwardsTo("silo " + spec.Name),
	}
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

// hostOf is the host of an address that the service gave.
func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Hostname()
}
