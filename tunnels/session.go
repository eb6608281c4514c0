package tunnels

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.ngrok.com/ngrok"
)

// errReplaced is the error of a replaced session.
var errReplaced = errors.New("the ngrok session is replaced")

const probeTimeout = 2 * time.Second

// session is one SDK session. The SDK reconnects it until it is closed.
type session struct {
	provider *ngrokProvider
	dialer   *redialer
	cancel   context.CancelCauseFunc // ends the SDK's session
	tls      atomic.Pointer[tls.Config]

	ready   chan struct{} // closed when the SDK may dial
	ended   chan struct{} // closed when endpoints may no longer be bound, nor changes reported
	closed  chan struct{} // closed when the connection has also ended
	closing sync.Once     // makes close idempotent
	tried   chan struct{} // closed after the first attempt to connect
	failure error         // outcome of that attempt; read only after tried
	sdk     ngrok.Session // read only after tried

	mu         sync.Mutex // guards all below, and orders the endpoints' status changes
	up         chan struct{}
	isUp       bool   // whether up is closed
	connection int    // number of the current connection
	trouble    *Error // why it is down
	bound      map[*endpoint]ngrok.Tunnel
	stopped    bool // the service has stopped an endpoint
}

// boundEndpoint is an endpoint and the session that it is bound to.
type boundEndpoint struct {
	ngrok.Tunnel
	session *session
}

func newSession(p *ngrokProvider, cancel context.CancelCauseFunc) *session {
	s := &session{
		provider: p,
		cancel:   cancel,
		ready:    make(chan struct{}),
		ended:    make(chan struct{}),
		closed:   make(chan struct{}),
		tried:    make(chan struct{}),
		up:       make(chan struct{}),
		bound:    map[*endpoint]ngrok.Tunnel{},
	}
	s.dialer = &redialer{ready: s.ready, failed: s.unreachable}
	return s
}

// run connects for the first time, after the previous session has ended, since the service may
// still count its endpoints. The SDK would retry forever, even with a bad authtoken; here the
// first failure is final. life bounds the whole session.
func (s *session) run(life context.Context, previous *session) {
	defer close(s.tried)
	if previous != nil {
		<-previous.closed
	}
	timeout := time.AfterFunc(s.provider.config.Ngrok.AnswerTimeout, func() { s.cancel(s.classifier().noAnswer()) })
	sdk, err := ngrok.Connect(&readyContext{Context: life, ready: s.ready}, s.options(life)...) //nolint:contextcheck // readyContext is life
	inTime := timeout.Stop()
	if err == nil && inTime {
		s.sdk = sdk
		return
	}
	if cause := context.Cause(life); cause != nil {
		err = cause // the SDK's error lists every attempt
	}
	s.close(err)
	s.failure = err
	if !errors.Is(err, errClosed) {
		s.failure = s.diagnose(life, s.classifier().classify(err))
	}
}

func (s *session) options(life context.Context) []ngrok.ConnectOption {
	c := s.provider.config
	options := []ngrok.ConnectOption{
		ngrok.WithAuthtoken(c.Ngrok.Authtoken),
		ngrok.WithClientInfo("silo", c.Version),
		ngrok.WithMetadata(c.Ngrok.Metadata),
		ngrok.WithDialer(s.dialer),
		ngrok.WithTLSConfig(func(config *tls.Config) { s.tls.Store(config.Clone()) }),
		ngrok.WithConnectHandler(func(_ context.Context, sdk ngrok.Session) { s.connected(sdk) }),
		ngrok.WithDisconnectHandler(func(_ context.Context, _ ngrok.Session, err error) {
			if err != nil && life.Err() == nil {
				s.disconnected(err)
			}
		}),
	}
	if c.Ngrok.ServerAddr != "" {
		options = append(options, ngrok.WithServer(c.Ngrok.ServerAddr))
	}
	if s.provider.roots != nil {
		options = append(options, ngrok.WithCA(s.provider.roots))
	}
	if beat := c.Ngrok.Heartbeat; beat != 0 {
		options = append(options, ngrok.WithHeartbeatInterval(beat), ngrok.WithHeartbeatTolerance(beat*3/2))
	}
	return options
}

func (s *session) classifier() classifier { return s.provider.classifier("") }

// diagnose determines why the first connection broke by repeating the TLS handshake.
// After a failed handshake, the SDK's error depends on which of its goroutines notices
// first.
func (s *session) diagnose(life context.Context, failure *Error) *Error {
	config := s.tls.Load()
	if failure.Code != codeLost || config == nil {
		return failure
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(life), probeTimeout)
	defer cancel()
	dialer := tls.Dialer{NetDialer: &net.Dialer{}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", s.classifier().server)
	if err != nil {
		return s.classifier().classify(err)
	}
	_ = conn.Close()
	return failure
}

// connected is called by the SDK after each connect, once it has rebound all endpoints.
func (s *session) connected(sdk ngrok.Session) {
	for _, warning := range sdk.Warnings() {
		s.provider.warn("ngrok: " + s.classifier().clean(warningText(warning)))
	}
	s.dialer.established.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOver() || s.isUp {
		return
	}
	s.provider.config.Log("ngrok: connected to " + s.classifier().server + s.classifier().clean(account(sdk)))
	s.connection++
	s.isUp, s.trouble = true, nil
	close(s.up)
	for e := range s.bound {
		e.set(Online, nil)
	}
}

// warningText returns a warning of the service. The SDK's own text asks users to
// update the ngrok agent.
func warningText(warning error) string {
	if old, ok := errors.AsType[*ngrok.AgentVersionDeprecated](warning); ok && !old.NextDate.IsZero() {
		return "the service will refuse this version's client from " + old.NextDate.Format(time.DateOnly) + " on: upgrade silo"
	}
	return warning.Error()
}

// account describes the account of a session. The SDK's sessions have these methods,
// but they are not part of its API (v1.12.1, session.go).
func account(sdk ngrok.Session) string {
	s, ok := sdk.(interface {
		AccountName() string
		PlanName() string
		Region() string
	})
	if !ok {
		return ""
	}
	return fmt.Sprintf(", account %s, plan %s, region %s", s.AccountName(), s.PlanName(), s.Region())
}

// disconnected is called by the SDK when the connection breaks, and for each failed
// attempt to reconnect.
func (s *session) disconnected(err error) {
	why := s.classifier().classify(err)
	if !s.dialer.established.Load() {
		s.cancel(why)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOver() {
		return
	}
	s.provider.config.Log("ngrok: disconnected: " + why.Error())
	var typed ngrok.Error
	if code := codePattern.FindString(err.Error()); code != "" && !errors.As(err, &typed) && !s.stopped {
		s.setDown(why)
		s.dropRefused(code, err.Error())
		return
	}
	s.failAll(why)
	if s.stopped {
		s.replace()
	}
}

// unreachable is called for each failed dial once the session has been up.
func (s *session) unreachable(err error) {
	why := s.classifier().classify(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isOver() {
		s.failAll(why)
	}
}

// failAll must be called with mu held.
func (s *session) failAll(why *Error) {
	s.setDown(why)
	for e := range s.bound {
		e.fail(why)
	}
}

// setDown must be called with mu held.
func (s *session) setDown(why *Error) {
	s.trouble = why
	if s.isUp {
		s.isUp = false
		s.up = make(chan struct{})
	}
}

// dropRefused removes the endpoint that the service refused to bind again from the session: on
// every reconnect the SDK rebinds all endpoints and gives up at the first refusal. The SDK
// reports the refusal as plain text. If the text names no endpoint, all are dropped, and each
// then rebinds itself. The caller must hold mu.
func (s *session) dropRefused(code, text string) {
	named := false
	refused := func(e *endpoint) bool { return e.host != "" && strings.Contains(text, e.host) }
	for e := range s.bound {
		named = named || refused(e)
	}
	for e, tunnel := range s.bound {
		if refused(e) {
			e.fail(e.classifier().classify(errors.New(text)))
		} else {
			e.fail(&Error{codeLost, "the ngrok session is interrupted, because the service refused another endpoint: " + code, "silo tunnels shows which one", Transient})
		}
		if refused(e) || !named {
			delete(s.bound, e)
			s.provider.spawn(func() { s.release(tunnel) }) // ends its Accept
		}
	}
}

// release removes tunnel from the SDK's session, and unbinds it at the service if the
// session is up.
func (s *session) release(tunnel ngrok.Tunnel) {
	s.mu.Lock()
	isUp := s.isUp
	s.mu.Unlock()
	if !isUp {
		// Close sends a request to the service even if the session is down. On a
		// connection that the SDK is about to close, that is a data race (muxado v2.0.2,
		// stream.Close).
		s.dialer.waitClosed()
	}
	_ = tunnel.Close() // an unreachable service has already unbound it
}

// replace ends the session and all its endpoints, which then bind themselves on the
// next session. The SDK would rebind a stopped endpoint, but not serve it. The caller
// must hold mu.
func (s *session) replace() {
	s.end()
	s.provider.spawn(func() { s.close(errReplaced) }) // if false, the provider closes it
}

// end prevents further binds and status reports. The caller must hold mu.
func (s *session) end() {
	if !s.isOver() {
		close(s.ended)
	}
}

// isOver reports whether end was called.
func (s *session) isOver() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// close ends the session and all its endpoints. It takes at most about 300 ms. It is
// idempotent; every call waits until the connection is closed.
func (s *session) close(why error) {
	s.closing.Do(func() {
		s.mu.Lock()
		s.end()
		bound := s.bound
		s.bound = nil
		s.mu.Unlock()
		s.cancel(why)
		s.dialer.close()
		close(s.closed)
		// The SDK also closes them, but may take 30 s.
		var group sync.WaitGroup
		for _, tunnel := range bound {
			group.Go(func() { _ = tunnel.Close() }) // reports only that the session is closed
		}
		group.Wait()
	})
}
