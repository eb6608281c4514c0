package ngroktest

import (
	"maps"
	"net"
	"slices"
	"sync"
	"time"
)

// FailAuth refuses every authentication with code ("ERR_NGROK_108") until it is
// called with "".
func (s *Service) FailAuth(code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.authCode = code
}

// FailBind refuses to bind host (any host if empty) with code, until it is called with
// an empty code.
func (s *Service) FailBind(host, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bindCode[host] = code
}

// Occupy makes host belong to another account's agent (ERR_NGROK_334), or frees it.
func (s *Service) Occupy(host string, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.occupied[host] = taken
}

// DelayReplies delays every answer to an agent's request.
func (s *Service) DelayReplies(wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = wait
}

// DropSessions closes every agent's connection, like a restart of the service or a broken
// network. Agents may reconnect at once.
func (s *Service) DropSessions() {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, conn := range conns {
		_ = conn.Close()
	}
}

// CloseListener closes the agents' port, so that new connections are refused. It keeps
// established ones.
func (s *Service) CloseListener() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.agents.Close()
}

// ReopenListener reopens the agents' listener on the same port.
func (s *Service) ReopenListener() error { return s.acceptOn(s.addr) }

// Freeze keeps all connections open, and accepts new ones, but neither reads from an
// agent nor writes to one until Thaw.
func (s *Service) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen == nil {
		s.frozen = make(chan struct{})
	}
}

// Thaw ends Freeze.
func (s *Service) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
		s.frozen = nil
	}
}

// StopEndpoint closes the endpoint of host and notifies its agent, as the dashboard does. It
// reports whether the endpoint existed.
func (s *Service) StopEndpoint(host, message, code string) bool {
	s.mu.Lock()
	b := s.bindings[host]
	delete(s.bindings, host)
	s.mu.Unlock()
	if b == nil {
		return false
	}
	b.session.stopEndpoint(stopEndpoint{ID: b.ID, Message: message, ErrorCode: code})
	return true
}

// frozenConn is an agent's connection that blocks while the service is frozen.
type frozenConn struct {
	net.Conn
	service *Service
	once    sync.Once
	gone    chan struct{} // closed by Close
}

func (c *frozenConn) Read(p []byte) (int, error) {
	c.wait()
	n, err := c.Conn.Read(p)
	// Data that arrives while the service is frozen must not be seen before it thaws.
	c.wait()
	return n, err
}

func (c *frozenConn) Write(p []byte) (int, error) {
	c.wait()
	return c.Conn.Write(p)
}

func (c *frozenConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

func (c *frozenConn) wait() {
	c.service.mu.Lock()
	frozen := c.service.frozen
	c.service.mu.Unlock()
	if frozen == nil {
		return
	}
	select {
	case <-frozen:
	case <-c.gone:
	}
}
