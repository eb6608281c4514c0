package proxy

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// Rules make a Proxy a gateway, which knows more of its requests than a tunnel
// does. The functions are called from many goroutines at once. Route must be
// set; of the others nil changes nothing.
type Rules struct {
	// Route says where a request goes: scheme, host and port; Options.Target and
	// HostHeader then say nothing, and the host is what the silo sees as Host.
	// Its error is answered, as any other.
	Route func(r *http.Request) (*url.URL, error)
	// Request has the last word on what is sent. out is in without its
	// hop-by-hop headers; only in is to be read for what the client sent. What
	// the client said of those before it (Forwarded, X-Forwarded-…) is in out
	// as it came.
	Request func(out, in *http.Request)
	// Response has the last word on what goes back: its error is answered instead.
	Response func(*http.Response) error
	// Statuses are what faults are answered with, where that is not the usual.
	Statuses map[Fault]int
}

// FaultError is a Fault with words for it: what Rules may fail with, and what may
// be the cause that a request's context ends with (context.WithCancelCause). Any
// other error gets the words of what it is found to be.
type FaultError struct {
	Fault  Fault
	Detail string // one line
	Hint   string // a command that helps, or empty
}

func (f *FaultError) Error() string { return f.Detail }

// routeKey is where a request's context keeps its *url.URL.
type routeKey struct{}

// route asks the rules where r goes. False: it has been answered.
func (p *Proxy) route(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	base, err := p.options.Rules.Route(r)
	if err != nil {
		p.answer(w, r, err)
		return nil, false
	}
	return r.WithContext(context.WithValue(r.Context(), routeKey{}, base)), true
}

// rewriteByRules stands for rewrite where there are rules.
func (p *Proxy) rewriteByRules(pr *httputil.ProxyRequest) {
	base, ok := pr.In.Context().Value(routeKey{}).(*url.URL)
	if !ok {
		return // ServeHTTP has put it there; without it the transport refuses the request
	}
	pr.Out.URL.Scheme, pr.Out.URL.Host, pr.Out.Host = base.Scheme, base.Host, base.Host
	keep(pr)
	forwarded(pr)
	if p.options.Rules.Request != nil {
		p.options.Rules.Request(pr.Out, pr.In)
	}
}

// keep gives a request what ReverseProxy takes from it. Query parameters that it
// cannot parse (a bare ";") the silo may read. Trailers come after the body, into
// the map that the client's request has.
func keep(pr *httputil.ProxyRequest) {
	pr.Out.URL.RawQuery = pr.In.URL.RawQuery
	pr.Out.Trailer = pr.In.Trailer
}

// forwarded restores what the client's request said of those before it.
func forwarded(pr *httputil.ProxyRequest) {
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"} {
		if values := pr.In.Header.Values(name); len(values) > 0 {
			pr.Out.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
}
