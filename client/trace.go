package client

import (
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// tracer records the times of one request's steps before HTTP.
type tracer struct {
	began time.Time

	mu                sync.Mutex // guards the rest: a host with two addresses is dialed from two goroutines
	dns, connect, tls span
}

// span is the time of one step. Only the first success of each kind is recorded: one of
// several addresses may fail, and redirects cause more steps.
type span struct {
	from, to time.Time
	err      error
}

func (t *tracer) clientTrace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.start(&t.dns) },
		DNSDone:           func(i httptrace.DNSDoneInfo) { t.stop(&t.dns, i.Err) },
		ConnectStart:      func(string, string) { t.start(&t.connect) },
		ConnectDone:       func(_, _ string, err error) { t.stop(&t.connect, err) },
		TLSHandshakeStart: func() { t.start(&t.tls) },
		TLSHandshakeDone:  func(_ tls.ConnectionState, err error) { t.stop(&t.tls, err) },
	}
}

func (t *tracer) start(s *span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.from.IsZero() {
		s.from = time.Now()
	}
}

func (t *tracer) stop(s *span, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.to.IsZero() || s.err != nil {
		s.to, s.err = time.Now(), err
	}
}

// steps returns the steps before HTTP and the time when they ended. If one of them failed,
// it is the last.
func (t *tracer) steps(failed bool) (steps []Step, last time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last = t.began
	for i, s := range []span{t.dns, t.connect, t.tls} {
		if s.from.IsZero() {
			continue
		}
		broken := failed && (s.err != nil || s.to.IsZero())
		if last = s.to; last.IsZero() {
			last = time.Now()
		}
		steps = append(steps, Step{[]string{DNS, Connect, TLS}[i], !broken, last.Sub(s.from).Seconds()})
		if broken {
			break
		}
	}
	return steps, last
}
