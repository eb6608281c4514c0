package tunnels

import (
	"context"
	"net/url"
	"time"

	"golang.ngrok.com/ngrok"
)

// abandonLimit is how long abandon waits for an endpoint that the service may still
// bind.
const abandonLimit = time.Second

// listenResult is the result of the SDK's Listen.
type listenResult struct {
	tunnel ngrok.Tunnel
	err    error
}

// bind binds e and sets it online. It waits up to AnswerTimeout for both the session
// and the service's answer.
func (s *session) bind(ctx context.Context, e *endpoint) (*boundEndpoint, error) {
	timeout := time.NewTimer(s.provider.config.Ngrok.AnswerTimeout)
	defer timeout.Stop()
	for {
		connection, err := s.awaitUp(ctx, timeout.C)
		if err != nil {
			return nil, err
		}
		results := make(chan listenResult, 1) // Listen ignores its context
		if !s.provider.spawn(func() {
			tunnel, err := s.sdk.Listen(ctx, endpointConfig(e.spec, e.host))
			results <- listenResult{tunnel, err}
		}) {
			return nil, errClosed
		}
		select {
		case r := <-results:
			if r.err != nil {
				return nil, e.classifier().classify(r.err)
			}
			if s.attach(e, r.tunnel, connection) {
				return &boundEndpoint{r.tunnel, s}, nil
			}
			// The connection broke in the meantime. The endpoint may or may not be bound on the
			// next connection.
			_ = r.tunnel.Close()
		case <-ctx.Done():
			s.abandon(results)
			return nil, context.Cause(ctx)
		case <-timeout.C:
			s.abandon(results)
			return nil, s.classifier().noAnswer()
		}
	}
}

// awaitUp waits for the session to be up and returns the number of its connection.
func (s *session) awaitUp(ctx context.Context, timeout <-chan time.Time) (connection int, err error) {
	for {
		s.mu.Lock()
		up, isUp, connection, trouble := s.up, s.isUp, s.connection, s.trouble
		s.mu.Unlock()
		if s.isOver() {
			return 0, errReplaced
		}
		if isUp {
			return connection, nil
		}
		select {
		case <-up:
		case <-s.ended:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-timeout:
			if trouble != nil {
				return 0, trouble
			}
			return 0, s.classifier().noAnswer()
		}
	}
}

// attach adds tunnel to the session. It returns false if the connection that it was
// bound on is no longer up.
func (s *session) attach(e *endpoint, tunnel ngrok.Tunnel, connection int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isOver() || !s.isUp || s.connection != connection {
		return false
	}
	s.bound[e] = tunnel
	if address, err := url.Parse(tunnel.URL()); err == nil && e.host == "" {
		e.host = address.Hostname() // request the same name from now on
	}
	e.set(Online, nil)
	return true
}

// abandon closes the endpoint of a canceled bind after the service has bound it. It waits at
// most abandonLimit, since the service may never answer.
func (s *session) abandon(results <-chan listenResult) {
	done := make(chan struct{})
	if !s.provider.spawn(func() {
		defer close(done)
		if r := <-results; r.tunnel != nil {
			_ = r.tunnel.Close()
		}
	}) {
		return
	}
	select {
	case <-done:
	case <-time.After(abandonLimit):
	}
}

// detach removes e from the session. stopped means that the service has stopped it.
func (s *session) detach(e *endpoint, stopped bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.bound, e)
	s.stopped = s.stopped || stopped
}
