// Package proxy forwards HTTP to one silo and answers in its place while it
// cannot: starting, down, too slow.
//
// It must not know who gave the silo its address, nor anything of Sentry.
package proxy

import (
	"errors"
	"net/http"
	"time"
)

const bufferSize = 16 << 10

// Host header policies. Any other value of Options.HostHeader is a host that
// is sent as it stands.
const (
	HostPreserve = "preserve" // as the client sent it
	HostRewrite  = "rewrite"  // the silo's own host:port
)

// Options say what a Proxy forwards to and how. Target or Gateway must be set. The
// functions are called from many goroutines at once and must not block.
type Options struct {
	// Silo is the name that answers speak of.
	Silo string
	// Target is where the silo listens now, as host:port, or empty while it has
	// no port to be asked on. It is asked for each request.
	Target func() string
	// Starting tells whether the silo is on its way up, and in which step (one
	// line, may be empty). Asked only after a failure. Nil is never starting.
	Starting func() (step string, starting bool)
	// HostHeader is HostPreserve (also when empty), HostRewrite or a host.
	HostHeader string
	// TrustForwarded keeps X-Forwarded-For, -Host, -Proto and Forwarded of a
	// trusted front (a tunnel service) and sets those X- headers it left out.
	// Otherwise what the client sent is dropped and all four are set afresh
	// (Forwarded: RFC 7239).
	TrustForwarded bool
	// HeaderTimeout bounds the wait for a response's header. Zero waits for
	// ever: a devserver may stand in a debugger.
	HeaderTimeout time.Duration
	// Once gives each request a connection of its own. Else a GET, HEAD, OPTIONS or
	// TRACE without a body may go on one that has been used before, and is sent
	// again where the silo then hangs up without an answer.
	Once bool
	// Recording, where set, has each exchange kept.
	Recording *Recording
	// Gateway, where set, make the Proxy a gateway.
	Rules *Gateway
}

// Proxy is a handler that forwards each request to one silo: body, query,
// escapes, trailers and upgrades (WebSocket) as they came, streams unbuffered.
// The silo is spoken to in HTTP/1.1, or in HTTP/2 without TLS where it turns out to
// know nothing else: with the first request that has no body. gRPC is HTTP/2 at once.
//
// Where the silo gives no answer it answers itself and marks that with the
// header ErrorHeader. It is safe for concurrent use.
type Proxy struct {
	options Options
	lines   *lines
}

// New makes a Proxy. It opens nothing until the first request; Close gives its
// idle connections back.
func New(options Options) *Proxy { return &Proxy{options: options, lines: newLines(options)} }

// ServeHTTP forwards one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.options.Recording != nil {
		p.record(w, r)
		return
	}
	p.serve(w, r)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	scheme, host, err := p.route(r)
	if err != nil {
		p.answer(w, r, err)
		return
	}
	// Or net/http reads what is left of a request's body and throws it away as
	// soon as the silo begins to answer (go.dev/issue/15527). A writer that
	// cannot be told so (HTTP/2, a recorder) does not do that.
	_ = http.NewResponseController(w).EnableFullDuplex()
	p.forward(w, r, scheme, host)
}

// route says where r goes.
func (p *Proxy) route(r *http.Request) (scheme, host string, err error) {
	if p.options.Rules != nil {
		base, err := p.options.Rules.Route(r)
		if err != nil {
			return "", "", err
		}
		return base.Scheme, base.Host, nil
	}
	target := p.options.Target()
	if target == "" {
		return "", "", errNoTarget
	}
	return "http", target, nil
}

// errNoTarget says that the silo has no port to be asked on.
var errNoTarget = errors.New("the silo listens nowhere")

// Close drops idle connections to the silo. Requests in flight go on, and the
// Proxy stays usable.
func (p *Proxy) Close() { p.lines.close() }
