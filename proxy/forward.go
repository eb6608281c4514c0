package proxy

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"time"
)

// lingerTimeout bounds how long the server keeps reading a request's body after the
// response.
const lingerTimeout = time.Second

// ServeHTTP forwards one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client := newClientWriter(w, r)
	// Without full duplex, net/http discards the rest of the body once the response
	// begins (go.dev/issue/15527). HTTP/2 and Replay do not need it.
	_ = http.NewResponseController(w).EnableFullDuplex()
	defer client.limitLinger()
	r = r.WithContext(r.Context()) // the server still needs its own r.Body
	if client.body != nil {
		r.Body = client.body
	}
	if p.options.Recording != nil {
		p.record(client, r)
	} else {
		p.forward(client, r)
	}
}

// forward sends r to the silo and writes its response to w.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	target, err := p.target(r)
	if err != nil {
		p.answerError(w, r, err)
		return
	}
	reverse := httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { p.rewrite(pr.Out, pr.In, target) },
		Transport:      p.upstream,
		FlushInterval:  -1,
		BufferPool:     &copyBuffers,
		ErrorLog:       discardLog, // the client notices a truncated body, and the recorder records it
		ModifyResponse: p.checkResponse,
		ErrorHandler:   p.answerError,
	}
	reverse.ServeHTTP(w, r)
}

var discardLog = log.New(io.Discard, "", 0)

// rewrite prepares the outgoing request. httputil.ReverseProxy has removed the
// hop-by-hop headers and those that rewrite sets.
func (p *Proxy) rewrite(out, in *http.Request, target *url.URL) {
	out.URL.Scheme, out.URL.Host = target.Scheme, target.Host
	out.URL.RawQuery = in.URL.RawQuery // ReverseProxy removes hop-by-hop ones
	if strings.HasPrefix(in.RequestURI, "/") && !strings.HasPrefix(in.RequestURI, "//") {
		// Pass the URI through unchanged: net/url would escape it again. An opaque part that
		// begins with // would be taken for a host.
		out.URL.Opaque, out.URL.RawQuery, out.URL.ForceQuery = in.RequestURI, "", false
	}
	out.Trailer = in.Trailer // the server fills it in at the end of the body
	if strings.EqualFold(out.Header.Get("Upgrade"), "h2c") {
		// RFC 9113, section 3.1, deprecates this upgrade, so servers may ignore it.
		out.Header.Del("Upgrade")
		out.Header.Del("Connection")
	}
	if p.options.Gateway != nil {
		out.Host = target.Host
		for _, name := range forwardingHeaders {
			copyHeader(out.Header, in.Header, name)
		}
		p.options.Gateway.Rewrite(out)
		return
	}
	out.Host = p.hostFor(in, target.Host)
	p.setForwarded(out, in)
}

func (p *Proxy) hostFor(in *http.Request, target string) string {
	switch p.options.HostHeader {
	case "", HostPreserve:
		return in.Host
	case HostRewrite:
		return target
	}
	return p.options.HostHeader
}

var forwardingHeaders = []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"}

// setForwarded sets the headers that describe the client. It trusts the values that the
// client sent only if the client is a trusted tunnel service.
func (p *Proxy) setForwarded(out, in *http.Request) {
	(&httputil.ProxyRequest{In: in, Out: out}).SetXForwarded()
	if !p.options.TrustForwarded {
		out.Header.Set("Forwarded", forwarded(in.RemoteAddr, in.Host, out.Header.Get("X-Forwarded-Proto")))
		return
	}
	for _, name := range forwardingHeaders {
		copyHeader(out.Header, in.Header, name) // even if Connection names it
	}
}

func copyHeader(to, from http.Header, name string) {
	if values, ok := from[name]; ok {
		to[name] = values
	}
}

// forwarded returns the value of a Forwarded header (RFC 7239, section 4).
func forwarded(remote, host, proto string) string {
	client, _, err := net.SplitHostPort(remote)
	switch {
	case err != nil:
		client = "unknown"
	case strings.Contains(client, ":"):
		client = `"[` + client + `]"`
	}
	value := "for=" + client
	if host != "" && !strings.ContainsAny(host, `"\`) {
		value += `;host="` + host + `"`
	}
	return value + ";proto=" + proto
}

// checkResponse rejects responses that cannot be forwarded.
func (p *Proxy) checkResponse(response *http.Response) error {
	switch {
	case response.StatusCode < http.StatusContinue:
		return fmt.Errorf("invalid status %d", response.StatusCode)
	case response.StatusCode == http.StatusSwitchingProtocols:
		// ReverseProxy would reject it too, but leave the connection open.
		if asked, got := response.Request.Header.Get("Upgrade"), response.Header.Get("Upgrade"); !strings.EqualFold(asked, got) {
			return fmt.Errorf("switched to protocol %q instead of %q", got, asked)
		}
	}
	if len(response.Trailer) > 0 {
		response.Header.Del("Content-Length") // HTTP/2 may have both, HTTP/1.1 may not
	}
	if p.options.Gateway != nil {
		return p.options.Gateway.ModifyResponse(response)
	}
	return nil
}

// bufferPool is a pool of buffers for bodies. Its zero value is ready to use.
type bufferPool struct{ pool sync.Pool }

var copyBuffers bufferPool

func (b *bufferPool) Get() []byte {
	if buffer, ok := b.pool.Get().(*[copySize]byte); ok {
		return buffer[:]
	}
	return make([]byte, copySize)
}

func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[copySize]byte)(buffer)) }

const copySize = 32 << 10 // the same size as in httputil.ReverseProxy
