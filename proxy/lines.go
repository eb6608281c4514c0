package proxy

import (
	"net"
	"net/http"
	"time"
)

const (
	dialTimeout = 5 * time.Second

	// An idle connection is given up before most servers would close it: gunicorn
	// does so after 2 s, node after 5 s.
	idleUpstream = time.Second
	idlePerHost  = 1024
)

// lines are the connections to a silo. A request that net/http can send again is
// sent on one that was used before, where there is one; any other gets a new one,
// which on loopback costs next to nothing. uWSGI, which serves a Sentry devserver,
// closes each connection after one answer and does not say so: a POST that meets
// the close is lost.
type lines struct {
	kept, once *http.Transport
}

func newLines(options Options) lines {
	l := lines{newTransport(options), newTransport(options)}
	l.once.DisableKeepAlives = true
	if options.Once {
		l.kept = l.once
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

// RoundTrip sends a request on the right line.
func (l lines) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		switch r.Method {
		case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
			return l.kept.RoundTrip(r)
		}
	}
	return l.once.RoundTrip(r)
}
