package proxy

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	dialTimeout = 5 * time.Second

	// An idle connection is given up before most servers would close it: gunicorn
	// does so after 2 s, node after 5 s.
	idleUpstream = time.Second
	idlePerHost  = 1024
)

// lines are the connections to a silo. A request that can be sent again is sent on
// one that was used before, where there is one; any other gets a new one, which on
// loopback costs next to nothing. uWSGI, which serves a Sentry devserver, closes
// each connection after one answer and does not say so: a POST that meets the
// close is lost.
type lines struct {
	wires *wires          // nil: kept stands for them
	kept  *http.Transport // for a gateway, whose target may be anywhere
	once  *http.Transport
	http2 *http.Transport // for a silo that speaks nothing else, and for gRPC
}

func newLines(options Options) *lines {
	l := &lines{once: newTransport(options)}
	l.once.DisableKeepAlives = true
	switch {
	case options.Once:
		l.kept = l.once
	case options.Rules != nil:
		l.kept = newTransport(options)
	default:
		l.wires = newWires(options)
		l.http2 = newTransport(options)
		l.http2.Protocols = new(http.Protocols)
		l.http2.Protocols.SetUnencryptedHTTP2(true)
	}
	return l
}

func newTransport(options Options) *http.Transport {
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		MaxIdleConnsPerHost:   idlePerHost,
		IdleConnTimeout:       idleUpstream,
		ResponseHeaderTimeout: options.HeaderTimeout,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true, // or a body would not be the bytes the silo sent
		ReadBufferSize:        bufferSize,
		WriteBufferSize:       bufferSize,
	}
	if options.Rules != nil {
		t.Proxy = http.ProxyFromEnvironment // a gateway's target may be anywhere
	}
	return t
}

// send sends a request on the right line.
func (l *lines) send(r *http.Request, pass early) (*http.Response, error) {
	switch again := repeatable(r); {
	case l.wires == nil && again:
		return sendBy(l.kept, r, pass)
	case l.wires == nil || upgradeOf(r.Header) != "":
		return sendBy(l.once, r, pass)
	case isGRPC(r) || l.wires.speaks(r.URL.Host) == 2:
		answer, err := sendBy(l.http2, r, pass)
		if err != nil && r.Context().Err() == nil {
			l.wires.learn(r.URL.Host, 0) // another program may be there by now
		}
		return answer, err
	case again:
		return l.find(r, pass)
	}
	return sendBy(l.once, r, pass)
}

// find sends a repeatable request in HTTP/1.1, and where the silo seems not to
// speak that, in HTTP/2. To ask beforehand would be a line in each silo's log.
func (l *lines) find(r *http.Request, pass early) (*http.Response, error) {
	answer, err := l.wires.send(r, pass)
	if !errors.Is(err, errHTTP2) {
		return answer, err
	}
	second, worse := sendBy(l.http2, r, pass)
	if worse != nil {
		return nil, err // what it did in HTTP/1.1 says more
	}
	l.wires.learn(r.URL.Host, 2)
	return second, nil
}

// isGRPC tells whether a request is one of gRPC, which there is on HTTP/2 alone.
func isGRPC(r *http.Request) bool {
	return r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc")
}

// repeatable tells whether a request that met a closed connection can be sent
// again: it changes nothing (RFC 9110, section 9.2.2), and there is no body of
// which a part may have been read.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return r.Body == nil
	}
	return false
}

func (l *lines) close() {
	if l.kept != nil {
		l.kept.CloseIdleConnections()
	}
	if l.wires != nil {
		l.wires.close()
		l.http2.CloseIdleConnections()
	}
}
