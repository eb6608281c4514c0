package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"silo/api"
	"silo/proxy"
	"silo/sentry"
)

// slowBody is how long a client may pause within its request's body: what nginx,
// which answers 408 too, gives it by default (client_body_timeout).
const slowBody = time.Minute

// Proxy is a handler that hands whole requests on to one silo, as the
// proxy_request of Sentry's silo clients and as its gateway do: method, path,
// query, body and trailers, streams and upgrades included, with the headers that
// sentry.CleanRequest leaves. Answers come back as the silo gave them, less what
// sentry.CleanResponse takes out, and with sentry.HeaderProxyURL; redirects are
// not followed, nothing is sent twice. A status comes with its usual reason,
// whatever the silo's was: net/http knows no other, and HTTP no use for it
// (RFC 9112, section 4).
//
// Where the silo gives no answer, the Proxy does, marked with proxy.ErrorHeader:
// 503 without a connection, also while the silo starts and while the instance
// rests; 504 where the silo takes too long; 502 where anything else breaks
// (src/apigw/proxy.py, 2026; the older gateway of 23.7.1 answers 408 for 504);
// and 408 where the body of the request itself does not come (RFC 9110, section
// 15.5.9). What a tunnel answers in the silo's place is no answer of the silo.
//
// It asks for the silo's address anew for each request, and so outlives restarts.
type Proxy struct {
	client   *Client
	forward  *proxy.Proxy
	patience time.Duration // with a pause in a request's body
}

// Proxy makes one for the client's silo. patience bounds the wait for an answer
// to begin; zero waits for ever. Close gives its connections back.
func (c *Client) Proxy(patience time.Duration) *Proxy {
	p := &Proxy{client: c, patience: slowBody}
	p.forward = proxy.New(proxy.Options{
		Silo: c.name, HeaderTimeout: patience, Once: true,
		Rules: &proxy.Gateway{
			Route: p.route, Request: request, Response: p.response,
			Statuses: map[proxy.Fault]int{proxy.Down: http.StatusServiceUnavailable},
		},
	})
	return p
}

// Close drops idle connections. Requests in flight go on.
func (p *Proxy) Close() { p.forward.Close() }

// ServeHTTP hands one request on.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		ctx, giveUp := context.WithCancelCause(r.Context())
		body := &patientBody{ReadCloser: r.Body, patience: p.patience, giveUp: func() {
			giveUp(&proxy.FaultError{Fault: proxy.Slow, Detail: proxy.Slow.Message(p.client.name)})
			// Ends the Read that waits, and the server's own of what is left.
			_ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0))
		}}
		body.timer = time.AfterFunc(p.patience, body.late)
		body.timer.Stop() // until somebody reads
		defer body.end()
		r = r.WithContext(ctx)
		r.Body = body
	}
	p.forward.ServeHTTP(w, r)
}

// route says where a request goes, or why it goes nowhere.
func (p *Proxy) route(r *http.Request) (*url.URL, error) {
	at, err := p.client.target(r.Context())
	switch {
	case errors.Is(err, api.ErrNotRunning):
		return nil, &proxy.FaultError{Fault: proxy.Down, Detail: fmt.Sprintf("silo %s is down: nothing is running", p.client.name), Hint: "silo up"}
	case err != nil:
		return nil, &proxy.FaultError{Fault: proxy.Down, Detail: err.Error()}
	}
	if at.ngrok {
		r.Header.Set(skipWarning, "1") // a browser cannot
	}
	return at.base, nil
}

// request has the last word on what is sent. An upgrade is asked for anew, of the
// next hop.
func request(out, _ *http.Request) {
	upgrade := out.Header.Get("Upgrade")
	sentry.CleanRequest(out.Header)
	if upgrade != "" {
		out.Header.Set("Connection", "Upgrade")
		out.Header.Set("Upgrade", upgrade)
	}
}

// response has the last word on what goes back.
func (p *Proxy) response(answer *http.Response) error {
	at := text(answer.Request.URL)
	var instead *TunnelError
	if !p.client.options.Direct && errors.As(tunnelled(p.client.name, at, answer.StatusCode, answer.Header), &instead) {
		return instead.failure()
	}
	if answer.StatusCode == http.StatusSwitchingProtocols {
		for name := range answer.Header {
			if sentry.IsInternalHeader(name) {
				delete(answer.Header, name)
			}
		}
	} else {
		sentry.CleanResponse(answer.Header)
	}
	answer.Header.Set(sentry.HeaderProxyURL, at)
	return nil
}

// failure is what the Proxy answers where a tunnel did.
func (e *TunnelError) failure() *proxy.FaultError {
	f := &proxy.FaultError{Fault: proxy.Fault(e.Code), Detail: e.Error(), Hint: "silo status"}
	switch {
	case e.Code == "ERR_NGROK_3200", e.Code == "ERR_NGROK_8012": // offline; nothing listens behind it
		f.Fault = proxy.Down
	case e.Ngrok(), f.Fault != proxy.Down && f.Fault != proxy.Starting && f.Fault != proxy.Timeout && f.Fault != proxy.Isolated:
		f.Fault = proxy.Broken
	}
	return f
}

// patientBody is a request's body that gives up where its client pauses too long.
type patientBody struct {
	io.ReadCloser

	patience time.Duration
	timer    *time.Timer // runs while a Read waits
	giveUp   func()

	mu   sync.Mutex // guards over
	over bool       // the handler has returned: the connection is another request's
}

func (b *patientBody) Read(p []byte) (int, error) {
	b.timer.Reset(b.patience)
	defer b.timer.Stop()
	return b.ReadCloser.Read(p)
}

func (b *patientBody) late() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.over {
		b.giveUp()
	}
}

func (b *patientBody) end() {
	b.timer.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
}
