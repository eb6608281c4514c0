package proxy

import (
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	dialTimeout       = 5 * time.Second
	idleHTTP2Timeout  = time.Second
	maxResponseHeader = 1 << 20 // bytes
)

// upstream is the RoundTripper for requests to a silo.
//
// Each HTTP/1.1 request gets a connection of its own, which costs next to nothing on
// loopback. On a reused one, net/http may take bytes that arrived unasked for the
// next response, and a request may meet the silo's close: uWSGI, which runs a Sentry
// devserver, closes each connection after one response without announcing it.
type upstream struct {
	http1 *http.Transport
	http2 *http.Transport // nil for a gateway

	mu    sync.Mutex     // guards major
	major map[string]int // by host:port: 1 or 2, the HTTP version of its last response
}

func newUpstream(options Options) *upstream {
	u := &upstream{http1: newTransport(options), major: map[string]int{}}
	u.http1.DisableKeepAlives = true
	if options.Gateway != nil {
		u.http1.Proxy = http.ProxyFromEnvironment // the target may be anywhere
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
		IdleConnTimeout:        idleHTTP2Timeout,
		ResponseHeaderTimeout:  options.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // it would add Accept-Encoding and unpack bodies
	}
}

// RoundTrip sends a request by HTTP/1.1 or HTTP/2.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	host := r.URL.Host
	switch {
	case u.http2 == nil || r.Header.Get("Upgrade") != "":
		return u.http1.RoundTrip(r)
	case isGRPC(r) || u.speaks(host) == 2:
		response, err := u.http2.RoundTrip(r)
		if err != nil && r.Context().Err() == nil {
			u.setVersion(host, 0) // another program may listen there by now
		}
		return response, err
	}
	response, err := u.http1.RoundTrip(r)
	switch {
	case err == nil:
		u.setVersion(host, 1)
	case u.speaks(host) == 0 && repeatable(r) && FaultOf(err) == Broken && r.Context().Err() == nil:
		// It may speak only HTTP/2. An earlier probe would leave a line in each silo's log.
		if second, http2Err := u.http2.RoundTrip(r); http2Err == nil {
			u.setVersion(host, 2)
			return second, nil
		}
	}
	return response, err
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
	if u.http2 != nil {
		u.http2.CloseIdleConnections()
	}
}

// isGRPC reports whether r is a gRPC request, which needs HTTP/2.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// repeatable reports whether r may be sent twice: it changes nothing (RFC 9110,
// section 9.2.1), and no part of a body has been read.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.Body == nil
	}
	return false
}
