// Package proxy forwards HTTP to one silo and answers in its place while it
// cannot: starting, down, too slow.
//
// It must not know who gave the silo its address, nor anything of Sentry.
package proxy

import (
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

const bufferSize = 16 << 10

// Host header policies. Any other value of Options.HostHeader is a host that
// is sent as it stands.
const (
	HostPreserve = "preserve" // as the client sent it
	HostRewrite  = "rewrite"  // the silo's own host:port
)

// Options say what a Proxy forwards to and how. Target or Rules must be set. The
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
	// Otherwise what the client sent is dropped and the three are set afresh.
	TrustForwarded bool
	// HeaderTimeout bounds the wait for a response's header. Zero waits for
	// ever: a devserver may stand in a debugger.
	HeaderTimeout time.Duration
	// Once gives each request a connection of its own. A request on one that has
	// been used before is sent again where the silo hangs up without an answer
	// (net/http.Transport, for methods that are idempotent).
	Once bool
	// Recording, where set, has each exchange kept.
	Recording *Recording
	// Rules, where set, make the Proxy a gateway.
	Rules *Rules
}

// Proxy is a handler that forwards each request to one silo: body, query,
// escapes, trailers and upgrades (WebSocket) as they came, streams unbuffered.
// Where the silo gives no answer it answers itself and marks that with the
// header ErrorHeader. It is safe for concurrent use.
type Proxy struct {
	options Options
	lines   lines
	forward *httputil.ReverseProxy
}

// New makes a Proxy. It opens nothing until the first request; Close gives its
// idle connections back.
func New(options Options) *Proxy {
	p := &Proxy{options: options, lines: newLines(options)}
	p.forward = &httputil.ReverseProxy{
		Rewrite:      p.rewrite,
		Transport:    p.lines,
		BufferPool:   &buffers{},
		ErrorHandler: p.answer,
		// FlushInterval stays 0: ReverseProxy then flushes at once what is an
		// event stream or has no length, and spares all others a second write.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	if options.Rules != nil {
		p.forward.Rewrite, p.forward.ModifyResponse = p.rewriteByRules, options.Rules.Response
	}
	return p
}

// ServeHTTP forwards one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p.options.Recording != nil {
		p.record(w, r)
		return
	}
	p.serve(w, r)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	// Or net/http reads what is left of a request's body and throws it away as
	// soon as the silo begins to answer (go.dev/issue/15527). A writer that
	// cannot be told so (HTTP/2, a recorder) does not do that.
	_ = http.NewResponseController(w).EnableFullDuplex()
	if p.options.Rules != nil {
		var routed bool
		if r, routed = p.route(w, r); !routed {
			return
		}
	}
	p.forward.ServeHTTP(w, r)
}

// Close drops idle connections to the silo. Requests in flight go on, and the
// Proxy stays usable.
func (p *Proxy) Close() { p.lines.kept.CloseIdleConnections() }

func (p *Proxy) rewrite(pr *httputil.ProxyRequest) {
	target := p.options.Target()
	pr.Out.URL.Scheme = "http"
	pr.Out.URL.Host = target
	keep(pr)

	switch p.options.HostHeader {
	case "", HostPreserve:
		pr.Out.Host = pr.In.Host
	case HostRewrite:
		pr.Out.Host = target
	default:
		pr.Out.Host = p.options.HostHeader
	}

	pr.SetXForwarded()
	if p.options.TrustForwarded {
		forwarded(pr)
	}
}

// buffers is a pool of copy buffers that costs no allocation to put back into.
type buffers struct{ pool sync.Pool }

func (b *buffers) Get() []byte {
	if buffer, ok := b.pool.Get().(*[bufferSize]byte); ok {
		return buffer[:]
	}
	return make([]byte, bufferSize)
}

func (b *buffers) Put(buffer []byte) { b.pool.Put((*[bufferSize]byte)(buffer)) }
