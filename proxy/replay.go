package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"silo/traffic"
)

// replayKey is the context key of a request's *replay.
type replayKey struct{}

// replay is a replayed request and its outcome.
type replay struct {
	of      uint64
	caller  traffic.Caller
	outcome traffic.Exchange
}

var errNotRecorded = errors.New("requests are not recorded")

// Replay resends the request of an exchange to this Proxy's silo, with the client's
// headers and the part of the body that was kept. It is recorded as a request of caller
// with ReplayOf set, and never counts as crossing. Replay returns the exchange once it
// has ended, even if it is broken, or when ctx ends.
func (p *Proxy) Replay(ctx context.Context, e traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error) {
	if p.options.Recording == nil {
		return traffic.Exchange{}, errNotRecorded
	}
	again := &replay{of: e.ID, caller: caller}
	ctx = context.WithValue(ctx, replayKey{}, again)
	// ReverseProxy aborts a broken response only if there is a server.
	ctx = context.WithValue(ctx, http.ServerContextKey, new(http.Server))
	request, err := newReplayRequest(ctx, e)
	if err != nil {
		return traffic.Exchange{}, err
	}
	p.serveDiscarding(request)
	return again.outcome, nil
}

// serveDiscarding forwards a request and drops the response, which is recorded.
func (p *Proxy) serveDiscarding(r *http.Request) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // the very value
			panic(v)
		}
	}()
	p.ServeHTTP(&discardWriter{header: http.Header{}}, r)
}

// newReplayRequest returns the request of an exchange as its server received it.
func newReplayRequest(ctx context.Context, e traffic.Exchange) (*http.Request, error) {
	target, err := url.ParseRequestURI(e.Path)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, e.Method, "/", http.NoBody)
	if err != nil {
		return nil, err
	}
	r.URL, r.Host, r.RequestURI, r.RemoteAddr = target, e.Host, e.Path, "127.0.0.1:0"
	r.Proto = e.Proto
	r.ProtoMajor, r.ProtoMinor, _ = http.ParseHTTPVersion(e.Proto)
	r.Header, r.Trailer = e.Request.Header.Clone(), e.Request.Trailer.Clone()
	if len(e.Request.Body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(e.Request.Body)), int64(len(e.Request.Body))
	}
	if len(r.Trailer) > 0 {
		r.ContentLength = -1 // only chunked bodies have trailers (RFC 9112, section 7.1.2)
	}
	return r, nil
}

// discardWriter is a ResponseWriter without a client.
type discardWriter struct{ header http.Header }

func (d *discardWriter) Header() http.Header         { return d.header }
func (d *discardWriter) WriteHeader(int)             {}
func (d *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
