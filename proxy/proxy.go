// Package proxy forwards HTTP to one silo, and answers for it with an error page
// while it is starting, down or too slow.
//
// It must not know about Sentry, or how the silo got its address.
//
// A request passes server.go, forward.go, record.go, client.go and upstream.go, in that
// order; errors.go answers it if the silo does not.
package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Host header policies. Any other value of Options.HostHeader is sent literally.
const (
	HostPreserve = "preserve" // the client's
	HostRewrite  = "rewrite"  // the silo's own host:port
)

// Options configure a Proxy. Target or Gateway must be set. The functions are called
// from many goroutines at once and must not block.
type Options struct {
	// Silo is the name that error pages show.
	Silo string
	// Target returns the host:port on which the silo listens now, or "" if it has no
	// port yet. It is called for each request.
	Target func() string
	// Starting reports whether the silo is starting, and the current step (one line,
	// may be empty). It is called only after a failure. Nil means never.
	Starting func() (step string, starting bool)
	// HostHeader is HostPreserve (the default), HostRewrite or a host.
	HostHeader string
	// TrustForwarded keeps X-Forwarded-For, -Host, -Proto and Forwarded from a trusted
	// tunnel service, and adds any of the X- headers that are missing. Otherwise all four
	// are replaced (Forwarded: RFC 7239).
	TrustForwarded bool
	// HeaderTimeout bounds the wait for a response's header. Zero means no limit: a
	// devserver may have stopped in a debugger.
	HeaderTimeout time.Duration
	// Recording, if set, records each exchange.
	Recording *Recording
	// Gateway, if set, makes the Proxy a gateway.
	Gateway *Gateway
}

// Proxy is a handler that forwards each request to one silo: target, headers, body and
// trailers unchanged, streams unbuffered, upgrades (WebSocket) included. It speaks
// HTTP/1.1 to the silo. If the silo's answer to a request without a body shows that it
// speaks only HTTP/2, the Proxy speaks HTTP/2 without TLS from then on; gRPC always
// uses HTTP/2.
//
// If the silo does not answer, the Proxy does, and marks its answer with ErrorHeader.
// It is safe for concurrent use.
type Proxy struct {
	options  Options
	upstream *upstream
}

// New returns a Proxy. It opens no connection before the first request.
func New(options Options) *Proxy { return &Proxy{options: options, upstream: newUpstream(options)} }

// Close closes idle connections to the silo. Requests in flight continue, and the Proxy
// remains usable.
func (p *Proxy) Close() { p.upstream.closeIdle() }

// errNoTarget reports that the silo has no port.
var errNoTarget = errors.New("the silo has no port")

// target returns the scheme, host and port that r goes to.
func (p *Proxy) target(r *http.Request) (*url.URL, error) {
	if p.options.Gateway != nil {
		return p.options.Gateway.Target(r)
	}
	host := p.options.Target()
	if host == "" {
		return nil, errNoTarget
	}
	return &url.URL{Scheme: "http", Host: host}, nil
}
