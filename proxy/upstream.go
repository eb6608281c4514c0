package proxy

import (
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout         = 5 * time.Second
	idleUpstreamTimeout = time.Second
	maxIdlePerSilo      = 256
	maxResponseHeader   = 1 << 20 // bytes
)

// upstream is the RoundTripper for requests to a silo.
//
// A request that may not be sent twice gets a new connection: uWSGI, which runs a
// Sentry devserver, closes each connection after one response without announcing it,
// and net/http cannot retry a POST that hits the close.
type upstream struct {
	fresh *http.Transport // HTTP/1.1, one connection for each request
	kept  *http.Transport // HTTP/1.1 with keep-alive, for requests that may be sent twice
	http2 *http.Transport // nil for a gateway

	mu    sync.Mutex     // guards major
	major map[string]int // by host:port: 1 or 2, the HTTP version of its last response
}

func newUpstream(options Options) *upstream {
	u := &upstream{fresh: newTransport(options), kept: newTransport(options), major: map[string]int{}}
	u.fresh.DisableKeepAlives = true
	u.kept.MaxIdleConnsPerHost = maxIdlePerSilo
	if options.Gateway != nil {
		u.fresh.Proxy = http.ProxyFromEnvironment // the target may be on any machine
		return u
	}
	u.http2 = newTransport(options)
	u.http2.Protocols = new(http.Protocols)
	u.http2.Protocols.SetUnencryptedHTTP2(true)
	return u
}

func newTransport(options Options) *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: dialTimeout}).DialContext,
		IdleConnTimeout:        idleUpstreamTimeout,
		ResponseHeaderTimeout:  options.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // it would add Accept-Encoding and decompress bodies
	}
}

// RoundTrip sends a request over HTTP/1.1 or HTTP/2.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Host
	switch {
	case u.http2 == nil || r.Header.Get("Upgrade") != "":
		return u.fresh.RoundTrip(r)
	case isGRPC(r) || u.speaks(host) == 2:
		response, err := u.http2.RoundTrip(r)
		if err != nil && r.Context().Err() == nil {
			u.setVersion(host, 0) // another program may be listening there by now
		}
		return response, err
	}
	response, err := u.roundTrip1(r)
	switch {
	case err == nil:
		u.setVersion(host, 1)
	case u.speaks(host) == 0 && repeatable(r) && FaultOf(err) == Broken && r.Context().Err() == nil:
		// It may speak only HTTP/2. Probing in advance would add a line to each silo's
		// log.
		if second, http2Err := u.http2.RoundTrip(r); http2Err == nil {
			u.setVersion(host, 2)
			return second, nil
		}
	}
	return response, err
}

// roundTrip1 sends a request over HTTP/1.1, on an idle connection if it may be sent twice.
func (u *upstream) roundTrip1(r *http.Request) (*http.Response, error) {
	if !repeatable(r) {
		return u.fresh.RoundTrip(r)
	}
	trace := &httptrace.ClientTrace{GotConn: dropUnsolicited} // not shared: WithClientTrace changes it
	return u.kept.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
}

// dropUnsolicited closes an idle connection on which something has arrived: net/http
// could take it for the response to the next request. Nothing has been written yet, so
// the transport retries on another connection.
func dropUnsolicited(got httptrace.GotConnInfo) {
	if got.Reused && !silent(got.Conn) {
		_ = got.Conn.Close()
	}
}

func (u *upstream) speaks(host string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.major[host]
}

func (u *upstream) setVersion(host string, major int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.major[host] = major
}

func (u *upstream) closeIdle() {
	u.kept.CloseIdleConnections()
	if u.http2 != nil {
		u.http2.CloseIdleConnections()
	}
}

// isGRPC reports whether r is a gRPC request, which needs HTTP/2.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// repeatable reports whether r may be sent twice: it has a safe method (RFC 9110, section
// 9.2.1), and no part of a body has been read.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.Body == nil
	}
	return false
}
