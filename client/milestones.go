package client

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// milestones are the moments of one request on its way.
type milestones struct {
	began time.Time

	mu                sync.Mutex // guards all below: a host with two addresses is dialled from two goroutines
	dns, connect, tls span
	connected         bool
}

// span is a step's time. Only the first of each counts, behind which a redirect
// may lead to more.
type span struct {
	from, to time.Time
	err      error
}

func (m *milestones) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) { m.start(&m.dns) },
		DNSDone:  func(i httptrace.DNSDoneInfo) { m.stop(&m.dns, i.Err) },

		ConnectStart: func(string, string) { m.start(&m.connect) },
		ConnectDone: func(_, _ string, err error) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if !m.connected { // a failed address of several is made good by another
				m.connect.to, m.connect.err, m.connected = time.Now(), err, err == nil
			}
		},

		TLSHandshakeStart: func() { m.start(&m.tls) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { m.stop(&m.tls, err) },
	}
}

func (m *milestones) start(s *span) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.from.IsZero() {
		s.from = time.Now()
	}
}

func (m *milestones) stop(s *span, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s.to.IsZero() {
		s.to, s.err = time.Now(), err
	}
}

// steps are those that came before HTTP, and when that began. Of a request that
// failed the last one is the one at which it did, if it was one of these.
func (m *milestones) steps(failure error) (steps []Step, last time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	last = m.began
	for _, s := range []struct {
		name string
		*span
	}{{DNS, &m.dns}, {Connect, &m.connect}, {TLS, &m.tls}} {
		if s.from.IsZero() {
			continue
		}
		to := s.to
		if to.IsZero() {
			to = time.Now()
		}
		broken := failure != nil && (s.err != nil || s.to.IsZero())
		steps = append(steps, Step{s.name, !broken, to.Sub(s.from).Seconds()})
		last = to
		if broken {
			break
		}
	}
	return steps, last
}
