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

// replayKey is where a request's context keeps its *replay.
type replayKey struct{}

// replay is a request that is made again, and what comes of it.
type replay struct {
	of      uint64
	caller  traffic.Caller
	outcome traffic.Exchange
}

// errUnrecorded is of a Proxy without a Recording.
var errUnrecorded = errors.New("nothing is recorded here")

// Replay makes the request of an exchange again, of this Proxy's silo: with the
// headers that the client sent then and with the body that is kept, whole or not.
// It is recorded as any other, with ReplayOf and as caller's, who need not be
// anybody's process; it never crosses. Replay returns the exchange once that has
// ended, also a broken one. When ctx ends, so does the exchange.
func (p *Proxy) Replay(ctx context.Context, e traffic.Exchange, caller traffic.Caller) (traffic.Exchange, error) {
	if p.options.Recording == nil {
		return traffic.Exchange{}, errUnrecorded
	}
	again := &replay{of: e.ID, caller: caller}
	request, err := repeat(context.WithValue(ctx, replayKey{}, again), e)
	if err != nil {
		return traffic.Exchange{}, err
	}
	p.unheard(request)
	return again.outcome, nil
}

// unheard forwards a request whose answer only its witness hears.
func (p *Proxy) unheard(r *http.Request) {
	defer func() {
		// What a Proxy panics with where a server would have to hang up.
		if why := recover(); why != nil && why != http.ErrAbortHandler { //nolint:errorlint // the very value
			panic(why)
		}
	}()
	p.ServeHTTP(&silence{header: http.Header{}}, r)
}

// repeat is the request of an exchange as the server that took it had it.
func repeat(ctx context.Context, e traffic.Exchange) (*http.Request, error) {
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
		r.ContentLength = -1 // trailers go with chunks alone (RFC 9112, section 7.1.2)
	}
	return r, nil
}

// silence is a ResponseWriter that nobody is behind.
type silence struct{ header http.Header }

func (s *silence) Header() http.Header         { return s.header }
func (s *silence) WriteHeader(int)             {}
func (s *silence) Write(p []byte) (int, error) { return len(p), nil }

// isolatedHint is what helps who is held up.
const isolatedHint = "[isolation] regions in silo.toml"

func isolated(from, to string) string {
	return "region " + from + " may not call region " + to + ": in production regions cannot reach one another"
}
